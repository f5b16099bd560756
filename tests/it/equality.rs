//! Mirroring changes nothing that a consumer can see: the same requests, with it and without, get equal answers.

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::world::{Behaviour, Client, Metrics, Origin, Proxy, Request, Response, World, soon};

const CASES: u32 = 256;

/// The same V1 behind two proxies, one of which mirrors everything to a V2 that answers something else.
struct Worlds {
    mirroring: Proxy,
    plain: Proxy,
    _v1: Origin,
    _v2: Origin,
}

async fn worlds() -> Worlds {
    let (v1, v2) = (Origin::start(Behaviour::Echo), Origin::start(Behaviour::HitRate(50)));
    let world = World::new().v1(&v1).v2(&v2);
    // Everything is studied as well, by a study that soon has to give up.
    let mirroring = world.clone().diff("noise = 100").top("study = { pairs = 1000, cpu = 0.001 }");
    let mirroring = mirroring.rollout("stage = \"shadow\"\nslo = 0.9\nshadow_methods = [\"*\"]").start().await;
    let plain = world.rollout("stage = \"off\"").start().await;
    Worlds { mirroring, plain, _v1: v1, _v2: v2 }
}

fn request() -> impl Strategy<Value = Request> {
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]);
    let target = "/[a-z]{0,8}(/[a-zA-Z0-9._~%2F-]{1,8}){0,3}(\\?[a-z0-9=&%+]{0,12})?";
    let name = "(x-[a-z]{1,8}|Accept|ACCEPT-LANGUAGE|cookie|Authorization|if-none-match|range)";
    let value = "[!-~]([ -~]{0,30}[!-~])?";
    let body = prop_oneof![
        3 => Just(None),
        2 => vec(any::<u8>(), 0..200).prop_map(Some),
        1 => (0usize..300_000, any::<u8>()).prop_map(|(length, byte)| Some(vec![byte; length])),
    ];
    (method, target, vec((name, value), 0..6), body).prop_map(|(method, target, headers, body)| Request {
        headers,
        body,
        ..Request::new(method, &target)
    })
}

fn assert_equal(mirrored: &Response, plain: &Response) -> Result<(), TestCaseError> {
    prop_assert_eq!(mirrored.status, plain.status);
    prop_assert_eq!(mirrored.stable_headers(), plain.stable_headers());
    prop_assert_eq!(String::from_utf8_lossy(&mirrored.body), String::from_utf8_lossy(&plain.body));
    Ok(())
}

/// One request on a connection that is used again, or on a new one when there is none.
async fn send(client: &mut Option<Client>, proxy: &Proxy, request: &Request) -> Response {
    let mut connection = match client.take() {
        Some(connection) => connection,
        None => proxy.connect().await,
    };
    let answer = soon("an answer", connection.send(request)).await.expect("an answer");
    if answer.header("connection") != Some("close") {
        *client = Some(connection);
    }
    answer
}

#[test]
fn answers_with_mirroring_equal_answers_without() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let worlds = runtime.block_on(worlds());
    let connections = RefCell::new((None, None));
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() });
    let checked = runner.run(&request(), |request| {
        let (mirroring, plain) = &mut *connections.borrow_mut();
        let answers = runtime.block_on(async {
            let mirrored = send(mirroring, &worlds.mirroring, &request).await;
            (mirrored, send(plain, &worlds.plain, &request).await)
        });
        assert_equal(&answers.0, &answers.1)
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    let mirrored = |metrics: &Metrics| metrics.outcomes("v2").iter().sum::<u64>() == u64::from(CASES);
    runtime.block_on(worlds.mirroring.until("every request mirrored", mirrored));
    runtime.block_on(worlds.mirroring.at_rest());
}
