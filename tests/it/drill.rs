//! Faults on purpose, and the end of V1.

use crate::world::{Metrics, Origin, Proxy, Reply, World};

const GATE: &str = "slo = 0.95\nblip = \"0s\"\nbake = \"0s\"\nmin_samples = 50\noverdispersion = \"off\"\n\
                    key = [\"header:x-user-id\"]\n";

async fn world(v1: &Origin, v2: &Origin, stage: &str) -> Proxy {
    World::new().v1(v1).v2(v2).v2_with("timeout = \"500ms\"").rollout(&format!("{stage}\n{GATE}")).start().await
}

fn is_rolled_back(metrics: &Metrics) -> bool {
    metrics.count("crossfade_phase", &[("phase", "rolled_back")]) == 1
}

async fn until_proven(proxy: &Proxy) {
    let proven = [("verdict", "promote")];
    while proxy.metrics().await.count("crossfade_verdicts_total", &proven) == 0 {
        proxy.burst(0..500).await;
    }
}

/// The metrics, once both outcomes of every request that V1 received are in them.
async fn all_counted(proxy: &Proxy, v1: &Origin) -> Metrics {
    let all = v1.count() as u64;
    let counted = |metrics: &Metrics, backend| metrics.outcomes(backend).iter().sum::<u64>();
    proxy.until("every outcome", |metrics| counted(metrics, "v1") == all && counted(metrics, "v2") == all).await
}

/// A drill with traffic beside it, and its result: exit code and what it printed, or why it was refused.
async fn drill(proxy: &Proxy, args: &[&str]) -> (Option<i32>, serde_json::Value) {
    let args = [&["drill", "recs", "--output", "json"], args].concat();
    let is_over = std::cell::Cell::new(false);
    let command = async {
        let output = proxy.command(&args).await;
        is_over.set(true);
        output
    };
    let traffic = async {
        while !is_over.get() {
            proxy.burst(0..50).await;
        }
    };
    let (output, ()) = tokio::join!(command, traffic);
    let refused = |_| String::from_utf8_lossy(&output.stderr).into();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(refused))
}

#[tokio::test]
async fn a_drill_on_shadows_is_detected_and_leaves_nothing_behind() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = world(&v1, &v2, "stage = \"shadow\"").await;
    until_proven(&proxy).await;
    let (code, result) = drill(&proxy, &["--fault", "empty", "--share", "50", "--for", "2s"]).await;
    assert_eq!(code, Some(0), "{result}");
    assert!(result["detected_s"].as_f64().is_some_and(|seconds| seconds < 2.0), "{result}");
    assert!(result["is_over"] == true && result["restored_s"].is_null(), "{result}");
    let before = all_counted(&proxy, &v1).await;
    assert!(before.fallbacks("v2", "empty") > 0, "{before:?}");
    proxy.burst(0..100).await;
    let after = all_counted(&proxy, &v1).await;
    assert_eq!(after.outcomes("v2")[1], before.outcomes("v2")[1], "no fault is left");
    assert_eq!(after.outcomes("v1")[1], 0, "no consumer noticed");
    let events = proxy.dependency().await["events"].clone();
    let drills = events.as_array().expect("a list").iter().filter(|event| event["kind"] == "drill").count();
    assert_eq!(drills, 2, "its beginning and its end: {events}");
}

#[tokio::test]
async fn a_drill_on_consumers_ends_with_the_rollback() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = world(&v1, &v2, "stage = \"cutover\"\npercent = 100").await;
    until_proven(&proxy).await;
    proxy.until("V2 serves", |metrics| metrics.percent("effective") == Some(100.0)).await;
    // Proven on this step as well: a count of verdicts would not tell, on the step before there may have been several.
    while proxy.metrics().await.count("crossfade_phase", &[("phase", "done")]) == 0 {
        proxy.burst(0..500).await;
    }
    let (code, result) = drill(&proxy, &["--fault", "errors=50", "--on", "cutover", "--for", "8s"]).await;
    assert_eq!(code, Some(0), "{result}");
    assert!(result["restored_s"].as_f64().is_some_and(|seconds| seconds < 8.0), "{result}");
    let metrics = proxy.metrics().await;
    assert!(is_rolled_back(&metrics) && metrics.percent("effective") == Some(0.0), "{metrics:?}");
}

#[tokio::test]
async fn a_drill_that_would_say_nothing_is_refused_and_one_that_is_killed_is_gone() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2, "stage = \"shadow\"").await;
    let refused = proxy.command(&["drill", "recs", "--fault", "hang", "--for", "1s"]).await;
    assert_eq!(refused.status.code(), Some(3), "too little is known");
    until_proven(&proxy).await;
    let refused = proxy.command(&["drill", "recs", "--fault", "hang", "--share", "0.001", "--for", "1s"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("not enough traffic"), "{said}");
    let body = r#"{"fault": "errors=100", "share": 100, "on": "shadows", "seconds": 60}"#;
    let begun = proxy.admin_post("/api/v1/dependencies/recs/drill", body).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let again = proxy.admin_post("/api/v1/dependencies/recs/drill", body).await;
    assert_eq!(again.status, 409, "{}", again.text());
    proxy.burst(0..20).await;
    proxy.until("the fault", |metrics| metrics.outcomes("v2")[1] > 0).await;
    proxy.kill9().await;
    proxy.restart().await;
    proxy.burst(0..20).await;
    proxy.until("no fault is left", |metrics| metrics.outcomes("v2") == [20, 0, 0]).await;
}

#[tokio::test]
async fn v1_can_go_only_when_nobody_calls_it() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2, "stage = \"shadow\"").await;
    proxy.burst(0..10).await;
    let no = proxy.command(&["finish", "recs", "--days", "1"]).await;
    let said = String::from_utf8_lossy(&no.stdout).into_owned();
    assert_eq!(no.status.code(), Some(3), "{said}");
    assert!(said.contains("has to be `complete`") && said.contains("to retire with V1"), "{said}");
    proxy.apply("stage = \"complete\"").await;
    proxy.burst(0..10).await;
    // So short a time ago that nothing had to be counted yet.
    let yes = proxy.command(&["finish", "recs", "--days", "0.0001"]).await;
    let said = String::from_utf8_lossy(&yes.stdout).into_owned();
    assert_eq!(yes.status.code(), Some(0), "{said}");
    let history = proxy.command(&["history", "recs", "--kind", "finish"]).await;
    assert!(String::from_utf8_lossy(&history.stdout).contains("can be retired"));
}
