//! Probes by a running proxy: recorded, counted apart, and with the configuration in force.

use std::net::TcpListener;

use super::{Probed, ROUTES, SECRET};
use crate::world::{Behaviour, Origin, Proxy, Reply, World};

async fn proxy(v1: &Origin, v2: &Origin, lines: &str) -> Proxy {
    let world = World::new().v1(v1).v2(v2).v2_with(lines).file("v2.key", SECRET);
    world.routes(ROUTES).rollout("stage = \"shadow\"\nslo = 0.95").start().await
}

#[tokio::test]
async fn a_running_proxy_probes_records_and_counts_apart() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(401, SECRET)));
    let proxy = proxy(&v1, &v2, "request.set = { x-api-key = { file = \"v2.key\" } }").await;
    let args = ["probe", "recs", "--path", "/recommendations", "--by", "ann"];
    let output = proxy.command(&[&args[..], &["--output", "json"]].concat()).await;
    Probed::of(&output).assert_fails("credentials", "credentials", "x-api-key from v2.key sent, and refused", "v2.key");
    v2.behave(Behaviour::Answer(Reply::rich()));
    let output = proxy.command(&args).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let history = proxy.command(&["history", "recs", "--kind", "probe"]).await;
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    assert!(history.contains("wrong credentials: 401") && history.contains("probe passed"), "{history}");
    assert!(history.contains("ann") && !history.contains(SECRET), "{history}");
    let metrics = proxy.metrics().await;
    let probes = |outcome| metrics.count("crossfade_outcomes_total", &[("role", "probe"), ("outcome", outcome)]);
    assert_eq!((probes("rich"), probes("fallback")), (1, 1), "{metrics:?}");
    assert_eq!(metrics.count("crossfade_gate_samples", &[("backend", "v2")]), 0);
    let rates = proxy.dependency().await["hit_rates"]["1m"]["v2"].clone();
    assert!(rates["hit_rate"].is_null(), "{rates}");
    assert_eq!(v1.count(), 0, "V2 alone");
    assert!(!proxy.log().contains(SECRET), "{}", proxy.log());
    proxy.at_rest().await;
}

#[tokio::test]
async fn the_admin_port_says_what_it_takes() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = proxy(&v1, &v2, "").await;
    let path = "/api/v1/dependencies/recs/probe";
    assert_eq!(proxy.admin_post(path, "").await.json()["passed"], true, "everything has a default");
    for (path, body, status) in [
        (path, "{\"paths\": \"canary-7f3a\"}", 400),
        (path, "{\"path\": []}", 400),
        (path, "{\"count\": 1000}", 400),
        ("/api/v1/dependencies/nobody/probe", "", 404),
    ] {
        let answer = proxy.admin_post(path, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
    }
    let usage = proxy.command(&["probe", "recs", "--method", "PUT"]).await;
    assert_eq!(usage.status.code(), Some(2));
    let unknown = proxy.command(&["probe", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn a_startup_probe_says_what_is_wrong_and_the_proxy_serves_all_the_same() {
    let v1 = Origin::answering(Reply::rich());
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let world = World::new().v1(&v1).v2_at(nobody).top("[startup]\nprobe = true").rollout("stage = \"off\"");
    let proxy = world.start().await;
    proxy.until_logged("nobody listens on port").await;
    assert_eq!(proxy.get("/recommendations/1").await.status, 200);
}
