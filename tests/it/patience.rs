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

/// Long enough for an idle connection to rest: as long as `header_timeout`, which is 400 ms.
async fn let_rest(proxy: &Proxy) {
    let mut slow = Raw::connect(proxy.address()).await;
    slow.write("G").await;
    assert_eq!(slow.read_to_end().await, b"");
}

const ASK: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async fn assert_answer(raw: &mut Raw) {
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("connection: close"), "{head}");
    assert_eq!(raw.read_exactly(17).await, "{\"items\":[1,2,3]}");
}

#[tokio::test]
async fn a_connection_that_rested_serves_on_and_loses_nothing() {
    let (proxy, v1, _v2) = proxy("header_timeout = \"400ms\"").await;
    let mut silent = Raw::connect(proxy.address()).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.write(format!("{ASK}\r\n")).await;
    assert_answer(&mut raw).await;
    let_rest(&proxy).await;
    // In one piece with the next one, and the content of a third.
    raw.write(format!("\r\n{ASK}{ASK}POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")).await;
    for _ in 0..3 {
        assert_answer(&mut raw).await;
    }
    let_rest(&proxy).await;
    // Byte by byte.
    for byte in ASK.bytes() {
        raw.write([byte]).await;
    }
    assert_answer(&mut raw).await;
    silent.write(ASK).await;
    assert_answer(&mut silent).await;
    assert_eq!(v1.count(), 6);
    raw.end().await;
    assert!(raw.is_ended().await);
}

#[tokio::test]
async fn a_resting_connection_keeps_its_limits() {
    let (proxy, v1, _v2) = proxy("header_timeout = \"400ms\"\nidle_timeout = \"2s\"").await;
    let mut rested = Raw::connect(proxy.address()).await;
    rested.write(ASK).await;
    assert_answer(&mut rested).await;
    let mut idle = Raw::connect(proxy.address()).await;
    idle.write(ASK).await;
    assert_answer(&mut idle).await;
    let_rest(&proxy).await;
    rested.write("GET / HTTP/1.1\r\nHo").await;
    assert_eq!(rested.read_to_end().await, b"");
    until_refused(&proxy, "slow_head", 2).await;
    assert!(idle.is_ended().await);
    assert_eq!(v1.count(), 2);
}

#[tokio::test]
async fn a_resting_connection_counts_as_one() {
    let (proxy, _v1, _v2) = proxy("header_timeout = \"400ms\"\nmax_connections = 2").await;
    let mut rested = Raw::connect(proxy.address()).await;
    rested.write(ASK).await;
    assert_answer(&mut rested).await;
    let_rest(&proxy).await;
    let mut second = Raw::connect(proxy.address()).await;
    second.write(ASK).await;
    // Where it came before the slow one was counted off.
    while second.read_head().await.is_empty() {
        second = Raw::connect(proxy.address()).await;
        second.write(ASK).await;
    }
    let mut third = Raw::connect(proxy.address()).await;
    assert_eq!(third.read_to_end().await, b"");
    let refused = |it: &Metrics| it.count("crossfade_refused_total", &[("reason", "max_connections")]) > 0;
    proxy.until("one refused", refused).await;
    rested.write(ASK).await;
    assert_answer(&mut rested).await;
}

#[tokio::test]
async fn what_comes_after_a_rest_is_looked_at_as_strictly() {
    let (proxy, v1, _v2) = proxy("header_timeout = \"400ms\"").await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.write(ASK).await;
    assert_answer(&mut raw).await;
    let_rest(&proxy).await;
    raw.write("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx").await;
    let answer = String::from_utf8(raw.read_to_end().await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert_eq!(v1.count(), 1);
}
