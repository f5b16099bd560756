//! The duties of an intermediary: what it takes out, adds, counts down, passes on and keeps apart (RFC 9110, sections 7, 10 and
//! 15; RFC 9112, section 9; RFC 7239; W3C Trace Context).

use crate::world::{Behaviour, Origin, Proxy, Raw, Reply, Request, Script, World};

const OFF: &str = "stage = \"off\"";
const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A proxy in front of a backend that does what the test says.
async fn scripted() -> (Proxy, Script) {
    scripted_with(World::new()).await
}

async fn scripted_with(world: World) -> (Proxy, Script) {
    let script = Script::start().await;
    let proxy = world.v1_at(script.address()).v2_at(script.address()).rollout(OFF).start().await;
    (proxy, script)
}

/// What the backend gets for a request, and what the consumer gets for its answer; both as lines of heads.
async fn pass(proxy: &Proxy, script: &Script, request: &str, answer: &str) -> (Vec<String>, Vec<String>) {
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write(request.replace('\n', "\r\n")).await;
    let mut backend = script.accept().await;
    let got = backend.read_lines().await;
    backend.write(answer.replace('\n', "\r\n")).await;
    drop(backend);
    (got, consumer.read_lines().await)
}

fn without(lines: Vec<String>, names: &[&str]) -> Vec<String> {
    let is_named = |line: &String| names.iter().any(|name| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    lines.into_iter().filter(|line| !is_named(line)).collect()
}

const OURS: [&str; 6] =
    ["via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "date", "crossfade-served-by"];

#[tokio::test]
async fn what_belongs_to_a_connection_stays_there_and_the_rest_keeps_its_order() {
    let (proxy, script) = scripted().await;
    let request = "GET /a HTTP/1.1\nHost: x\nX-One: 1\nConnection: keep-alive, X-Hop\nKeep-Alive: timeout=5\nACCEPT: a\nX-Hop: 1\n\
                   Proxy-Connection: keep-alive\nTE: gzip\nUpgrade: h2c\nX-Two: 2\nX-one: 3\nAuthorization: a\nCookie: b\nX-Three: 4\n\n";
    let answer = "HTTP/1.1 200 OK\nX-One: 1\nConnection: X-Hop, close, content-length, set-cookie\nSet-Cookie: a\nX-HOP: 1\nKeep-Alive: timeout=5\n\
                  X-Two: 2\nSet-cookie: b\nProxy-Connection: close\nUpgrade: h2c\nContent-Length: 2\nX-Three: 3\n\nok";
    let (got, given) = pass(&proxy, &script, request, answer).await;
    let host = format!("Host: {}", script.address());
    let expected = [
        "GET /a HTTP/1.1",
        &host,
        "X-One: 1",
        "X-one: 3",
        "ACCEPT: a",
        "X-Two: 2",
        "Authorization: a",
        "Cookie: b",
        "X-Three: 4",
    ];
    assert_eq!(without(got, &OURS), expected);
    let expected = [
        "HTTP/1.1 200 OK",
        "X-One: 1",
        "Set-Cookie: a",
        "Set-cookie: b",
        "X-Two: 2",
        "Content-Length: 2",
        "X-Three: 3",
    ];
    assert_eq!(without(given, &OURS), expected);
}

#[tokio::test]
async fn every_hop_is_named_in_via() {
    let (proxy, script) = scripted().await;
    let request = "GET / HTTP/1.0\nHost: x\nVia: 1.0 a, 1.1 b\n\n";
    let (got, given) = pass(&proxy, &script, request, "HTTP/1.1 200 OK\nVia: 2 c\nContent-Length: 0\n\n").await;
    assert_eq!(
        got.iter().filter(|line| line.to_lowercase().starts_with("via")).collect::<Vec<_>>(),
        ["Via: 1.0 a, 1.1 b", "via: 1.0 crossfade"]
    );
    assert_eq!(
        given.iter().filter(|line| line.to_lowercase().starts_with("via")).collect::<Vec<_>>(),
        ["Via: 2 c", "via: 1.1 crossfade"]
    );
}

#[tokio::test]
async fn a_stranger_cannot_say_where_it_comes_from_and_a_trusted_proxy_can() {
    let request =
        "GET / HTTP/1.1\nHost: x:1\nX-Forwarded-For: 6.6.6.6\nForwarded: for=6.6.6.6\nX-Forwarded-Proto: https\n\n";
    let forwarded = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().map(|line| line.to_lowercase()).filter(|line| line.contains("forwarded")).collect()
    };
    let (proxy, script) = scripted().await;
    let (got, _) = pass(&proxy, &script, request, OK).await;
    assert_eq!(forwarded(got), ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-forwarded-host: x:1"]);
    let (proxy, script) =
        scripted_with(World::new().top("[forwarded]\ntrust = [\"127.0.0.0/8\"]\nheaders = \"both\"")).await;
    let (got, _) = pass(&proxy, &script, request, OK).await;
    let expected = [
        "x-forwarded-for: 6.6.6.6, 127.0.0.1",
        "forwarded: for=6.6.6.6",
        "forwarded: for=127.0.0.1;host=\"x:1\";proto=http",
        "x-forwarded-proto: https",
        "x-forwarded-host: x:1",
    ];
    assert_eq!(forwarded(got), expected);
}

#[tokio::test]
async fn the_key_client_ip_is_the_consumer_behind_a_trusted_proxy() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let rollout = "stage = \"cutover\"\nslo = 0.5\npercent = 0\nkey = [\"client-ip\"]";
    let trusting =
        World::new().v1(&v1).v2(&v2).rollout(rollout).top("[forwarded]\ntrust = [\"127.0.0.1\"]").start().await;
    trusting.send(&Request::get("/").header("x-forwarded-for", "1.2.3.4")).await;
    assert_eq!(v1.received()[0].header("x-forwarded-for"), Some("1.2.3.4, 127.0.0.1"));
}

#[tokio::test]
async fn a_trace_goes_on_with_a_span_for_each_leg() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    proxy.send(&Request::get("/").header("traceparent", parent).header("tracestate", "a=b,c=d")).await;
    v2.until_received(1).await;
    let [ours, theirs] = [&v1.received()[0], &v2.received()[0]];
    let spans = [ours, theirs].map(|it| it.header("traceparent").expect("a trace").to_owned());
    for span in &spans {
        assert!(span.starts_with(&parent[..36]) && span.ends_with("-01") && span.len() == parent.len(), "{span}");
        assert_ne!(span, parent);
    }
    assert_ne!(spans[0], spans[1]);
    assert_eq!((ours.header("tracestate"), theirs.header("tracestate")), (Some("a=b,c=d"), Some("a=b,c=d")));
    proxy.send(&Request::get("/").header("traceparent", "nonsense")).await;
    proxy.send(&Request::get("/")).await;
    v2.until_received(3).await;
    let traces: Vec<_> = v1.received()[1..].iter().map(|it| it.header("traceparent").map(str::to_owned)).collect();
    assert_eq!(traces, [Some("nonsense".to_owned()), None]);
}

#[tokio::test]
async fn hops_are_counted_and_the_last_one_answers_itself() {
    let (proxy, script) = scripted().await;
    let (got, _) = pass(&proxy, &script, "OPTIONS * HTTP/1.1\nHost: x\nMax-Forwards: 3\n\n", OK).await;
    assert!(got.contains(&"OPTIONS * HTTP/1.1".to_owned()) && got.contains(&"Max-Forwards: 2".to_owned()), "{got:?}");
    let (got, _) = pass(&proxy, &script, "TRACE /a HTTP/1.1\nHost: x\nMax-Forwards: 1\n\n", OK).await;
    assert!(got.contains(&"Max-Forwards: 0".to_owned()), "{got:?}");
    let (got, _) = pass(&proxy, &script, "GET /a HTTP/1.1\nHost: x\nMax-Forwards: 0\n\n", OK).await;
    assert!(got.contains(&"Max-Forwards: 0".to_owned()), "{got:?}");
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer
        .write("TRACE /a HTTP/1.1\r\nHost: x\r\nCookie: secret\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n")
        .await;
    assert!(consumer.read_head().await.contains("message/http"));
    assert_eq!(consumer.read_to_end().await, b"TRACE /a HTTP/1.1\r\nhost: x\r\nmax-forwards: 0\r\n\r\n");
}

#[tokio::test]
async fn a_trace_never_shows_what_the_proxy_adds() {
    let (proxy, _script) = scripted_with(World::new().v1_with("request = { set = { x-key = \"secret\" } }")).await;
    let answer = proxy.send(&Request::new("TRACE", "/")).await;
    assert_eq!(answer.status, 501);
}

#[tokio::test]
async fn the_consumer_is_told_to_continue_when_the_backend_says_so() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let mut backend = script.accept().await;
    assert!(backend.read_head().await.contains("Expect: 100-continue"));
    backend.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(consumer.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    consumer.write("hello").await;
    assert_eq!(backend.read_exactly(5).await, "hello");
    backend.write(OK).await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_backend_that_does_not_want_the_content_never_gets_it() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    backend.write("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 403 "), "without a 100 before");
    assert!(consumer.is_ended().await, "what the consumer sends next would be content or a request");
    assert!(backend.is_ended().await);
}

#[tokio::test]
async fn a_backend_that_knows_nothing_of_expectations_gets_the_content() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    assert_eq!(consumer.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    consumer.write("hello").await;
    assert_eq!(backend.read_exactly(5).await, "hello");
    backend.write(OK).await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn interim_answers_are_passed_on_in_order() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    backend.write("HTTP/1.1 102 Processing\r\n\r\n").await;
    assert_eq!(consumer.read_head().await, "HTTP/1.1 102 Processing\r\n\r\n");
    backend
        .write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: y\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        .await;
    assert_eq!(consumer.read_head().await, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    assert_eq!(consumer.read_head().await, "HTTP/1.1 102 Processing\r\n\r\n");
    backend.write(["HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n", OK].concat()).await;
    assert_eq!(consumer.read_head().await, "HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n");
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(consumer.read_exactly(2).await, "ok");
}

#[tokio::test]
async fn a_consumer_of_http_1_0_gets_neither_interim_answers_nor_chunks() {
    let (proxy, script) = scripted().await;
    let chunked =
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("GET / HTTP/1.0\r\n\r\n").await;
    let mut backend = script.accept().await;
    assert!(backend.read_head().await.starts_with("GET / HTTP/1.1\r\n"));
    backend.write(chunked).await;
    let answer = String::from_utf8(consumer.read_to_end().await).expect("text");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(!answer.to_lowercase().contains("chunked"), "{answer}");
}

#[tokio::test]
async fn an_answer_may_come_before_the_content_is_complete() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    assert_eq!(backend.read_exactly(10).await, "5\r\nhello\r\n");
    backend.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n").await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(consumer.read_exactly(8).await, "3\r\nyes\r\n");
    consumer.write("5\r\nworld\r\n0\r\n\r\n").await;
    assert_eq!(backend.read_exactly(15).await, "5\r\nworld\r\n0\r\n\r\n", "content streams both ways at once");
    backend.write("0\r\n\r\n").await;
    assert_eq!(consumer.read_exactly(5).await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_consumer_that_has_said_all_still_gets_its_answer() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").await;
    consumer.end().await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    assert_eq!(backend.read_exactly(2).await, "hi");
    backend.write(OK).await;
    let answer = String::from_utf8(consumer.read_to_end().await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{answer}");
}

#[tokio::test]
async fn connections_last_as_long_as_each_side_wants_on_its_own() {
    let v1 = Origin::answering(Reply::rich().header("connection", "close"));
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let answer = client.send(&Request::get("/")).await.expect("an answer");
        assert_eq!(answer.header("connection"), None, "the backend's connection is its own");
    }
    let mut raw = Raw::connect(proxy.address()).await;
    raw.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let answer = String::from_utf8(raw.read_to_end().await).expect("text");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(v1.received().iter().all(|it| it.header("connection").is_none()));
    let mut old = Raw::connect(proxy.address()).await;
    for _ in 0..2 {
        old.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let head = old.read_head().await.to_lowercase();
        assert!(head.contains("\r\nconnection: keep-alive\r\n"), "{head}");
        old.read_exactly(17).await;
    }
}

#[tokio::test]
async fn answers_without_content_leave_the_connection_in_step() {
    let v1 = Origin::start(Behaviour::Echo);
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    let mut client = proxy.connect().await;
    let head = client.send(&Request::new("HEAD", "/a")).await.expect("an answer");
    let get = client.send(&Request::get("/a")).await.expect("an answer");
    assert!(head.header("content-length").is_some() && head.body.is_empty());
    assert!(get.text().starts_with("GET /a\n"));
    for (status, body) in [(204, ""), (304, ""), (205, "")] {
        v1.behave(Behaviour::Answer(Reply::new(status, body)));
        let answer = client.send(&Request::get("/b")).await.expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        assert!(answer.header("transfer-encoding").is_none(), "{status}");
    }
    v1.behave(Behaviour::Echo);
    assert!(client.send(&Request::get("/c")).await.expect("an answer").text().starts_with("GET /c\n"));
}

#[tokio::test]
async fn every_answer_has_a_date_and_a_backends_own_is_kept() {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2(&v1).rollout(OFF).start().await;
    assert!(proxy.get("/").await.header("date").is_some_and(|date| date.ends_with(" GMT")));
    let date = "Tue, 15 Nov 1994 08:12:31 GMT";
    v1.behave(Behaviour::Answer(Reply::rich().header("Date", date)));
    assert_eq!(proxy.get("/").await.header("date"), Some(date));
    assert!(proxy.send(&Request::get("/").header("host", "b")).await.header("date").is_some(), "a refusal as well");
}

#[tokio::test]
async fn nothing_switches_protocols_unasked() {
    let (proxy, script) = scripted().await;
    let switch = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n\n";
    for request in ["GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\nHost: x\nConnection: upgrade\nUpgrade: irc/6.9\n\n"]
    {
        let (_, given) = pass(&proxy, &script, request, switch).await;
        assert_eq!(given[0], "HTTP/1.1 502 Bad Gateway");
        assert!(given.iter().any(|line| line.starts_with("proxy-status: crossfade; error=")), "{given:?}");
    }
}

#[tokio::test]
async fn announced_trailers_pass_both_ways() {
    let (proxy, script) = scripted().await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write("POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n").await;
    let mut backend = script.accept().await;
    assert!(backend.read_head().await.contains("Trailer: x-sum\r\n"));
    assert_eq!(backend.read_exactly(22).await, "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n");
    backend
        .write(
            "HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-end: 2\r\n\r\n",
        )
        .await;
    assert!(consumer.read_head().await.contains("Trailer: x-end\r\n"));
    assert_eq!(consumer.read_exactly(22).await, "2\r\nok\r\n0\r\nx-end: 2\r\n\r\n");
}
