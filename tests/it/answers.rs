//! Backends are not trusted: a broken answer of V1 is one clean failure for one consumer, and one of V2 is nobody's (RFC 9112,
//! sections 6 and 7; RFC 9209).
//!
//! In the tables a line break stands for CR LF, `␊` for a bare LF, `␍` for a bare CR, and `␀` for NUL.

use crate::world::{Behaviour, Metrics, Origin, Proxy, Raw, Reply, Request, Script, World};

const OFF: &str = "stage = \"off\"";
const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";

/// Answers whose head is none.
const BAD_HEADS: &[&str] = &[
    "",
    "x",
    "\n",
    "HTTP/1.1\n\n",
    "HTTP/1.1 \n\n",
    "HTTP/1.1 20 OK\n\n",
    "HTTP/1.1 2000 OK\n\n",
    "HTTP/1.1 2x0 OK\n\n",
    "HTTP/1.1 -20 OK\n\n",
    "HTTP/1.1 099 OK\n\n",
    "HTTP/1.1  200 OK\n\n",
    "HTTP/2 200 OK\n\n",
    "HTTP/2.0 200 OK\n\n",
    "HTTP/1.2 200 OK\n\n",
    "http/1.1 200 OK\n\n",
    "ICY 200 OK\n\n",
    "SSH-2.0-OpenSSH_9.2\n",
    "<html>no</html>",
    "200 OK\n\n",
    "HTTP/1.1 200 OK\nContent-Length: 2",
    "HTTP/1.1 200 OK\na\n\nok",
    "HTTP/1.1 200 OK\n: a\n\nok",
    "HTTP/1.1 200 OK\na b: c\n\nok",
    "HTTP/1.1 200 OK\na: b\n c\n\nok",
    "HTTP/1.1 200 OK\n a: b\n\nok",
    "HTTP/1.1 200 OK\na: b␀\n\nok",
    "HTTP/1.1 200 OK\na: b␍c\n\nok",
    "HTTP/1.1 200 OK\na␀: b\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: x\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: -2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: +2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 0x2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2 2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2,3\n\nok",
    "HTTP/1.1 200 OK\nContent-Length:\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 99999999999999999999\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 2\n\n2\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n2\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked, chunked\n\n2\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked, identity\n\n2\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: identity\n\nok",
    "HTTP/1.1 200 OK\nTransfer-Encoding: xchunked\n\n2\nok\n0\n\n",
    "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
    "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n\n",
    "HTTP/1.1 100 Continue\n\n",
    "HTTP/1.1 100 Continue\n\nx",
    "HTTP/1.1 103 Early Hints\na\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok",
];

/// Answers that begin well.
const BAD_CONTENT: &[&str] = &[
    "Content-Length: 5\n\nok",
    "Content-Length: 18446744073709551\n\nok",
    "Transfer-Encoding: chunked\n\n",
    "Transfer-Encoding: chunked\n\n2\nok\n",
    "Transfer-Encoding: chunked\n\n2\nok\n0\n",
    "Transfer-Encoding: chunked\n\n5\nok",
    "Transfer-Encoding: chunked\n\nx\nok\n0\n\n",
    "Transfer-Encoding: chunked\n\n-2\nok\n0\n\n",
    "Transfer-Encoding: chunked\n\n0x2\nok\n0\n\n",
    "Transfer-Encoding: chunked\n\n 2\nok\n0\n\n",
    "Transfer-Encoding: chunked\n\n10000000000000002\nok\n0\n\n",
    "Transfer-Encoding: chunked\n\n2\nokay\n0\n\n",
    "Transfer-Encoding: chunked\n\n2␊ok\n0\n\n",
    "Transfer-Encoding: chunked\n\n2\nok0\n\n",
    "Transfer-Encoding: chunked\n\n2\nok\n0\na b: c\n\n",
];

/// Answers with one reading, whatever one may think of them; the content is `ok`.
const GOOD: &[&str] = &[
    "HTTP/1.1 200 OK\n\nok",
    "HTTP/1.0 200 OK\n\nok",
    "HTTP/1.1 200\n\nok",
    "HTTP/1.1 200 \n\nok",
    "HTTP/1.1 200 Very \u{e9} good\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length : 2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2, 2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 02\n\nok",
    "HTTP/1.1 200 OK␊Content-Length: 2␊␊ok",
    "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n2;a=b\nok\n0\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n02\nok\n000\nt: u\n\n",
    "HTTP/1.1 200 OK\nConnection: transfer-encoding, content-length\nContent-Length: 2\n\nok",
    "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok",
];

fn bytes(text: &str) -> Vec<u8> {
    let wire = text.replace('\n', "\r\n").replace('␊', "\n").replace('␍', "\r").replace('␀', "\0");
    wire.chars().flat_map(|c| if (c as u32) < 256 { vec![c as u8] } else { c.to_string().into_bytes() }).collect()
}

/// Everything the consumer gets on one connection that it wants to close.
async fn ask(proxy: &Proxy) -> String {
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("GET /recommendations/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    String::from_utf8_lossy(&consumer.read_to_end().await).into_owned()
}

fn final_answers(text: &str) -> usize {
    text.split("\r\n").filter(|line| line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.1 1")).count()
}

#[tokio::test]
async fn a_broken_head_of_v1_is_one_bad_gateway_for_one_consumer() {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    for case in BAD_HEADS {
        v1.behave(Behaviour::Garbage(bytes(case)));
        let answer = ask(&proxy).await;
        assert!(answer.contains("HTTP/1.1 502 Bad Gateway\r\n"), "{case:?} became {answer:?}");
        assert!(answer.contains("proxy-status: crossfade; error="), "{case:?} became {answer:?}");
        assert_eq!(final_answers(&answer), 1, "{case:?} became {answer:?}");
        v1.behave(Behaviour::Answer(Reply::rich()));
        assert!(ask(&proxy).await.ends_with("{\"items\":[1,2,3]}"), "after {case:?}");
    }
    proxy.at_rest().await;
}

#[tokio::test]
async fn broken_content_of_v1_ends_that_consumers_connection() {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    for case in BAD_CONTENT {
        v1.behave(Behaviour::Garbage(bytes(&format!("HTTP/1.1 200 OK\n{case}"))));
        let answer = ask(&proxy).await;
        assert!(final_answers(&answer) <= 1, "{case:?} became {answer:?}");
        let looks_complete = answer.ends_with("0\r\n\r\n") || answer.to_lowercase().contains("content-length: 2\r\n");
        assert!(!looks_complete, "{case:?} became {answer:?}");
        v1.behave(Behaviour::Answer(Reply::rich()));
        assert!(ask(&proxy).await.ends_with("{\"items\":[1,2,3]}"), "after {case:?}");
    }
    proxy.at_rest().await;
}

#[tokio::test]
async fn what_has_one_reading_passes_in_that_reading() {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    for case in GOOD {
        v1.behave(Behaviour::Garbage(bytes(case)));
        let answer = ask(&proxy).await;
        let head = answer.to_lowercase();
        let chunked = head.contains("transfer-encoding: chunked\r\n") && answer.ends_with("2\r\nok\r\n0\r\n\r\n");
        let counted = head.matches("content-length: 2\r\n").count() == 1 && answer.ends_with("\r\n\r\nok");
        assert!(chunked != counted, "{case:?} became {answer:?}");
    }
    proxy.at_rest().await;
}

#[tokio::test]
async fn nothing_that_v2_answers_reaches_the_consumer() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let world = World::new().v1(&v1).v2(&v2).v2_with("timeout = \"2s\"");
    let proxy = world.rollout(SHADOW).start().await;
    let broken = BAD_CONTENT.iter().map(|case| format!("HTTP/1.1 200 OK\n{case}"));
    let cases: Vec<_> = BAD_HEADS.iter().map(|case| (*case).to_owned()).chain(broken).collect();
    let count = cases.len() as u64;
    for case in cases {
        v2.behave(Behaviour::Garbage(bytes(&case)));
        let before = v2.count();
        let answer = proxy.get("/recommendations/a").await;
        assert_eq!((answer.status, answer.body), (200, Reply::rich().body), "{case:?}");
        v2.until_received(before + 1).await;
    }
    proxy.until("as many fallbacks", |metrics: &Metrics| metrics.outcomes("v2") == [0, count, 0]).await;
    assert_eq!(proxy.at_rest().await.outcomes("v1"), [count, 0, 0]);
}

#[tokio::test]
async fn heads_of_answers_are_bounded() {
    let v1 = Origin::start(Behaviour::HugeHead(1 << 20));
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    assert_eq!(proxy.get("/").await.status, 502);
    let many = "x: y\n".repeat(200);
    v1.behave(Behaviour::Garbage(bytes(&format!("HTTP/1.1 200 OK\n{many}Content-Length: 2\n\nok"))));
    assert_eq!(proxy.get("/").await.status, 502);
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_cut_short() {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    let flood = "HTTP/1.1 102 Processing\n\n".repeat(10_000);
    v1.behave(Behaviour::Garbage(bytes(&format!("{flood}HTTP/1.1 200 OK\nContent-Length: 2\n\nok"))));
    let answer = ask(&proxy).await;
    assert!(answer.ends_with("\r\n\r\nok") && answer.matches("102 Processing").count() <= 64);
    proxy.at_rest().await;
}

#[tokio::test]
async fn what_follows_an_answer_is_never_the_next_consumers() {
    let script = Script::start().await;
    let proxy = World::new().v1_at(script.address()).v2_at(script.address()).rollout(OFF).start().await;
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (request, answer, content) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "2\r\nok\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", ""),
    ] {
        let mut consumer = Raw::connect(proxy.address()).await;
        consumer.write(format!("{request} /1 HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let mut first = script.accept().await;
        first.read_head().await;
        first.write([answer, evil].concat()).await;
        assert!(consumer.read_head().await.starts_with("HTTP/1.1 "));
        assert_eq!(consumer.read_exactly(content.len()).await, content, "{answer}");
        consumer.write("GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut second = script.accept().await;
        assert!(second.read_head().await.starts_with("GET /2 "), "on a connection of its own");
        second.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood").await;
        let answer = String::from_utf8(consumer.read_to_end().await).expect("text");
        assert!(answer.ends_with("good"), "{answer}");
        assert!(first.is_ended().await);
    }
}

#[tokio::test]
async fn an_answer_to_nothing_is_no_answer() {
    let script = Script::start().await;
    let proxy = World::new().v1_at(script.address()).v2_at(script.address()).rollout(OFF).start().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = script.accept().await;
    first.read_head().await;
    first.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(consumer.read_exactly(2).await, "ok");
    first.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil").await;
    assert!(first.is_ended().await, "an idle connection that says something is closed");
    consumer.write("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut second = script.accept().await;
    second.read_head().await;
    second.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(consumer.read_exactly(4).await, "good");
}

#[tokio::test]
async fn a_connection_that_is_still_sending_is_not_used_again() {
    let script = Script::start().await;
    let proxy = World::new().v1_at(script.address()).v2_at(script.address()).rollout(OFF).start().await;
    let mut slow = Raw::connect(proxy.address()).await;
    slow.write("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe").await;
    let mut first = script.accept().await;
    first.read_head().await;
    first.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(slow.read_head().await.starts_with("HTTP/1.1 200 "));
    let mut other = Raw::connect(proxy.address()).await;
    other.write("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut second = script.accept().await;
    assert!(second.read_head().await.starts_with("GET /2 "), "and nobody waits for it");
    second.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
    assert!(other.read_head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn v1_that_never_answers_is_a_gateway_timeout() {
    let v1 = Origin::start(Behaviour::Hang);
    let proxy = World::new().v1(&v1).v1_with("timeout = \"200ms\"").v2(&v1).rollout(OFF).start().await;
    let answer = proxy.send(&Request::get("/")).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("proxy-status"), Some("crossfade; error=http_response_timeout"));
    proxy.at_rest().await;
}
