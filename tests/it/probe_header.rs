//! The probe header: by hand, to one backend, and in no figure that decides anything.

use crate::world::{Metrics, Origin, Proxy, Reply, Request, World};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";

async fn world(v1: &Origin, v2: &Origin) -> Proxy {
    let world = World::new().v1(v1).v2(v2).top("admin_auth = { token_file = \"token\" }").file("token", "s3cret\n");
    world.rollout(SHADOW).start().await
}

fn probe(backend: &str, token: &str) -> Request {
    Request::get("/recommendations/user-1").header("crossfade-backend", backend).header("Crossfade-Token", token)
}

#[tokio::test]
async fn the_token_chooses_the_backend_of_one_request() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let proxy = world(&v1, &v2).await;
    for (backend, reply) in [("v2", Reply::fallback()), ("v1", Reply::rich())] {
        let answer = proxy.send(&probe(backend, "s3cret")).await;
        assert_eq!((answer.status, &answer.body), (200, &reply.body));
        assert_eq!(answer.header("crossfade-served-by"), Some(backend));
    }
    for origin in [&v1, &v2] {
        let received = &origin.received()[0];
        assert_eq!(received.header("crossfade-role"), Some("probe"));
        assert_eq!((received.header("crossfade-token"), received.header("crossfade-backend")), (None, None));
    }
    let ended = |metrics: &Metrics| metrics.count("crossfade_requests_total", &[("code", "2xx")]) == 2;
    proxy.until("two probes", ended).await;
    let metrics = proxy.at_rest().await;
    assert_eq!((v1.count(), v2.count()), (1, 1), "a probe has no shadow");
    let probed = |backend, outcome| {
        let labels = [("role", "probe"), ("backend", backend), ("outcome", outcome)];
        metrics.count("crossfade_outcomes_total", &labels)
    };
    assert_eq!((probed("v1", "rich"), probed("v2", "fallback")), (1, 1));
    assert_eq!(metrics.count("crossfade_outcomes_total", &[]), 2, "{metrics:?}");
}

#[tokio::test]
async fn probes_are_in_no_figure_that_decides() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let proxy = world(&v1, &v2).await;
    for _ in 0..20 {
        proxy.send(&probe("v2", "s3cret")).await;
    }
    // One request of a consumer: whatever the figures show, they show it of this one.
    proxy.get("/recommendations/user-1").await;
    let one = |metrics: &Metrics| metrics.outcomes("v2").iter().sum::<u64>() == 21 && metrics.outcomes("v1")[0] == 1;
    proxy.until("20 probes and a pair", one).await;
    let samples = |metrics: &Metrics| metrics.count("crossfade_gate_samples", &[("backend", "v2")]) == 1;
    let metrics = proxy.until("one sample for the gate", samples).await;
    assert_eq!(metrics.count("crossfade_served_outcomes_total", &[]), 1);
    assert_eq!(metrics.count("crossfade_first_try_outcomes_total", &[("backend", "v2")]), 1);
    assert_eq!(metrics.percent("observed"), Some(0.0), "{metrics:?}");
    let status = proxy.dependency().await;
    assert_eq!(status["hit_rates"]["5m"]["v2"]["fallback"], 1, "{status}");
    proxy.at_rest().await;
}

#[tokio::test]
async fn whoever_may_not_choose_is_refused() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = world(&v1, &v2).await;
    let no_token = Request::get("/recommendations/user-1").header("crossfade-backend", "v2");
    for (request, status) in [
        (probe("v2", "s3cre"), 403),
        (probe("v2", "S3cret"), 403),
        (no_token.clone(), 403),
        (probe("v3", "s3cret"), 400),
    ] {
        let answer = proxy.send(&request).await;
        assert_eq!(answer.status, status, "{request:?}");
        assert!(answer.header("proxy-status").is_some_and(|value| value.contains("http_request_denied")));
    }
    assert_eq!((v1.count(), v2.count()), (0, 0));
    let refusals = [("served_by", "none"), ("code", "4xx")];
    proxy.until("four refusals", |metrics| metrics.count("crossfade_requests_total", &refusals) == 4).await;
    proxy.at_rest().await;

    let without = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    assert_eq!(without.send(&probe("v2", "s3cret")).await.status, 403, "no token is configured");
    let alone = Request::get("/recommendations/user-1").header("crossfade-token", "whatever");
    assert_eq!(without.send(&alone).await.status, 200);
    assert_eq!(v1.received()[0].header("crossfade-token"), None, "it goes no further all the same");
}
