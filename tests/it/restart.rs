//! The end of the process, expected or not, and what the next one knows.

use crate::world::{Behaviour, Metrics, Origin, Proxy, Raw, Reply, Request, World, soon};

const ENFORCED: &str = "stage = \"cutover\"\npercent = 50\nslo = 0.95\nblip = \"0s\"\nkey = [\"header:x-user-id\"]";

async fn world(v1: &Origin, v2: &Origin) -> Proxy {
    World::new().v1(v1).v2(v2).rollout(ENFORCED).start().await
}

fn is_rolled_back(metrics: &Metrics) -> bool {
    metrics.count("crossfade_phase", &[("phase", "rolled_back")]) == 1
}

#[tokio::test]
async fn a_rollback_survives_kill_9() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let mut proxy = world(&v1, &v2).await;
    proxy.burst(0..100).await;
    let metrics = proxy.until("a rollback", is_rolled_back).await;
    assert_eq!(metrics.percent("effective"), Some(0.0));
    // A step down is in force some milliseconds before it is on the disk; what survives is what is there.
    let on_disk = async {
        while !proxy.admin_get("/api/v1/dependencies/recs/history?kind=rollback").await.text().contains("rollback") {}
    };
    soon("the rollback on the disk", on_disk).await;
    proxy.kill9().await;
    proxy.restart().await;
    let metrics = proxy.metrics().await;
    assert!(is_rolled_back(&metrics), "{metrics:?}");
    assert_eq!(metrics.percent("effective"), Some(0.0));
    for answer in proxy.burst(0..100).await {
        assert_eq!(answer.header("crossfade-served-by"), Some("v1"));
    }
}

#[tokio::test]
async fn no_restart_allows_more_than_was_proven() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    for _ in 0..5 {
        proxy.burst(0..60).await;
        let allowed = proxy.metrics().await.percent("allowed");
        proxy.kill9().await;
        proxy.restart().await;
        let metrics = proxy.metrics().await;
        assert!(metrics.percent("allowed") <= allowed, "{metrics:?}, allowed before: {allowed:?}");
        assert_eq!(metrics.percent("effective"), Some(0.0));
    }
}

#[tokio::test]
async fn a_damaged_state_is_no_permission() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    proxy.burst(0..50).await;
    proxy.kill9().await;
    proxy.damage_state();
    proxy.restart().await;
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.percent("effective"), Some(0.0), "{metrics:?}");
    assert_eq!(proxy.get("/recommendations/user-1").await.status, 200);
}

#[tokio::test]
async fn sigterm_completes_what_is_under_way() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let limits = "drain_timeout = \"10s\"";
    let mut proxy = World::new().v1(&v1).v2(&v2).limits(limits).rollout(ENFORCED).start().await;
    let request = Request::get("/recommendations/user-1");
    let (mut client, mut idle) = (proxy.connect().await, proxy.connect().await);
    idle.send(&request).await.expect("an answer");
    let (mut silent, mut forgotten) = (Raw::connect(proxy.address()).await, Raw::connect(proxy.address()).await);
    v1.behave(Behaviour::SlowHead(Reply::rich()));
    client.start(&request).await.expect("the proxy reads");
    v1.until_received(2).await;
    proxy.signal("TERM");
    // The port closes while the answer is under way.
    soon("the port to close", async { while !proxy.refuses().await {} }).await;
    v1.release(1);
    let answer = soon("the answer", client.finish(&request)).await.expect("the answer is completed");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(answer.body, Reply::rich().body);
    // Whoever had no answer yet that could tell them may ask once more.
    v1.behave(Behaviour::Answer(Reply::rich()));
    let answer = idle.send(&request).await.expect("an idle connection is not closed under a request");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    silent.write("GET /recommendations/user-1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = String::from_utf8(silent.read_to_end().await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(forgotten.is_ended().await);
    assert_eq!(proxy.exit().await.code(), Some(0));
}

#[tokio::test]
async fn readiness_ends_first() {
    let (v1, v2) = (Origin::start(Behaviour::SlowHead(Reply::rich())), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    assert_eq!(proxy.admin_get("/readyz").await.status, 200);
    assert_eq!(proxy.admin_get("/healthz").await.status, 200);
    let mut client = proxy.connect().await;
    client.start(&Request::get("/recommendations/user-1")).await.expect("the proxy reads");
    v1.until_received(1).await;
    proxy.signal("TERM");
    soon("readiness to end", async { while proxy.admin_get("/readyz").await.status != 503 {} }).await;
    assert_eq!(proxy.admin_get("/healthz").await.status, 200);
    v1.release(1);
    assert_eq!(proxy.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (v1, v2) = (Origin::start(Behaviour::Hang), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    let mut client = proxy.connect().await;
    client.start(&Request::get("/recommendations/user-1")).await.expect("the proxy reads");
    v1.until_received(1).await;
    proxy.signal("TERM");
    soon("the port to close", async { while !proxy.refuses().await {} }).await;
    proxy.signal("INT");
    soon("the process to end", proxy.exit()).await;
}
