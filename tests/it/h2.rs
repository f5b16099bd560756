//! HTTP/2 in cleartext, from consumers that know that it is spoken.

use std::cell::RefCell;
use std::time::Duration;

use http::{Request, Version};
use http_body_util::BodyExt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{
    Answered, Behaviour, Consumer, Content, Metrics, Origin, Peer, Proxy, Reply, Speaks, World, content, curl, run,
    soon,
};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";

async fn world(behaviour: Behaviour, limits: &str) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::start(behaviour.clone()), Origin::start(behaviour));
    (World::new().v1(&v1).v2(&v2).limits(limits).rollout(SHADOW).start().await, v1, v2)
}

fn url(proxy: &Proxy) -> String {
    format!("http://{}/recommendations/user-1?q=1", proxy.address())
}

#[tokio::test]
async fn one_port_speaks_both_versions_and_both_give_the_same_bytes() {
    let (proxy, v1, v2) = world(Behaviour::Echo, "").await;
    let url = url(&proxy);
    for args in [&[][..], &["-d", "content"], &["-X", "DELETE"], &["-H", "x-a: 1", "-H", "x-a: 2"]] {
        let new = curl(&[args, &["--http2-prior-knowledge", &url]].concat()).await;
        let old = curl(&[args, &["--http1.1", &url]].concat()).await;
        assert_eq!(new.out.strip_suffix("200 2"), old.out.strip_suffix("200 1.1"), "{args:?}: {} {}", new.err, old.err);
        assert!(new.ok && old.ok);
    }
    v2.until_received(8).await;
    let (primary, shadow) = (v1.received(), v2.received());
    assert_eq!((primary.len(), shadow.len()), (8, 8));
    let mut targets = primary.iter().map(|request| (request.target.as_str(), request.header("host")));
    assert!(targets.all(|it| it == ("/recommendations/user-1?q=1", Some(v1.address().to_string().as_str()))));
}

#[tokio::test]
async fn many_requests_share_connections_and_the_accounts_close() {
    let (proxy, _v1, _v2) = world(Behaviour::Answer(Reply::rich()), "").await;
    let url = url(&proxy);
    let seen = run("h2load", &["-n", "3000", "-c", "3", "-m", "20", &url]).await;
    assert!(seen.out.contains("3000 succeeded, 0 failed"), "{} {}", seen.out, seen.err);
    proxy.until("all counted", |metrics| metrics.outcomes("v1") == [3000, 0, 0]).await;
    let metrics = proxy.at_rest().await;
    assert_eq!(metrics.count("crossfade_requests_total", &[("code", "2xx")]), 3000);
}

#[tokio::test]
async fn half_a_preface_and_a_silent_connection_are_closed() {
    let (proxy, _v1, _v2) = world(Behaviour::Echo, "header_timeout = \"300ms\"\nidle_timeout = \"600ms\"").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for sent in [&preface[..10], &preface[..], &[]] {
        let mut stream = TcpStream::connect(proxy.address()).await.expect("it listens");
        stream.write_all(sent).await.expect("it reads");
        let mut read = Vec::new();
        let closed = soon("the end of a connection", stream.read_to_end(&mut read)).await;
        assert!(closed.is_ok(), "{sent:?}: {closed:?}");
    }
}

#[tokio::test]
async fn a_drain_finishes_what_was_begun() {
    let (mut proxy, v1, v2) = world(Behaviour::SlowHead(Reply::rich()), "").await;
    let url = url(&proxy);
    let asked = tokio::spawn(async move { curl(&["--http2-prior-knowledge", &url]).await });
    v1.until_received(1).await;
    proxy.signal("TERM");
    proxy.until_logged("draining").await;
    v1.release(1);
    assert_eq!(asked.await.expect("curl runs").out, "{\"items\":[1,2,3]}\n200 2");
    v2.release(1);
    assert!(proxy.exit().await.success());
}

async fn to_peers(most: usize, rollout: &str) -> (Proxy, Peer, Peer) {
    let start = || Peer::retiring_connections(Speaks::Http2, most);
    let (one, two) = (start(), start());
    let world = World::new().v1_with(&one.url(&Speaks::Http2)).v2_with(&two.url(&Speaks::Http2));
    // On a busy machine V2 may fall behind by nearly all of them, and that is no matter here.
    (world.limits("shadow_in_flight = 5000").rollout(rollout).start().await, one, two)
}

#[tokio::test]
async fn backends_get_few_connections_for_many_requests() {
    let (proxy, v1, _v2) = to_peers(0, "stage = \"off\"").await;
    let seen = run("h2load", &["-n", "4000", "-c", "4", "-m", "50", &url(&proxy)]).await;
    assert!(seen.out.contains("4000 succeeded, 0 failed"), "{} {}", seen.out, seen.err);
    // 200 at once, 64 on each, on two workers.
    assert!(v1.connections() <= 6, "{}", v1.connections());
    assert_eq!(v1.requests(), 4000);
}

#[tokio::test]
async fn a_backend_that_retires_connections_loses_no_request() {
    let (proxy, v1, v2) = to_peers(100, SHADOW).await;
    let seen = run("h2load", &["-n", "3000", "-c", "2", "-m", "10", &url(&proxy)]).await;
    assert!(seen.out.contains("3000 succeeded, 0 failed"), "{} {}", seen.out, seen.err);
    proxy.until("all counted", |metrics| metrics.outcomes("v2") == [3000, 0, 0]).await;
    assert!(v1.connections() >= 20 && v2.connections() >= 20, "{} and {}", v1.connections(), v2.connections());
}

#[tokio::test]
async fn a_drain_does_not_wait_for_connections_that_said_nothing() {
    let (mut proxy, _v1, _v2) = world(Behaviour::Echo, "").await;
    let mut silent = TcpStream::connect(proxy.address()).await.expect("it listens");
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    assert!(consumer.send(get(&proxy, "/")).await.is_ok());
    proxy.signal("TERM");
    assert!(proxy.exit().await.success(), "long before drain_timeout");
    assert_eq!(silent.read(&mut [0; 1]).await.expect("closed, not reset"), 0);
}

fn get(proxy: &Proxy, target: &str) -> Request<Content> {
    Request::get(format!("http://{}{target}", proxy.address())).body(content("", &[])).expect("valid")
}

fn refused(metrics: &Metrics, reason: &str) -> u64 {
    metrics.count("crossfade_refused_total", &[("reason", reason)])
}

#[tokio::test]
async fn a_consumer_that_takes_all_its_requests_back_is_closed() {
    let (proxy, _v1, _v2) = world(Behaviour::Hang, "").await;
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    let flood = async {
        loop {
            let asked = consumer.start(get(&proxy, "/"));
            // Long enough to be sent, never answered.
            if let Ok(Err(_)) = tokio::time::timeout(Duration::from_millis(1), asked).await {
                return;
            }
        }
    };
    soon("the end of the connection", flood).await;
    proxy.until("its reason", |metrics| refused(metrics, "flood") == 1).await;
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_consumer_that_takes_nothing_of_its_answer_is_closed() {
    let large = Reply::new(200, vec![b'x'; 4 << 20]);
    let (proxy, _v1, _v2) = world(Behaviour::Answer(large), "idle_timeout = \"500ms\"").await;
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    let answer = soon("the head", consumer.start(get(&proxy, "/"))).await.expect("an answer");
    proxy.until("its reason", |metrics| refused(metrics, "slow_consumer") == 1).await;
    assert!(answer.into_body().collect().await.is_err(), "the rest is lost");
    proxy.at_rest().await;
}

/// What can be said in both versions of HTTP.
fn any_request() -> impl Strategy<Value = (String, String, Vec<(String, String)>, Vec<u8>)> {
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]);
    let target = "/[a-z]{0,8}(/[a-zA-Z0-9._~%2F-]{1,8}){0,3}(\\?[a-z0-9=&%+]{0,12})?";
    let name = "(x-[a-z]{1,8}|accept|authorization|if-none-match|range)";
    let headers = vec((name, "[!-~]([ -~]{0,30}[!-~])?"), 0..6);
    let body = prop_oneof![2 => Just(Vec::new()), 2 => vec(any::<u8>(), 0..200), 1 => Just(vec![b'b'; 200_000])];
    (method.prop_map(str::to_owned), target, headers, body).prop_map(|(method, target, headers, mut body)| {
        if body.is_empty() && !matches!(method.as_str(), "GET" | "HEAD" | "DELETE") {
            // The test's own client would say `content-length: 0` in HTTP/2 alone.
            body.push(0);
        }
        (method, target, headers, body)
    })
}

async fn ask(consumer: &mut Consumer, proxy: &Proxy, version: Version, asked: &AnyRequest) -> Answered {
    let (method, target, headers, body) = asked;
    let host = proxy.address().to_string();
    let uri = if version == Version::HTTP_2 { format!("http://{host}{target}") } else { target.clone() };
    let mut request = Request::builder().method(method.as_str()).uri(uri);
    if version == Version::HTTP_11 {
        request = request.header("host", host);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    consumer.send(request.body(content(body.clone(), &[])).expect("valid")).await
}

type AnyRequest = (String, String, Vec<(String, String)>, Vec<u8>);

#[test]
fn any_request_gets_the_same_answer_in_both_versions() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (proxy, _v1, _v2) = runtime.block_on(world(Behaviour::Echo, ""));
    let connect = |version| runtime.block_on(Consumer::connect(proxy.address(), version));
    let consumers = RefCell::new((connect(Version::HTTP_11), connect(Version::HTTP_2)));
    let mut runner = TestRunner::new(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() });
    let checked = runner.run(&any_request(), |asked| {
        let (old, new) = &mut *consumers.borrow_mut();
        let (old, new) = runtime.block_on(async {
            let old = ask(old, &proxy, Version::HTTP_11, &asked).await;
            (old, ask(new, &proxy, Version::HTTP_2, &asked).await)
        });
        prop_assert_eq!(String::from_utf8_lossy(&old.data), String::from_utf8_lossy(&new.data));
        prop_assert_eq!(old.head.status, new.head.status);
        let stable = |mut headers: http::HeaderMap| {
            headers.remove("date");
            headers
        };
        prop_assert_eq!(stable(old.head.headers), stable(new.head.headers));
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
