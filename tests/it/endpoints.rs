//! Several endpoints of one backend, the names they have, and the connections that are kept to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use crate::world::{Behaviour, Client, Metrics, Origin, Proxy, Raw, Reply, Request, World, soon};

const COMPLETE: &str = "stage = \"complete\"";

fn urls(origins: &[&Origin]) -> String {
    let urls: Vec<_> = origins.iter().map(|origin| format!("\"http://{}\"", origin.address())).collect();
    format!("urls = [{}]", urls.join(", "))
}

async fn serving(v2: &str) -> Proxy {
    let v1 = Origin::answering(Reply::rich());
    World::new().v1(&v1).v2_with(v2).rollout(COMPLETE).start().await
}

fn healthy(metrics: &Metrics, endpoint: SocketAddr) -> Option<f64> {
    let endpoint = endpoint.to_string();
    metrics.value("crossfade_endpoint_healthy", &[("backend", "v2"), ("endpoint", &endpoint)])
}

#[tokio::test]
async fn every_endpoint_gets_calls() {
    let origins = [(); 3].map(|()| Origin::answering(Reply::rich()));
    let proxy = serving(&urls(&origins.each_ref())).await;
    proxy.burst(0..60).await;
    let counts = origins.each_ref().map(Origin::count);
    assert_eq!(counts.iter().sum::<usize>(), 60);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    let metrics = proxy.metrics().await;
    assert_eq!(origins.each_ref().map(|origin| healthy(&metrics, origin.address())), [Some(1.0); 3]);
}

#[tokio::test]
async fn an_endpoint_that_nobody_answers_at_is_left_out_and_comes_back() {
    let (good, dead) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Refuse));
    let proxy = serving(&urls(&[&good, &dead])).await;
    let mut client = proxy.connect().await;
    let get = Request::get("/recommendations/user-1");
    for _ in 0..100 {
        let answer = soon("an answer", client.send(&get)).await.expect("an answer");
        assert_eq!(answer.status, 200, "nothing was sent to the one that is not there, so the other one gets it");
    }
    let metrics = proxy.until("it is left out", |metrics| healthy(metrics, dead.address()) == Some(0.0)).await;
    assert_eq!(healthy(&metrics, good.address()), Some(1.0));

    dead.behave(Behaviour::Answer(Reply::rich()));
    let is_back = async {
        while dead.count() == 0 || healthy(&proxy.metrics().await, dead.address()) != Some(1.0) {
            let answer = client.send(&get).await.expect("an answer");
            assert_eq!(answer.status, 200, "a trial that succeeds costs nobody anything");
        }
    };
    soon("it is taken back", is_back).await;
}

#[tokio::test]
async fn what_an_endpoint_does_not_accept_goes_to_another_one_whatever_its_method() {
    let (good, dead) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Refuse));
    let proxy = serving(&urls(&[&good, &dead])).await;
    let requests = (0..20).map(|user| Request::post(&format!("/recommendations/user-{user}"), vec![b'b'; 100_000]));
    for request in requests {
        // Each on a connection of its own, so that both workers find out.
        assert_eq!(proxy.send(&request).await.status, 200);
    }
    assert!(good.received().iter().all(|it| it.body_length == 100_000));
    let metrics = proxy.until("it is left out", |metrics| healthy(metrics, dead.address()) == Some(0.0)).await;
    assert_eq!(metrics.count("crossfade_retries_total", &[]), 0, "that was no second try");
}

/// One request after the other on one connection, until told to stop. One whose answer had begun may fail with its
/// connection; one that nobody accepted may not.
async fn ask_until(stop: Arc<AtomicBool>, address: SocketAddr) -> usize {
    let mut client = Client::connect(address).await.expect("the proxy listens");
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = client.send(&Request::get("/recommendations/user-1")).await.expect("an answer");
        let why = answer.header("proxy-status").unwrap_or_default();
        assert!(answer.status == 200 || why.contains("connection_terminated"), "request {asked}: {why}");
        asked += 1;
    }
    asked
}

#[tokio::test]
async fn nothing_is_refused_while_an_endpoint_comes_and_goes() {
    let (good, restless) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = serving(&urls(&[&good, &restless])).await;
    let (stop, mut asking) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for _ in 0..16 {
        asking.spawn(ask_until(Arc::clone(&stop), proxy.address()));
    }
    for _ in 0..5 {
        restless.until_received(restless.count() + 50).await;
        restless.behave(Behaviour::Refuse);
        good.until_received(good.count() + 50).await;
        restless.behave(Behaviour::Answer(Reply::rich()));
    }
    stop.store(true, Ordering::Relaxed);
    assert!(soon("the last answers", asking.join_all()).await.into_iter().all(|asked| asked > 0));
}

#[tokio::test]
async fn where_nobody_accepts_anything_there_is_one_answer() {
    let dead = [(); 2].map(|()| Origin::start(Behaviour::Refuse));
    let proxy = serving(&urls(&dead.each_ref())).await;
    for answer in proxy.burst(0..10).await {
        assert_eq!(answer.status, 502);
    }
    proxy.until("one outcome for each", |metrics| metrics.outcomes("v2") == [0, 10, 0]).await;
    proxy.at_rest().await;
}

#[tokio::test]
async fn an_upload_that_its_consumer_stalls_is_no_failure_of_the_endpoint() {
    let origins = [(); 2].map(|()| Origin::answering(Reply::rich()));
    let proxy = serving(&format!("{}\ntimeout = \"400ms\"", urls(&origins.each_ref()))).await;
    // Enough for either worker to leave out both, were they failures.
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello").await;
        stalled.push(raw);
    }
    for mut raw in stalled {
        let answer = String::from_utf8(raw.read_to_end().await).expect("text");
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    }
    let metrics = proxy.at_rest().await;
    assert_eq!(origins.each_ref().map(|origin| healthy(&metrics, origin.address())), [Some(1.0); 2]);
}

#[tokio::test]
async fn a_base_path_stands_before_paths_and_not_before_the_asterisk() {
    let v2 = Origin::answering(Reply::rich());
    let proxy = serving(&format!("url = \"http://{}/base\"", v2.address())).await;
    for target in ["*", "/", "/a?b"] {
        proxy.send(&Request::new("OPTIONS", target)).await;
    }
    let targets: Vec<_> = v2.received().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["*", "/base/", "/base/a?b"]);
}

#[tokio::test]
async fn an_endpoint_that_fails_in_a_row_is_left_out() {
    let (good, bad) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(503, "")));
    // The shorter the timeout that a failure counts as, the sooner it is chosen again for all that.
    let proxy = serving(&format!("{}\ntimeout = \"251ms\"", urls(&[&good, &bad]))).await;
    let mut client = proxy.connect().await;
    let get = Request::get("/recommendations/user-1");
    good.behave(Behaviour::Trickle(Reply::rich(), std::time::Duration::from_millis(1)));
    let left_out = async {
        while healthy(&proxy.metrics().await, bad.address()) != Some(0.0) {
            client.send(&get).await.expect("an answer");
        }
    };
    soon("it is left out", left_out).await;
    assert!(bad.count() >= 5);
}

#[tokio::test]
async fn never_all_of_them_are_left_out() {
    let origins = [(); 2].map(|()| Origin::answering(Reply::new(503, "down")));
    let proxy = serving(&urls(&origins.each_ref())).await;
    proxy.burst(0..100).await;
    assert_eq!(origins.iter().map(Origin::count).sum::<usize>(), 100, "every request still reaches somebody");
    for origin in &origins {
        origin.behave(Behaviour::Answer(Reply::rich()));
    }
    for answer in proxy.burst(0..20).await {
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_check_leaves_out_and_takes_back() {
    let (good, sick) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(404, "")));
    let check = "health = { path = \"/healthz?deep=1\", interval = \"20ms\", status = [200] }";
    let proxy = serving(&format!("{}\n{check}", urls(&[&good, &sick]))).await;
    let left_out = |metrics: &Metrics| healthy(metrics, sick.address()) == Some(0.0);
    let metrics = proxy.until("it is left out", left_out).await;
    assert_eq!(healthy(&metrics, good.address()), Some(1.0));
    let checked = &sick.received()[0];
    assert_eq!((checked.method.as_str(), checked.target.as_str()), ("GET", "/healthz?deep=1"));
    assert_eq!(checked.header("host"), Some(sick.address().to_string().as_str()));
    for answer in proxy.burst(0..20).await {
        assert_eq!(answer.status, 200);
    }
    sick.behave(Behaviour::Answer(Reply::rich()));
    proxy.until("it is taken back", |metrics| healthy(metrics, sick.address()) == Some(1.0)).await;
    let scored = |metrics: &Metrics| metrics.count("crossfade_outcomes_total", &[]);
    let metrics = proxy.until("20 outcomes", |metrics| scored(metrics) >= 20).await;
    assert_eq!(scored(&metrics), 20, "checks are no traffic");
}

#[tokio::test]
async fn a_retry_goes_to_another_endpoint() {
    let (good, bad) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(503, "busy")));
    let retry = "retry = { budget_percent = 100, backoff = \"1ms\" }";
    let proxy = serving(&format!("{}\n{retry}", urls(&[&good, &bad]))).await;
    for answer in proxy.burst(0..50).await {
        assert_eq!(answer.status, 200);
    }
    assert!(bad.count() > 0);
}

#[tokio::test]
async fn a_name_is_resolved_and_its_addresses_are_raced() {
    let v2 = Origin::answering(Reply::rich());
    // On most machines ::1 comes first, where nobody listens.
    let proxy = serving(&format!("url = \"http://localhost:{}\"", v2.address().port())).await;
    for answer in proxy.burst(0..5).await {
        assert_eq!(answer.status, 200);
    }
    let endpoint = format!("localhost:{}", v2.address().port());
    let healthy = [("endpoint", endpoint.as_str())];
    assert_eq!(proxy.metrics().await.value("crossfade_endpoint_healthy", &healthy), Some(1.0));
}

#[tokio::test]
async fn a_connection_is_there_before_the_first_request_and_is_used_again() {
    let v2 = Origin::answering(Reply::rich());
    let proxy = serving(&format!("url = \"http://{}\"", v2.address())).await;
    // One for each of the two workers.
    let warm = async {
        while v2.connections() < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon("two connections", warm).await;
    proxy.burst(0..20).await;
    assert_eq!((v2.count(), v2.connections()), (20, 2));
}

#[tokio::test]
async fn idle_connections_are_closed_after_the_idle_timeout() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let world = World::new().v1(&v1).v2(&v2).limits("idle_timeout = \"200ms\"").rollout(COMPLETE);
    let proxy = world.start().await;
    proxy.burst(0..1).await;
    soon("their end", v2.until_open(0)).await;
    assert_eq!(proxy.burst(1..2).await[0].status, 200);
}

#[tokio::test]
async fn series_of_endpoints_end_with_the_configuration() {
    let v2 = Origin::answering(Reply::rich());
    let proxy = serving(&format!("url = \"http://{}\"", v2.address())).await;
    proxy.until("its series", |metrics| healthy(metrics, v2.address()) == Some(1.0)).await;
    let other = Origin::answering(Reply::rich());
    let text = proxy.config().replace(&v2.address().to_string(), &other.address().to_string());
    proxy.write_file("crossfade.toml", &text);
    proxy.until("the other one's", |metrics| healthy(metrics, other.address()) == Some(1.0)).await;
    proxy.until("its end", |metrics| healthy(metrics, v2.address()).is_none()).await;
}
