//! Stage `shadow`: V1 serves, V2 is only scored, and nothing that V2 does reaches the consumer.

use std::time::{Duration, Instant};

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, Request, Response, World};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";
/// Short enough for a test, long enough for a busy machine to answer a good request within it.
const V2_TIMEOUT: &str = "timeout = \"2s\"";

async fn mirroring(v1: &Origin, v2: &Origin) -> Proxy {
    World::new().v1(v1).v2(v2).v2_with(V2_TIMEOUT).rollout(SHADOW).start().await
}

/// The answer is exactly what V1 sent, but for the mark of who served it.
fn assert_is_v1s(answer: &Response, reply: &Reply) {
    assert_eq!(answer.status, reply.status);
    assert_eq!(answer.body, reply.body, "{:?}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("crossfade-served-by"), Some("v1"));
    for (name, value) in &reply.headers {
        assert_eq!(answer.header(name), Some(value.as_str()), "header {name}");
    }
}

#[tokio::test]
async fn both_backends_are_called_and_scored_as_a_pair() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::HitRate(60)));
    let proxy = mirroring(&v1, &v2).await;
    for answer in proxy.burst(0..50).await {
        assert_is_v1s(&answer, &Reply::rich());
    }
    let metrics = proxy.until("50 shadows", |metrics| metrics.outcomes("v2").iter().sum::<u64>() == 50).await;
    assert_eq!(metrics.outcomes("v1"), [50, 0, 0]);
    assert_eq!(metrics.outcomes("v2"), [30, 20, 0]);
    assert_eq!(metrics.fallbacks("v2", "empty"), 20);
    let pairs = |v1, v2| metrics.count("crossfade_pairs_total", &[("v1", v1), ("v2", v2), ("route", "list")]);
    assert_eq!((pairs("rich", "rich"), pairs("rich", "fallback")), (30, 20));
    let served = |outcome| metrics.count("crossfade_served_outcomes_total", &[("outcome", outcome)]);
    assert_eq!((served("rich"), served("fallback")), (50, 0));
    let metrics = proxy.at_rest().await;
    assert_eq!(metrics.count("crossfade_requests_total", &[("served_by", "v1"), ("code", "2xx")]), 50);
    assert_eq!((v1.count(), v2.count()), (50, 50));
}

#[tokio::test]
async fn a_shadow_is_the_same_request_with_its_role() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let shadows_writes = format!("{SHADOW}\nshadow_methods = [\"*\"]");
    let proxy = World::new().v1(&v1).v2(&v2).rollout(&shadows_writes).start().await;
    let body = vec![b'b'; 100_000];
    let request = Request::post("/recommendations/a%2Fb?x=1&y=%20", body)
        .header("X-Custom", "as is")
        .header("accept", "a")
        .header("accept", "b")
        .header("connection", "x-hop")
        .header("x-hop", "not passed on");
    proxy.send(&request).await;
    v2.until_received(1).await;
    let [ours, theirs] = [&v1.received()[0], &v2.received()[0]];
    assert_eq!((theirs.method.as_str(), theirs.target.as_str()), ("POST", "/recommendations/a%2Fb?x=1&y=%20"));
    assert_eq!(theirs.target, ours.target);
    assert_eq!((theirs.body_length, theirs.body_hash), (100_000, ours.body_hash));
    assert_eq!(ours.header("crossfade-role"), None);
    assert_eq!(theirs.header("crossfade-role"), Some("shadow"));
    assert_eq!(ours.header("host"), Some(v1.address().to_string().as_str()));
    assert_eq!(theirs.header("host"), Some(v2.address().to_string().as_str()));
    for received in [ours, theirs] {
        let accepts: Vec<_> =
            received.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"accept")).collect();
        assert_eq!(accepts.iter().map(|(_, value)| &value[..]).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(received.header("x-custom"), Some("as is"));
        assert_eq!(received.header("x-hop"), None, "nominated by Connection");
    }
}

/// V2 misbehaves; V1's answers are untouched and prompt, and each shadow is a fallback with the right cause.
async fn assert_unnoticed(behaviour: Behaviour, causes: &[&str]) {
    const REQUESTS: usize = 10;
    let what = format!("{behaviour:.60?}");
    let reply = Reply::new(200, r#"{"items":["exact \u00e9 bytes"]}"#).header("x-answer", "v1").header("etag", "\"1\"");
    let (v1, v2) = (Origin::answering(reply.clone()), Origin::start(behaviour));
    let proxy = mirroring(&v1, &v2).await;
    let begun = Instant::now();
    for answer in proxy.burst(0..REQUESTS).await {
        assert_is_v1s(&answer, &reply);
    }
    // Ten answers in sequence: had even one waited for V2's timeout, this would not hold.
    assert!(begun.elapsed() < Duration::from_millis(1900), "{what}: V1's answers took {:?}", begun.elapsed());
    let settled = |metrics: &Metrics| metrics.outcomes("v2").iter().sum::<u64>() == REQUESTS as u64;
    let metrics = proxy.until(&format!("{REQUESTS} shadows scored: {what}"), settled).await;
    let with_cause: u64 = causes.iter().map(|cause| metrics.fallbacks("v2", cause)).sum();
    assert_eq!(with_cause, REQUESTS as u64, "{what}, expected {causes:?}:\n{metrics:?}");
    assert_eq!(metrics.outcomes("v1"), [REQUESTS as u64, 0, 0], "{what}");
    assert_eq!(proxy.at_rest().await.count("crossfade_requests_total", &[("code", "2xx")]), REQUESTS as u64);
}

#[tokio::test]
async fn a_v2_that_refuses_connections_goes_unnoticed() {
    assert_unnoticed(Behaviour::Refuse, &["connect"]).await;
}

#[tokio::test]
async fn a_v2_that_hangs_goes_unnoticed() {
    assert_unnoticed(Behaviour::Hang, &["timeout"]).await;
}

#[tokio::test]
async fn a_v2_that_resets_goes_unnoticed() {
    assert_unnoticed(Behaviour::ResetBeforeHead, &["reset"]).await;
    assert_unnoticed(Behaviour::ResetInHead, &["reset"]).await;
    assert_unnoticed(Behaviour::ResetInBody, &["reset"]).await;
}

#[tokio::test]
async fn a_v2_that_trickles_goes_unnoticed() {
    assert_unnoticed(Behaviour::Trickle(Reply::rich(), Duration::from_millis(100)), &["timeout"]).await;
}

#[tokio::test]
async fn a_v2_that_does_not_speak_http_goes_unnoticed() {
    assert_unnoticed(Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), &["decode", "reset"]).await;
    assert_unnoticed(
        Behaviour::Garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx".to_vec()),
        &["decode", "reset"],
    )
    .await;
}

#[tokio::test]
async fn a_v2_that_breaks_off_goes_unnoticed() {
    assert_unnoticed(Behaviour::Truncated(Reply::rich()), &["reset"]).await;
}

#[tokio::test]
async fn a_v2_with_an_endless_head_goes_unnoticed() {
    assert_unnoticed(Behaviour::HugeHead(4 << 20), &["decode", "reset"]).await;
}

#[tokio::test]
async fn a_v2_that_never_stops_is_too_large_to_score() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Endless));
    let proxy = mirroring(&v1, &v2).await;
    for answer in proxy.burst(0..3).await {
        assert_is_v1s(&answer, &Reply::rich());
    }
    let too_large = [("backend", "v2"), ("outcome", "excluded"), ("cause", "too_large")];
    proxy.until("too large", |metrics| metrics.count("crossfade_outcomes_total", &too_large) == 3).await;
    proxy.at_rest().await;
}

#[tokio::test]
async fn an_answer_reaches_the_consumer_while_the_shadow_still_waits() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::SlowHead(Reply::rich())));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    let answer = proxy.get("/recommendations/user-1").await;
    assert_is_v1s(&answer, &Reply::rich());
    v2.until_received(1).await;
    let metrics = proxy.until("one shadow", |metrics| metrics.count("crossfade_shadow_in_flight", &[]) == 1).await;
    assert_eq!(metrics.outcomes("v2"), [0, 0, 0]);
    v2.release(1);
    proxy.until("its score", |metrics| metrics.outcomes("v2") == [1, 0, 0]).await;
    proxy.at_rest().await;
}

#[tokio::test]
async fn client_errors_count_against_v2_only_when_v1_disagrees() {
    let (v1, v2) = (Origin::answering(Reply::new(404, "no")), Origin::answering(Reply::new(404, "no")));
    let proxy = mirroring(&v1, &v2).await;
    proxy.get("/recommendations/nobody").await;
    let agreed = proxy.until("both excluded", |it| it.outcomes("v1") == [0, 0, 1] && it.outcomes("v2") == [0, 0, 1]);
    let metrics = agreed.await;
    assert_eq!(metrics.count("crossfade_outcomes_total", &[("cause", "client_error")]), 2);
    v1.behave(Behaviour::Answer(Reply::rich()));
    proxy.get("/recommendations/somebody").await;
    proxy
        .until("V2 is wrong", |metrics| metrics.fallbacks("v2", "status") == 1 && metrics.outcomes("v1")[0] == 1)
        .await;
}

#[tokio::test]
async fn the_rules_of_the_route_decide_and_label() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let routes = r#"
        [[dependency.recs.route]]
        name = "strict"
        match = { methods = ["GET"], path = "/strict/{rest...}" }
        [dependency.recs.route.score]
        status = [201]
        exclude = { status = [503], header = { "x-synthetic" = "*" } }
        [[dependency.recs.route]]
        name = "nested"
        match = { path = "/nested" }
        score = { required = ["/person/name"] }
    "#;
    let proxy = World::new().v1(&v1).v2(&v2).routes(routes).rollout(SHADOW).start().await;
    let scored = async |request: Request, reply: Reply, route: &str, outcome: &str, cause: &str| {
        v2.behave(Behaviour::Answer(reply));
        proxy.send(&request).await;
        let labels = [("backend", "v2"), ("route", route), ("outcome", outcome), ("cause", cause)];
        let labels = if cause.is_empty() { &labels[..3] } else { &labels[..] };
        let is_counted = |it: &Metrics| it.count("crossfade_outcomes_total", labels) == 1;
        proxy.until(&format!("{route}: {outcome} {cause}"), is_counted).await;
    };
    let get = Request::get;
    scored(get("/strict/a/b"), Reply::new(201, "x"), "strict", "rich", "").await;
    scored(get("/strict/a"), Reply::new(200, "x"), "strict", "fallback", "status").await;
    scored(get("/strict/a"), Reply::new(403, "x"), "strict", "fallback", "auth").await;
    scored(get("/strict/a"), Reply::new(201, ""), "strict", "fallback", "empty").await;
    scored(get("/strict/a"), Reply::new(503, "x"), "strict", "excluded", "rule").await;
    let nested = Reply::new(200, r#"{"person":{"name":"x"}}"#);
    scored(get("/nested"), nested, "nested", "rich", "").await;
    scored(get("/nested"), Reply::new(200, r#"{"person":{}}"#), "nested", "fallback", "missing").await;
    scored(get("/nested"), Reply::new(200, "<html>"), "nested", "fallback", "decode").await;
    scored(get("/else"), Reply::new(204, ""), "other", "fallback", "empty").await;
    let before = proxy.at_rest().await.outcomes("v2");
    proxy.send(&get("/strict/a").header("x-synthetic", "1")).await;
    let excluded = |it: &Metrics| it.outcomes("v2") == [before[0], before[1], before[2] + 1];
    proxy.until("synthetic traffic is excluded", excluded).await;
}

#[tokio::test]
async fn every_way_of_framing_an_answer_is_scored_and_relayed() {
    let v1 = Origin::answering(Reply::rich());
    let proxy = mirroring(&v1, &v1).await;
    let rich = Reply::rich();
    let body = rich.body.clone();
    let pieces = vec![body[..4].to_vec(), body[4..].to_vec()];
    for behaviour in [
        Behaviour::Chunked(pieces),
        Behaviour::CloseDelimited(rich.clone()),
        Behaviour::InformationalFirst(rich.clone()),
        Behaviour::Trickle(rich, Duration::ZERO),
    ] {
        let what = format!("{behaviour:?}");
        v1.behave(behaviour);
        let answer = proxy.get("/recommendations/user-1").await;
        assert_eq!((answer.status, &answer.body), (200, &body), "{what}");
    }
    proxy.until("eight rich answers", |it| it.outcomes("v1") == [4, 0, 0] && it.outcomes("v2") == [4, 0, 0]).await;
}

#[tokio::test]
async fn what_is_not_mirrored_is_counted_with_its_reason() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let world = World::new().v1(&v1).v2(&v2).v2_with("timeout = \"5s\"");
    let limits = "shadow_in_flight = 1\nshadow_backlog = \"64KiB\"\n";
    let mut proxy = world.limits(limits).rollout(SHADOW).start().await;
    let skipped = |metrics: &Metrics, reason| {
        metrics.count("crossfade_shadow_skipped_total", &[("reason", reason), ("dependency", "recs")])
    };

    proxy.send(&Request::post("/recommendations/user-1", "x")).await;
    proxy.until("POST is not shadowed", |metrics| skipped(metrics, "method") == 1).await;

    v2.behave(Behaviour::SlowHead(Reply::rich()));
    proxy.get("/recommendations/user-1").await;
    v2.until_received(1).await;
    proxy.get("/recommendations/user-2").await;
    proxy.until("a second shadow is one too many", |metrics| skipped(metrics, "in_flight") == 1).await;
    v2.release(1);
    proxy.at_rest().await;

    v2.behave(Behaviour::NeverReads);
    proxy.apply(&format!("{SHADOW}\nshadow_methods = [\"*\"]")).await;
    // Larger than what the kernel takes off our hands for a backend that does not read.
    let answer = proxy.send(&Request::post("/recommendations/user-1", vec![b'x'; 16 << 20])).await;
    assert_is_v1s(&answer, &Reply::rich());
    assert_eq!(v1.received().last().map(|it| it.body_length), Some(16 << 20));
    let gave_up = |it: &Metrics| skipped(it, "too_slow") + skipped(it, "body_too_large") == 1;
    proxy.until("the copy is given up", gave_up).await;

    proxy.apply(&format!("{SHADOW}\nsample = 0")).await;
    proxy.get("/recommendations/user-1").await;
    proxy.until("sampled out", |metrics| skipped(metrics, "sample") == 1).await;
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_consumer_that_leaves_is_nobodys_fallback() {
    let (v1, v2) = (Origin::start(Behaviour::Endless), Origin::answering(Reply::rich()));
    let proxy = mirroring(&v1, &v2).await;
    let mut client = proxy.connect().await;
    client.start(&Request::get("/recommendations/user-1")).await.expect("the proxy reads");
    client.head().await.expect("the answer begins");
    drop(client);
    let aborted = [("backend", "v1"), ("outcome", "excluded"), ("cause", "aborted")];
    let is_counted = |metrics: &Metrics| metrics.count("crossfade_outcomes_total", &aborted) == 1;
    let metrics = proxy.until("aborted", is_counted).await;
    assert_eq!(metrics.count("crossfade_requests_total", &[("code", "aborted")]), 1);
    proxy.until("the shadow runs on", |metrics| metrics.outcomes("v2") == [1, 0, 0]).await;
    proxy.at_rest().await;
}
