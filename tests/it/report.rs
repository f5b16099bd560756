//! What people are told of a migration: events as they happen, what a file would change, and how it went so far.

use crate::world::{Origin, Proxy, Reply, World};

const OBSERVED: &str =
    "stage = \"cutover\"\npercent = 20\nslo = 0.95\nmode = \"observe\"\nkey = [\"header:x-user-id\"]";

async fn world(v1: &Origin, v2: &Origin) -> Proxy {
    World::new().v1(v1).v2(v2).rollout(OBSERVED).start().await
}

async fn stdout(proxy: &Proxy, args: &[&str]) -> String {
    let output = proxy.command(args).await;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out.into_owned()
}

#[tokio::test]
async fn events_are_streamed_and_resumed_over_a_restart() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    let verb = async {
        // The first comment says that the listener is heard.
        proxy.listen("", ": crossfade").await;
        assert_eq!(proxy.verb("pause").await.status, 200);
    };
    let (heard, ()) = tokio::join!(proxy.listen("", "event: pause"), verb);
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    proxy.verb("resume").await;
    proxy.kill9().await;
    proxy.restart().await;
    proxy.verb("pause").await;
    let heard = proxy.listen("last-event-id: 1\r\n", "id: 3\nevent: pause").await;
    assert!(heard.contains("id: 2\nevent: resume") && !heard.contains("id: 1\n"), "{heard}");
    let refused = proxy.admin_get("/api/v1/events?last_event_id=x").await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_plan_says_who_moves_and_changes_nothing() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = world(&v1, &v2).await;
    proxy.burst(0..50).await;
    proxy.until("50 counted", |metrics| metrics.count("crossfade_requests_total", &[]) == 50).await;
    proxy.write_file("new.toml", &format!("[recs]\n{}\nsample = 50\n", OBSERVED.replace("20", "50")));
    let text = stdout(&proxy, &["plan", "new.toml"]).await;
    for part in [
        "stage cutover -> cutover",
        "at once 30 % of the keys move to V2, and 0 % back to V1",
        "V2 serves 20 % -> 50 %",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let plan = stdout(&proxy, &["plan", "new.toml", "--output", "json"]).await;
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    // V2 gets everything now, as primary or as shadow, and half of the rest then.
    let load = &plan[0]["load"];
    let ratio = load["v2"][1].as_f64().expect("a number") / load["v2"][0].as_f64().expect("a number");
    assert!((ratio - 0.75).abs() < 1e-9, "{plan:#}");
    assert_eq!(proxy.metrics().await.percent("effective"), Some(20.0));
    assert!(stdout(&proxy, &["plan", "rollout.toml"]).await.contains("nothing changes"));
    proxy.write_file("wrong.toml", "[recs]\nstage = \"of\"\n");
    assert_eq!(proxy.command(&["plan", "wrong.toml"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn a_report_tells_hit_rates_steps_and_figures() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let mut proxy = world(&v1, &v2).await;
    proxy.burst(0..40).await;
    proxy.until("40 counted", |metrics| metrics.count("crossfade_requests_total", &[]) == 40).await;
    proxy.apply(&OBSERVED.replace("20", "30")).await;
    proxy.verb("rollback").await;
    proxy.at_rest().await;
    // A stop writes the minute that is running.
    proxy.signal("TERM");
    proxy.exit().await;
    proxy.restart().await;
    let report: serde_json::Value =
        serde_json::from_str(&stdout(&proxy, &["report", "recs", "--format", "json"]).await).expect("JSON");
    let sum = |backend: &str, outcome: &str| {
        let hours = report["hours"].as_array().expect("a list").iter();
        hours.map(|hour| hour[backend][outcome].as_u64().expect("a number")).sum::<u64>()
    };
    assert_eq!((sum("v1", "rich"), sum("v2", "fallback"), sum("v2", "rich")), (40, 40, 0), "{report:#}");
    let steps: Vec<_> = report["steps"].as_array().expect("a list").iter().map(|step| step["kind"].clone()).collect();
    assert_eq!(steps, ["edit", "rollback"], "{report:#}");
    assert_eq!(report["dora"]["promotions"], 0);
    assert!(report["dora"]["change_failure_rate"].is_null(), "nothing is known of what never happened");
    let page = stdout(&proxy, &["report", "recs", "--format", "html"]).await;
    assert!(page.contains("<svg") && !page.contains("<script"), "{page}");
    assert!(stdout(&proxy, &["report", "recs"]).await.contains("| V1 | 100.00 % | 40 |"));
    assert!(stdout(&proxy, &["history", "recs", "--since", "1h", "--kind", "rollback"]).await.contains("30 -> 0 %"));
    let lines = stdout(&proxy, &["history", "recs", "--output", "json"]).await;
    // Whether the gate saw V2's fallbacks before the edit is a matter of a tick.
    let by_people = lines.lines().filter(|line| !line.contains("\"by\":\"gate\""));
    assert_eq!(by_people.count(), 2, "{lines}");
    assert!(stdout(&proxy, &["why", "recs"]).await.contains("insufficient (no_data)"));
}

#[tokio::test]
async fn the_description_names_every_path() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = world(&v1, &v2).await;
    let description = proxy.admin_get("/api/v1/openapi.json").await.json();
    let paths = description["paths"].as_object().expect("paths").clone();
    // Every route of the router is described.
    let sources = include_str!("../../src/admin/routes.rs");
    for line in sources.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let path = line.split('"').next().expect("a path");
        assert!(paths.contains_key(path) || path.starts_with("/page."), "{path} is not described");
    }
    for (path, operations) in &paths {
        let path = path.replace("{name}", "recs");
        if operations.get("get").is_some() && !path.ends_with("events") {
            assert_eq!(proxy.admin_get(&path).await.status, 200, "{path}");
        }
    }
}
