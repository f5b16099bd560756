//! What the shadow gets: the primary's request, byte for byte but for what is documented, and no more memory than it may.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::world::{Behaviour, Metrics, Origin, Proxy, Raw, Received, Reply, Request, World, soon};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";

/// Samples two gauges as long as something goes on, and returns their peaks.
async fn peaks_while<T>(proxy: &Proxy, going_on: impl Future<Output = T>) -> (T, f64, f64) {
    let (mut held, mut resident) = (0.0_f64, 0.0_f64);
    let sampling = async {
        loop {
            let metrics = proxy.metrics().await;
            let value = |name| metrics.value(name, &[]).unwrap_or_default();
            held = held.max(value("crossfade_shadow_memory_bytes"));
            resident = resident.max(value("process_resident_memory_bytes"));
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::select! {
        done = going_on => done,
        () = sampling => unreachable!("it never ends"),
    };
    (done, held, resident)
}

#[tokio::test]
async fn an_upload_of_64_mib_to_a_v2_that_reads_nothing_is_whole_and_costs_little_memory() {
    const SIZE: usize = 64 << 20;
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::NeverReads));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    proxy.send(&Request::post("/recommendations/user-1", "warm")).await;
    let before = proxy.metrics().await.value("process_resident_memory_bytes", &[]).expect("it is known");
    let upload = Request::post("/recommendations/user-2", vec![b'u'; SIZE]);
    let (answer, held, resident) = peaks_while(&proxy, proxy.send(&upload)).await;
    assert_eq!((answer.status, answer.header("crossfade-served-by")), (200, Some("v1")));
    let received = v1.received();
    assert_eq!(received.last().map(|it| it.body_length), Some(SIZE));
    assert!(held <= f64::from(1 << 20), "shadow_backlog is 1 MiB, {held} bytes were held");
    assert!(resident - before <= f64::from(32 << 20), "from {before} to {resident} bytes");
    let given_up = |metrics: &Metrics| {
        let reasons = ["too_slow", "body_too_large"].map(|reason| [("reason", reason)]);
        reasons.iter().map(|reason| metrics.count("crossfade_shadow_skipped_total", reason)).sum::<u64>() == 1
    };
    proxy.until("the copy is given up", given_up).await;
}

#[tokio::test]
async fn a_shadow_goes_on_when_the_consumer_leaves() {
    let slow = || Origin::start(Behaviour::SlowHead(Reply::rich()));
    let (v1, v2) = (slow(), slow());
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    let mut client = proxy.connect().await;
    client.start(&Request::post("/recommendations/user-1", vec![b'b'; 100_000])).await.expect("the proxy reads");
    v1.until_received(1).await;
    v2.until_received(1).await;
    drop(client);
    v1.release(1);
    v2.release(1);
    let metrics = proxy.until("the shadow's score", |metrics| metrics.outcomes("v2") == [1, 0, 0]).await;
    assert_eq!(metrics.count("crossfade_shadow_skipped_total", &[]), 0);
    proxy.at_rest().await;
}

/// How the length of a body is told.
#[derive(Debug, Clone)]
enum Body {
    None,
    Length(Vec<u8>),
    Chunks(Vec<Vec<u8>>),
}

fn request() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]);
    let target = "/[a-z]{0,8}(/[a-zA-Z0-9._~%2F-]{1,8}){0,3}(\\?[a-z0-9=&%+]{0,12})?";
    let name = "(x-[a-z]{1,8}|X-[A-Z]{1,8}|Accept|ACCEPT|accept|cookie|Authorization|if-none-match|range)";
    let value = "[!-~]([ -~]{0,30}[!-~])?";
    let body = prop_oneof![
        3 => Just(Body::None),
        2 => vec(any::<u8>(), 0..5000).prop_map(Body::Length),
        2 => vec(vec(any::<u8>(), 1..3000), 0..6).prop_map(Body::Chunks),
    ];
    (method, target, vec((name, value), 0..8), body).prop_map(|(method, target, headers, body)| {
        let lines: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{lines}");
        let mut bytes = head.into_bytes();
        let length = match body {
            Body::None => {
                bytes.extend(b"\r\n");
                0
            }
            Body::Length(body) => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(&body);
                body.len()
            }
            Body::Chunks(chunks) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
                chunks.iter().map(Vec::len).sum()
            }
        };
        (bytes, length)
    })
}

/// The request without what may differ: where it went, and what marks the shadow.
fn comparable(mut received: Received) -> Received {
    received.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"crossfade-role"));
    for (_, value) in received.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
        value.clear();
    }
    received
}

#[test]
fn the_shadow_request_equals_the_primary_s() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = runtime.block_on(World::new().v1(&v1).v2(&v2).rollout(SHADOW).start());
    let mut runner = TestRunner::new(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() });
    let checked = runner.run(&request(), |(bytes, length)| {
        let before = (v1.count(), v2.count());
        runtime.block_on(async {
            let mut raw = Raw::connect(proxy.address()).await;
            raw.write(&bytes).await;
            let answer = soon("an answer", raw.read_to_end()).await;
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            v1.until_received(before.0 + 1).await;
            v2.until_received(before.1 + 1).await;
        });
        let (ours, theirs) = (v1.received().pop().expect("one"), v2.received().pop().expect("one"));
        prop_assert_eq!(ours.header("crossfade-role"), None);
        prop_assert_eq!(theirs.header("crossfade-role"), Some("shadow"));
        prop_assert_eq!(theirs.header("host").map(str::to_owned), Some(v2.address().to_string()));
        prop_assert_eq!(ours.body_length, length);
        prop_assert_eq!(comparable(ours), comparable(theirs));
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    runtime.block_on(proxy.at_rest());
}
