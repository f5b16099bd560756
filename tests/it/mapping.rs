//! V2's answers in V1's shape.

use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use http::Version;

use crate::world::{Behaviour, Consumer, Metrics, Origin, PATIENCE, Proxy, Reply, Request, Response, World, content};

/// V2 has renamed `items`, which the default route wants, and moved the name of the user.
const MAP: &str = "response = { map = { \"/items\" = \"/results\", \"/user\" = \"/person/name\" } }";
const V2S: &str = "{ \"n\": 1.0, \"results\" : [1, 2e0] , \"person\":{\"name\":\"Ann\"} }";
const V1S: &str = "{ \"n\": 1.0,\"items\":[1, 2e0],\"user\":\"Ann\"}";

fn json(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply::new(status, body).header("content-type", "application/json; charset=utf-8")
}

fn cutover(rescue: bool) -> String {
    format!("stage = \"cutover\"\npercent = 100\nslo = 0.95\nmode = \"observe\"\nrescue = {rescue}")
}

async fn world(rollout: &str, v2: Reply) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(v2));
    let world = World::new().v1(&v1).v2(&v2).v2_with(MAP).limits("score_body = \"64KiB\"");
    (world.rollout(rollout).start().await, v1, v2)
}

async fn get(proxy: &Proxy) -> Response {
    proxy.get("/recommendations/user-1").await
}

fn mapped(metrics: &Metrics, result: &str) -> u64 {
    metrics.count("crossfade_mapped_total", &[("route", "list"), ("result", result)])
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

#[tokio::test]
async fn consumers_of_v2_get_v1s_shape_and_it_is_scored() {
    for rescue in [false, true] {
        let plain = json(200, V2S).header("content-md5", "x").header("accept-ranges", "bytes").header("vary", "a");
        let (proxy, _v1, v2) =
            world(&cutover(rescue), plain.header("last-modified", "x").header("repr-digest", "x")).await;
        let coded = json(200, gzip(V2S)).header("content-encoding", "gzip").header("vary", "a");
        for reply in [None, Some(coded)] {
            if let Some(reply) = reply {
                v2.behave(Behaviour::Answer(reply));
            }
            let answer = get(&proxy).await;
            assert_eq!((answer.status, answer.text()), (200, V1S), "rescue {rescue}");
            assert_eq!(answer.header("content-length"), Some(V1S.len().to_string().as_str()));
            assert_eq!(answer.header("crossfade-served-by"), Some("v2"));
            assert_eq!(answer.header("vary"), Some("a"));
            let gone = ["content-encoding", "content-md5", "accept-ranges", "last-modified", "repr-digest"];
            assert_eq!(gone.map(|name| answer.header(name)), [None; 5]);
        }
        proxy.until("both rich", |metrics| metrics.outcomes("v2") == [2, 0, 0] && mapped(metrics, "mapped") == 2).await;
        proxy.at_rest().await;
    }
}

#[tokio::test]
async fn a_shadow_is_scored_as_consumers_would_see_it() {
    let rollout = "stage = \"shadow\"\nslo = 0.95";
    let (proxy, v1, v2) = world(rollout, json(200, V2S)).await;
    let odd = json(200, "{\"results\":[9] ,\"items\" : [1.0]}").header("etag", "\"a\"");
    v1.behave(Behaviour::Answer(odd.clone()));
    let answer = get(&proxy).await;
    assert_eq!((&answer.body, answer.header("etag")), (&odd.body, Some("\"a\"")), "V1's answers are nobody's to map");
    proxy.until("rich", |metrics| metrics.outcomes("v2") == [1, 0, 0]).await;
    for (reply, cause) in [
        (json(200, "{\"results\":[]}"), "empty"),
        (json(200, "{}"), "missing"),
        (json(200, "{\"results\":[1]"), "decode"),
        (json(200, format!("{{\"results\":[{}]}}", "1,".repeat(40_000) + "1")), "too_large"),
        (Reply::new(200, V2S).header("content-type", "text/plain"), "missing"),
    ] {
        let before = proxy.metrics().await.fallbacks("v2", cause);
        v2.behave(Behaviour::Answer(reply));
        get(&proxy).await;
        proxy.until(cause, |metrics| metrics.fallbacks("v2", cause) == before + 1).await;
    }
    assert_eq!(mapped(&proxy.at_rest().await, "mapped"), 0, "nobody was served");
}

#[tokio::test]
async fn tags_tell_mapped_answers_apart_and_come_back_to_v2_as_it_knows_them() {
    let (proxy, _v1, v2) = world(&cutover(false), json(200, V2S).header("etag", "W/\"x,1\"")).await;
    let tag = get(&proxy).await.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with("W/\"x,1.m") && tag.ends_with('"'), "{tag}");
    let confirmed = Reply::new(304, "").header("etag", "W/\"x,1\"").header("last-modified", "x");
    v2.behave(Behaviour::Answer(confirmed));
    let request = Request::get("/recommendations/user-1");
    let conditions = request.clone().header("if-none-match", format!("\"other\", {tag}"));
    let answer = proxy.send(&conditions.header("if-modified-since", "x").header("range", "bytes=0-1")).await;
    assert_eq!((answer.status, answer.header("etag")), (304, Some(&tag[..])));
    assert_eq!(answer.header("last-modified"), None);
    let received = v2.received().pop().expect("a request");
    assert_eq!(received.header("if-none-match"), Some("W/\"x,1\""));
    assert_eq!((received.header("if-modified-since"), received.header("range")), (None, None));
    proxy.until("304 is rich", |metrics| metrics.outcomes("v2") == [2, 0, 0]).await;
    // What the consumer holds is V1's: V2 is not asked whether it has changed.
    v2.behave(Behaviour::Answer(json(200, V2S)));
    assert_eq!(proxy.send(&request.header("if-none-match", "\"v1s\"")).await.status, 200);
    assert_eq!(v2.received().pop().and_then(|it| it.header("if-none-match").map(str::to_owned)), None);
}

#[tokio::test]
async fn what_is_not_json_or_no_success_goes_on_as_it_came() {
    let (proxy, _v1, v2) = world(&cutover(false), json(404, V2S)).await;
    for reply in [
        json(404, V2S),
        Reply::new(200, V2S).header("content-type", "text/html"),
        Reply::new(200, gzip(V2S)).header("content-type", "image/png").header("content-encoding", "gzip"),
        Reply::new(200, V2S),
        json(200, ""),
    ] {
        v2.behave(Behaviour::Answer(reply.clone()));
        let answer = get(&proxy).await;
        assert_eq!((answer.status, &answer.body), (reply.status, &reply.body));
        let coding = reply.headers.iter().find(|(name, _)| name == "content-encoding");
        assert_eq!(answer.header("content-encoding"), coding.map(|(_, value)| &value[..]));
    }
    proxy.until("passed", |metrics| mapped(metrics, "passed") == 4 && mapped(metrics, "mapped") == 1).await;
}

#[tokio::test]
async fn an_answer_to_head_says_nothing_of_content_that_would_be_mapped() {
    let (proxy, _v1, _v2) = world(&cutover(false), json(200, V2S).header("etag", "\"a\"")).await;
    let answer = proxy.send(&Request::new("HEAD", "/recommendations/user-1")).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, None), "{answer:?}");
    assert!(answer.header("etag").is_some_and(|tag| tag.starts_with("\"a.m")));
}

#[tokio::test]
async fn what_cannot_be_mapped_is_rescued_or_a_502_and_never_half_an_answer() {
    let large = format!("{{\"results\":[{}]}}", "1,".repeat(40_000) + "1");
    let cases = [
        ("failed", "decode", Behaviour::Answer(json(200, "{\"results\":[1,2,3]"))),
        ("too_large", "too_large", Behaviour::Answer(json(200, large))),
        ("failed", "decode", Behaviour::Answer(json(200, V2S).header("content-encoding", "gzip"))),
        ("failed", "decode", Behaviour::Answer(json(200, V2S).header("content-encoding", "secret"))),
        ("mapped", "reset", Behaviour::Truncated(json(200, V2S))),
    ];
    for rescue in [true, false] {
        let (proxy, _v1, v2) = world(&cutover(rescue), json(200, V2S)).await;
        for (result, cause, behaviour) in &cases {
            let before = proxy.metrics().await;
            v2.behave(behaviour.clone());
            let answer = get(&proxy).await;
            if rescue {
                assert_eq!((answer.status, &answer.body), (200, &Reply::rich().body), "{cause}");
                assert_eq!(answer.header("crossfade-rescued"), Some(*cause));
            } else {
                assert_eq!((answer.status, answer.header("crossfade-rescued")), (502, None), "{cause}");
                assert!(answer.text().starts_with("crossfade: v2: failed to "), "{}", answer.text());
                assert!(answer.header("proxy-status").is_some());
            }
            let more = u64::from(*cause != "reset");
            proxy
                .until(cause, |it| {
                    mapped(it, result) == mapped(&before, result) + more
                        && it.fallbacks("v2", cause) == before.fallbacks("v2", cause) + 1
                })
                .await;
        }
        proxy.at_rest().await;
    }
}

#[tokio::test]
async fn consumers_of_http_2_get_it_as_well() {
    let (proxy, _v1, _v2) = world(&cutover(false), json(200, gzip(V2S)).header("content-encoding", "gzip")).await;
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    let url = format!("http://{}/recommendations/user-1", proxy.address());
    let request = http::Request::get(url).version(Version::HTTP_2).body(content("", &[])).expect("valid");
    let answer = consumer.send(request).await;
    assert_eq!((answer.head.status.as_u16(), &answer.data[..]), (200, V1S.as_bytes()));
    assert_eq!(answer.head.headers["content-length"], V1S.len().to_string());
}

#[tokio::test]
async fn a_mapping_that_is_mended_is_in_force_at_once() {
    let (proxy, _v1, v2) = world(&cutover(false), json(200, "{\"data\":[1]}").header("etag", "\"a\"")).await;
    let before = get(&proxy).await;
    let reloads = |it: &Metrics| it.count("crossfade_config_reloads_total", &[("file", "crossfade")]);
    let loaded = reloads(&proxy.metrics().await);
    let mended = proxy.config().replace("/results", "/data");
    proxy.write_file("crossfade.toml", &mended);
    proxy.signal("HUP");
    proxy.until("reloaded", |it| reloads(it) > loaded).await;
    let after = get(&proxy).await;
    assert_eq!((before.text(), after.text()), ("{\"data\":[1]}", "{\"items\":[1]}"));
    assert_ne!(before.header("etag"), after.header("etag"), "another mapping, another representation");
    v2.until_received(2).await;
    proxy.until("scored by it", |metrics| metrics.outcomes("v2") == [1, 1, 0]).await;
}

/// V2 wraps its answers, and wants requests of another shape.
const JQ: &str = "response = { body = \".data\", map = { \"/items\" = \"/results\" } }\n\
    request = { body = \".user | {id: .userId}\" }";

async fn by_jq(rollout: &str, v2: Behaviour) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(v2));
    let world = World::new().v1(&v1).v2(&v2).v2_with(JQ).limits("score_body = \"64KiB\"\nrule_timeout = \"5s\"");
    (world.rollout(&format!("{rollout}\nshadow_methods = [\"*\"]")).start().await, v1, v2)
}

fn post(body: &str) -> Request {
    Request::post("/recommendations/user-1", body).header("content-type", "application/json")
}

#[tokio::test]
async fn programs_map_answers_and_requests_of_a_primary() {
    let wrapped = json(200, "{\"data\":{\"results\":[1,2]}}");
    for rescue in [true, false] {
        let (proxy, v1, v2) = by_jq(&cutover(rescue), Behaviour::Answer(wrapped.clone())).await;
        let sent = "{\"user\":{\"userId\":7,\"name\":\"Ann\"}}";
        let answer = proxy.send(&post(sent).header("expect", "100-continue")).await;
        assert_eq!((answer.status, answer.text()), (200, "{\"items\":[1,2]}"));
        let received = v2.received().pop().expect("a request");
        assert_eq!((received.header("content-length"), received.header("expect")), (Some("8"), None));
        assert_eq!(received.body_hash, crossfade::bucket::hash("", b"{\"id\":7}"));
        v1.until_received(1).await;
        assert_eq!(v1.received()[0].body_hash, crossfade::bucket::hash("", sent.as_bytes()), "V1 gets what was sent");
        // What is no JSON is nobody's to map.
        let form = Request::post("/recommendations/user-1", "a=1").header("content-type", "text/plain");
        assert_eq!(proxy.send(&form).await.status, 200);
        assert_eq!(v2.received().pop().map(|it| it.body_length), Some(3));
        proxy.until("both rich", |metrics| metrics.outcomes("v2") == [2, 0, 0]).await;
        proxy.at_rest().await;
    }
}

#[tokio::test]
async fn programs_map_answers_and_requests_of_a_shadow() {
    let wrapped = json(200, "{\"data\":{\"results\":[1,2]}}");
    let (proxy, v1, v2) = by_jq("stage = \"shadow\"\nslo = 0.95", Behaviour::Answer(wrapped)).await;
    assert_eq!(proxy.send(&post("{\"user\":{\"userId\":7}}")).await.body, Reply::rich().body);
    v2.until_received(1).await;
    assert_eq!(v2.received()[0].body_hash, crossfade::bucket::hash("", b"{\"id\":7}"));
    proxy.until("rich", |metrics| metrics.outcomes("v2") == [1, 0, 0]).await;
    for (reply, cause) in [(json(200, "{\"data\":{\"results\":[]}}"), "empty"), (json(200, "[1]"), "rule")] {
        v2.behave(Behaviour::Answer(reply));
        get(&proxy).await;
        proxy.until(cause, |metrics| metrics.fallbacks("v2", cause) == 1).await;
    }
    // What cannot be mapped is not sent, and the primary does not notice.
    let skipped = |it: &Metrics, reason: &str| it.count("crossfade_shadow_skipped_total", &[("reason", reason)]);
    let large = format!("{{\"user\":\"{}\"}}", "x".repeat(100_000));
    for (body, reason) in [("{\"user\":7}", "unmappable"), ("{\"user\"", "unmappable"), (&large, "body_too_large")] {
        let before = skipped(&proxy.metrics().await, reason);
        assert_eq!(proxy.send(&post(body)).await.status, 200);
        proxy.until(reason, |metrics| skipped(metrics, reason) == before + 1).await;
    }
    assert_eq!((v1.count(), v2.count()), (6, 3));
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_mapped_for_a_primary_is_v1s_or_refused() {
    let large = format!("{{\"user\":\"{}\"}}", "x".repeat(100_000));
    for (rescue, statuses) in [(true, [200, 200]), (false, [502, 413])] {
        let (proxy, _v1, v2) = by_jq(&cutover(rescue), Behaviour::Answer(Reply::rich())).await;
        for (body, status) in [("{\"user\":7}", statuses[0]), (&large, statuses[1])] {
            let answer = proxy.send(&post(body)).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        assert_eq!(v2.count(), 0);
        proxy.until("no fault of V2's", |metrics| metrics.outcomes("v2") == [0, 0, 2]).await;
        proxy.at_rest().await;
    }
}

#[tokio::test]
async fn without_room_for_mapping_the_consumer_is_rescued_and_v2_not_blamed() {
    for (rescue, status) in [(true, 200), (false, 503)] {
        let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(json(200, V2S)));
        let world = World::new().v1(&v1).v2(&v2).v2_with(MAP).limits("map_memory = \"10B\"");
        let proxy = world.rollout(&cutover(rescue)).start().await;
        let answer = get(&proxy).await;
        assert_eq!((answer.status, answer.header("crossfade-rescued")), (status, rescue.then_some("too_large")));
        proxy.until("excluded", |it| it.outcomes("v2") == [0, 0, 1] && mapped(it, "no_room") == 1).await;
    }
}

#[tokio::test]
async fn what_is_mapped_is_no_difference() {
    let v2 = json(200, "{\"results\":[1,2,3],\"more\":1}");
    let (proxy, _v1, _v2) = world("stage = \"shadow\"\nslo = 0.95", v2).await;
    let begun = Instant::now();
    let found = loop {
        get(&proxy).await;
        let found = proxy.admin_get("/api/v1/dependencies/recs/diff?route=list").await.json();
        if found["routes"][0]["pairs"].as_u64().is_some_and(|pairs| pairs >= 3) {
            break found;
        }
        assert!(begun.elapsed() < PATIENCE, "no pairs: {found:#}");
    };
    let rows = found["routes"][0]["rows"].as_array().expect("rows");
    let mut places: Vec<_> = rows.iter().filter_map(|row| row["path"].as_str()).collect();
    places.dedup();
    assert_eq!(places, ["/more"], "{found:#}");
}
