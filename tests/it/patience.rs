//! Consumers that take their time, on purpose or not: each has its limit, is counted, and is nobody else's failure.

use crate::world::{Behaviour, Metrics, Origin, Proxy, Raw, Reply, World};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";

async fn proxy(limits: &str) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let timeout = "timeout = \"500ms\"";
    let world = World::new().v1(&v1).v1_with(timeout).v2(&v2).v2_with(timeout);
    (world.limits(limits).rollout(SHADOW).start().await, v1, v2)
}

async fn until_refused(proxy: &Proxy, reason: &str, count: u64) {
    let refused = |it: &Metrics| it.count("crossfade_refused_total", &[("reason", reason)]) == count;
    proxy.until(reason, refused).await;
}

#[tokio::test]
async fn a_slow_head_ends_its_connection_and_an_idle_one_is_no_refusal() {
    let (proxy, v1, _v2) = proxy("header_timeout = \"300ms\"\nidle_timeout = \"600ms\"").await;
    let mut slow = Raw::connect(proxy.address()).await;
    slow.write("GET / HTTP/1.1\r\nHo").await;
    assert_eq!(slow.read_to_end().await, b"");
    until_refused(&proxy, "slow_head", 1).await;
    let mut idle = Raw::connect(proxy.address()).await;
    idle.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(String::from_utf8_lossy(&idle.read_to_end().await).ends_with("{\"items\":[1,2,3]}"));
    assert_eq!((proxy.metrics().await.count("crossfade_refused_total", &[]), v1.count()), (1, 1));
}

#[tokio::test]
async fn an_upload_that_stops_is_no_backends_timeout() {
    let (proxy, _v1, _v2) = proxy("").await;
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut stalled = Raw::connect(proxy.address()).await;
        stalled.write(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}")).await;
        let answer = String::from_utf8(stalled.read_to_end().await).expect("text");
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    }
    until_refused(&proxy, "slow_consumer", 2).await;
    let metrics = proxy.at_rest().await;
    assert_eq!((metrics.outcomes("v1"), metrics.outcomes("v2")), ([0, 0, 2], [0, 0, 0]));
    assert_eq!(metrics.count("crossfade_shadow_skipped_total", &[("reason", "aborted")]), 2);
}

#[tokio::test]
async fn content_that_is_none_is_no_backends_failure() {
    let (proxy, _v1, _v2) = proxy("").await;
    let mut broken = Raw::connect(proxy.address()).await;
    broken.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n").await;
    let answer = String::from_utf8(broken.read_to_end().await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    until_refused(&proxy, "chunk", 1).await;
    let metrics = proxy.at_rest().await;
    assert_eq!((metrics.outcomes("v1"), metrics.outcomes("v2")), ([0, 0, 1], [0, 0, 0]));
}

#[tokio::test]
async fn a_consumer_that_takes_nothing_of_its_answer_is_closed_and_counted() {
    let (proxy, v1, _v2) = proxy("idle_timeout = \"300ms\"").await;
    v1.behave(Behaviour::Endless);
    let mut deaf = Raw::connect(proxy.address()).await;
    deaf.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until_refused(&proxy, "slow_consumer", 1).await;
    deaf.read_to_end().await;
    let metrics = proxy.at_rest().await;
    assert_eq!(metrics.count("crossfade_requests_total", &[("code", "aborted")]), 1);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted() {
    let (proxy, _v1, _v2) = proxy("max_connections = 2").await;
    let ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.write(ask).await;
        assert!(raw.read_head().await.starts_with("HTTP/1.1 200 "));
        open.push(raw);
    }
    let mut third = Raw::connect(proxy.address()).await;
    third.write(ask).await;
    assert_eq!(third.read_to_end().await, b"");
    until_refused(&proxy, "max_connections", 1).await;
    drop(open);
}
