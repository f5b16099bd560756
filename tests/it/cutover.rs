//! Stage `cutover`: who is served by which backend, and how fast that changes.

use std::collections::BTreeMap;

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, Request, Response, World, Write};

/// The ceiling applies at once: whether it is deserved is for the tests of the gate.
fn at(percent: f64) -> String {
    format!("stage = \"cutover\"\npercent = {percent:.1}\nslo = 0.95\nmode = \"observe\"\nkey = [\"header:x-user-id\"]")
}

async fn cutover(rollout: &str) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(rollout).start().await;
    (proxy, v1, v2)
}

fn served_by_v2(answers: &[Response]) -> Vec<bool> {
    answers.iter().map(|answer| answer.header("crossfade-served-by") == Some("v2")).collect()
}

fn count(moved: &[bool]) -> usize {
    moved.iter().filter(|it| **it).count()
}

/// The ceiling in force.
async fn until_percent(proxy: &Proxy, percent: f64) {
    proxy.until(&format!("{percent} %"), |metrics| metrics.percent("effective") == Some(percent)).await;
}

#[tokio::test]
async fn the_share_of_users_on_v2_is_the_percent_and_sticks_to_them() {
    const USERS: usize = 600;
    let (mut proxy, _v1, _v2) = cutover(&at(5.0)).await;
    let mut before = vec![false; USERS];
    for percent in [5.0, 25.0, 50.0] {
        proxy.write_rollout(Write::Rename, &at(percent));
        until_percent(&proxy, percent).await;
        let now = served_by_v2(&proxy.burst(0..USERS).await);
        let again = served_by_v2(&proxy.burst(0..USERS).await);
        assert_eq!(now, again, "at {percent} % everybody stays where they are");
        assert!(before.iter().zip(&now).all(|(was, is)| !was || *is), "raising to {percent} % moves nobody back");
        // Five standard deviations of the binomial distribution: fails by chance once in a million.
        let share = percent / 100.0;
        let mean = share * USERS as f64;
        let deviation = (mean * (1.0 - share)).sqrt();
        let moved = count(&now);
        assert!((moved as f64 - mean).abs() < 5.0 * deviation, "{moved} of {USERS} at {percent} %");
        before = now;
    }
}

#[tokio::test]
async fn the_bucket_is_the_documented_one() {
    let (proxy, _v1, _v2) = cutover(&at(30.0)).await;
    for (user, is_v2) in served_by_v2(&proxy.burst(0..100).await).into_iter().enumerate() {
        let bucket = crossfade::bucket::bucket("recs", format!("user-{user}").as_bytes());
        assert_eq!(is_v2, bucket < 30_000, "user-{user} in bucket {bucket}");
    }
}

#[tokio::test]
async fn the_primary_is_scored_like_the_shadow_and_only_its_answer_is_served() {
    let (proxy, v1, v2) = cutover(&at(100.0)).await;
    v1.behave(Behaviour::Answer(Reply::fallback()));
    for answer in proxy.burst(0..20).await {
        assert_eq!(answer.header("crossfade-served-by"), Some("v2"));
        assert_eq!(answer.body, Reply::rich().body);
    }
    let scored = |role: &str, backend: &str, metrics: &Metrics| {
        metrics.count("crossfade_outcomes_total", &[("role", role), ("backend", backend)])
    };
    let both = |it: &Metrics| scored("primary", "v2", it) == 20 && scored("shadow", "v1", it) == 20;
    let metrics = proxy.until("all scored", both).await;
    assert_eq!(metrics.count("crossfade_pairs_total", &[("v1", "fallback"), ("v2", "rich")]), 20);
    assert_eq!(metrics.count("crossfade_served_outcomes_total", &[("outcome", "rich")]), 20);
    assert_eq!((v1.count(), v2.count()), (20, 20));
    proxy.at_rest().await;
}

#[tokio::test]
async fn forced_requests_go_to_v2_at_zero_percent() {
    let forced = "force_v2 = { header = { \"x-user-id\" = [\"qa-1\", \"qa-2\"] } }";
    let (proxy, _v1, _v2) = cutover(&format!("{}\n{forced}", at(0.0))).await;
    let served = async |user: &str| {
        let answer = proxy.send(&Request::get("/recommendations/x").header("x-user-id", user)).await;
        answer.header("crossfade-served-by").map(str::to_owned)
    };
    assert_eq!(served("qa-2").await.as_deref(), Some("v2"));
    assert_eq!(served("qa-3").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn zero_percent_moves_everybody_back_on_the_next_request() {
    for how in [Write::InPlace, Write::Rename] {
        let (mut proxy, _v1, _v2) = cutover(&at(100.0)).await;
        assert_eq!(count(&served_by_v2(&proxy.burst(0..20).await)), 20);
        // A connection that was open before counts as well.
        let mut client = proxy.connect().await;
        let request = Request::get("/recommendations/user-1").header("x-user-id", "user-1");
        let before = client.send(&request).await.expect("an answer");
        assert_eq!(before.header("crossfade-served-by"), Some("v2"));
        proxy.write_rollout(how, &at(0.0));
        until_percent(&proxy, 0.0).await;
        let after = client.send(&request).await.expect("an answer");
        assert_eq!(after.header("crossfade-served-by"), Some("v1"), "{how:?}");
        assert_eq!(count(&served_by_v2(&proxy.burst(0..200).await)), 0, "{how:?}");
    }
}

#[tokio::test]
async fn a_request_keeps_the_revision_it_began_with() {
    let (mut proxy, _v1, v2) = cutover(&at(100.0)).await;
    v2.behave(Behaviour::SlowHead(Reply::rich()));
    let request = Request::get("/recommendations/user-1").header("x-user-id", "user-1");
    let mut client = proxy.connect().await;
    client.start(&request).await.expect("the proxy reads");
    v2.until_received(1).await;
    proxy.write_rollout(Write::Rename, &at(0.0));
    until_percent(&proxy, 0.0).await;
    v2.release(1);
    let answer = client.finish(&request).await.expect("an answer");
    assert_eq!(answer.header("crossfade-served-by"), Some("v2"));
}

#[tokio::test]
async fn the_stages_off_and_complete_call_one_backend() {
    let (mut proxy, v1, v2) = cutover("stage = \"off\"").await;
    assert_eq!(count(&served_by_v2(&proxy.burst(0..20).await)), 0);
    assert_eq!((v1.count(), v2.count()), (20, 0));
    proxy.write_rollout(Write::Rename, "stage = \"complete\"");
    until_percent(&proxy, 100.0).await;
    assert_eq!(count(&served_by_v2(&proxy.burst(0..20).await)), 20);
    assert_eq!((v1.count(), v2.count()), (20, 20));
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_rescued_consumer_gets_v1s_rich_answer_and_v2_its_fallback() {
    let (proxy, v1, v2) = cutover(&format!("{}\nrescue = true", at(100.0))).await;
    let causes: BTreeMap<&str, Behaviour> = BTreeMap::from([
        ("empty", Behaviour::Answer(Reply::fallback())),
        ("reset", Behaviour::ResetInBody),
        ("status", Behaviour::Answer(Reply::new(500, "broken"))),
    ]);
    let v1s = Reply::rich().header("x-from", "v1");
    v1.behave(Behaviour::Answer(v1s.clone()));
    for (cause, behaviour) in causes {
        v2.behave(behaviour);
        let answer = proxy.get("/recommendations/user-1").await;
        assert_eq!((answer.status, &answer.body), (200, &v1s.body), "{cause}");
        assert_eq!(answer.header("x-from"), Some("v1"));
        assert_eq!(answer.header("crossfade-served-by"), Some("v1"));
        assert_eq!(answer.header("crossfade-rescued"), Some(cause));
        let rescued = |it: &Metrics| it.count("crossfade_rescued_total", &[("cause", cause)]) == 1;
        proxy.until(&format!("rescued from {cause}"), |it| rescued(it) && it.fallbacks("v2", cause) == 1).await;
    }
    // Nothing to rescue with: V2's own answer is better than none.
    v1.behave(Behaviour::Answer(Reply::new(500, "also broken")));
    v2.behave(Behaviour::Answer(Reply::fallback()));
    let answer = proxy.get("/recommendations/user-1").await;
    assert_eq!(answer.header("crossfade-served-by"), Some("v2"));
    assert_eq!(answer.body, Reply::fallback().body);
    let metrics = proxy.at_rest().await;
    assert_eq!(metrics.count("crossfade_served_outcomes_total", &[("outcome", "rich")]), 3);
}
