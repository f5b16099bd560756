//! What is looked at beyond scoring: samples of fallbacks, and differences between the answers.

use std::time::Instant;

use serde_json::Value;

use crate::world::{Behaviour, Metrics, Origin, PATIENCE, Proxy, Reply, Request, World};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.9";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const CANARY: &str = "canary-5ecret";

/// Asks the admin port until the answer is as wanted.
async fn until(proxy: &Proxy, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = proxy.admin_get(path).await.json();
        if is_so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain at {path}; last seen:\n{answer:#}");
        tokio::task::yield_now().await;
    }
}

async fn samples(proxy: &Proxy, query: &str, least: usize) -> Value {
    let path = format!("/api/v1/dependencies/recs/samples{query}");
    until(proxy, &path, |found| found.as_array().is_some_and(|found| found.len() >= least)).await
}

/// Where the answers differ, once so many pairs of V1 with itself were compared.
async fn differences(proxy: &Proxy, noise_pairs: u64) -> Value {
    let enough = |found: &Value| found["routes"][0]["noise_pairs"].as_u64().is_some_and(|pairs| pairs >= noise_pairs);
    until(proxy, "/api/v1/dependencies/recs/diff?route=list", enough).await
}

/// The places of one verdict, in order.
fn places<'a>(found: &'a Value, verdict: &str) -> Vec<&'a str> {
    let rows = found["routes"][0]["rows"].as_array().expect("there are rows").iter();
    let mut places: Vec<_> =
        rows.filter(|row| row["verdict"] == verdict).filter_map(|row| row["path"].as_str()).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The answer for a user, with a clock, an identifier and an order that are other ones each time.
fn answer(target: &str, count: u64, customer: &str) -> Reply {
    let user = target.rsplit('-').next().unwrap_or_default();
    let items = if count.is_multiple_of(2) { "[{\"id\":1},{\"id\":2}]" } else { "[{\"id\":2},{\"id\":1}]" };
    let body = format!(
        r#"{{{customer},"items":{items},"total":1{user},"at":"2026-11-20T08:00:{count}Z","request":"{count:032x}"}}"#
    )
    .replace("USER", &format!("{CANARY}-{user}"));
    Reply::new(200, body).header("content-type", "application/json")
}

fn old(target: &str, count: u64) -> Reply {
    answer(target, count, r#""customer":{"name":"USER"}"#)
}

fn renamed(target: &str, count: u64) -> Reply {
    answer(target, count + 1000, r#""person":{"fullName":"USER"}"#)
}

/// A V1 that is rich and a V2 that is not; all but names holds the canary.
fn telltales() -> (Origin, Origin) {
    let v1 = format!(r#"{{"items":[{{"name":"{CANARY}"}}],"total":1}}"#);
    let v2 = format!(
        r#"{{"entries":["{CANARY}"],"4bf92f35-77b3-4da6-a3ce-929d0e0e4736":"{CANARY}","error":{{"code":"E42"}}}}"#
    );
    let v1 = Reply::new(200, v1).header("content-type", "application/json").header("x-cache", CANARY);
    let v2 = Reply::new(200, v2).header("x-cache", CANARY).header("x-why", "stale");
    (Origin::answering(v1), Origin::answering(v2))
}

#[tokio::test]
async fn a_sample_tells_shapes_and_flaws_and_no_value_that_was_not_allowed() {
    let (v1, v2) = telltales();
    let study = r#"study = { allow = ["/error/code"], allow_headers = ["x-why"] }"#;
    let proxy = World::new().v1(&v1).v2(&v2).top(study).rollout(SHADOW).start().await;
    let request = Request::get(&format!("/recommendations/a?q={CANARY}")).header("traceparent", TRACE);
    proxy.send(&request.header("cookie", CANARY)).await;
    let found = samples(&proxy, "?route=list&cause=missing", 1).await;
    let sample = &found[0];
    assert_eq!(sample["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(sample["flaws"], serde_json::json!(["missing /items"]));
    assert_eq!((&sample["v1"]["outcome"], &sample["v1"]["kind"]), (&"rich".into(), &"json".into()));
    assert_eq!(sample["v2"]["shape"]["error"]["code"], "string(3) = \"E42\"");
    assert_eq!(sample["v2"]["headers"], serde_json::json!({ "x-why": "stale" }));
    assert!(sample["v1"]["shape"]["items"][1]["name"].as_str().is_some_and(|it| it.starts_with("string(13) #")));
    let told = proxy.command(&["samples", "recs", "--cause", "missing"]).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("missing /items") && told.contains("E42"), "{told}");
    for text in [found.to_string(), told, proxy.log(), proxy.admin_get("/metrics").await.text().to_owned()] {
        assert!(!text.contains(CANARY) && !text.contains("4bf92f35-77b3"), "{text}");
    }
    let other = proxy.admin_get("/api/v1/dependencies/recs/samples?route=nothing").await;
    assert_eq!((other.status, other.text().contains("list, other")), (404, true));
}

#[tokio::test]
async fn samples_survive_a_restart_and_the_file_holds_no_value() {
    let (v1, v2) = telltales();
    let mut proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    proxy.get("/recommendations/a").await;
    let before = samples(&proxy, "", 1).await;
    proxy.signal("TERM");
    proxy.exit().await;
    let file = std::fs::read_to_string(proxy.path("data/samples.jsonl")).expect("it was written");
    assert!(file.contains("entries") && !file.contains(CANARY), "{file}");
    proxy.restart().await;
    assert_eq!(samples(&proxy, "", 1).await, before);
}

#[tokio::test]
async fn a_rare_cause_has_its_samples_among_many_of_a_frequent_one() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    proxy.burst(0..200).await;
    v2.behave(Behaviour::Answer(Reply::new(401, "")));
    proxy.burst(0..1).await;
    let auth = samples(&proxy, "?cause=auth", 1).await;
    assert_eq!(auth[0]["v2"]["status"], 401);
    let empty = samples(&proxy, "?cause=empty", 1).await;
    assert!(empty.as_array().is_some_and(|found| found.len() <= 16), "{empty:#}");
}

#[tokio::test]
async fn other_rules_of_a_route_forget_its_samples() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    proxy.get("/recommendations/a").await;
    samples(&proxy, "", 1).await;
    let config = proxy.config().replace("non_empty", "required");
    proxy.write_file("crossfade.toml", &config);
    assert_eq!(proxy.admin_post("/api/v1/reload", "").await.status, 200);
    until(&proxy, "/api/v1/dependencies/recs/samples", |found| found == &serde_json::json!([])).await;
}

#[tokio::test]
async fn noise_is_measured_with_safe_requests_and_is_in_no_account() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).diff("noise = 100").top("study = { pairs = 1000 }");
    let proxy = proxy.rollout(&format!("{SHADOW}\nshadow_methods = [\"*\"]")).start().await;
    proxy.burst(0..20).await;
    proxy.send(&Request::post("/recommendations/a", "{}")).await;
    proxy.send(&Request::new("DELETE", "/recommendations/a")).await;
    let metrics = proxy.at_rest().await;
    let metrics = if metrics.outcomes("v2") == [22, 0, 0] {
        metrics
    } else {
        proxy.until("every pair", |metrics| metrics.outcomes("v2") == [22, 0, 0]).await
    };
    assert_eq!(metrics.outcomes("v1"), [22, 0, 0]);
    assert_eq!(metrics.count("crossfade_noise_calls_total", &[("route", "list")]), 20);
    v1.until_received(42).await;
    let again = v1.received().iter().filter(|it| it.header("crossfade-role") == Some("shadow")).count();
    assert_eq!((v1.count(), v2.count(), again), (42, 22, 20));
}

#[tokio::test]
async fn noise_is_not_measured_where_there_are_no_pairs() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).diff("noise = 100").rollout("stage = \"off\"").start().await;
    proxy.burst(0..5).await;
    proxy.at_rest().await;
    assert_eq!((v1.count(), v2.count()), (5, 0));
}

#[tokio::test]
async fn what_the_budget_does_not_allow_is_dropped_and_counted_and_consumers_get_the_same() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::fallback()));
    let proxy = World::new().v1(&v1).v2(&v2).top("study = { pairs = 1000, cpu = 0.001 }").rollout(SHADOW).start().await;
    let answers = proxy.burst(0..600).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == Reply::rich().body));
    let dropped = |metrics: &Metrics| metrics.count("crossfade_study_dropped_total", &[("reason", "budget")]) > 0;
    let metrics = proxy.until("exchanges dropped", dropped).await;
    assert_eq!(metrics.count("crossfade_shadow_skipped_total", &[]), 0);
}

#[tokio::test]
async fn bodies_that_wait_for_the_study_leave_room_for_shadows() {
    let large = format!("{{\"items\":[\"{}\"]}}", "x".repeat(200_000));
    let (v1, v2) = (Origin::answering(Reply::new(200, large.clone())), Origin::answering(Reply::new(200, large)));
    let proxy = World::new().v1(&v1).v2(&v2).top("study = { pairs = 1000, cpu = 0.001 }");
    let proxy = proxy.limits("shadow_memory = \"4MiB\"").rollout(SHADOW).start().await;
    proxy.burst(0..40).await;
    let dropped = |metrics: &Metrics| metrics.count("crossfade_study_dropped_total", &[("reason", "memory")]) > 0;
    proxy.until("exchanges dropped", dropped).await;
    let metrics = proxy.until("every pair", |metrics| metrics.outcomes("v2") == [40, 0, 0]).await;
    assert_eq!(metrics.count("crossfade_shadow_skipped_total", &[]), 0);
}

#[tokio::test]
async fn a_renamed_field_is_found_and_suggested_and_noise_is_not() {
    let (v1, v2) = (Origin::start(Behaviour::Make(old)), Origin::start(Behaviour::Make(renamed)));
    let proxy = World::new().v1(&v1).v2(&v2).diff("noise = 50").top("study = { pairs = 1000, cpu = 50 }");
    let proxy = proxy.rollout(SHADOW).start().await;
    proxy.burst(0..200).await;
    let found = differences(&proxy, 60).await;
    assert_eq!(places(&found, "differs"), ["/customer", "/person"], "{found:#}");
    assert_eq!(places(&found, "noise"), ["/at", "/items", "/request"], "{found:#}");
    let told = proxy.command(&["diff", "recs"]).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("differs  missing") && told.contains("/customer"), "{told}");
    let suggested = proxy.command(&["diff", "recs", "--route", "list", "--suggest"]).await;
    let suggested = String::from_utf8_lossy(&suggested.stdout).into_owned();
    let line = "\"/customer/name\" = \"/person/fullName\" # ";
    assert!(suggested.contains(line) && suggested.contains("[dependency.recs.v2.response.map]"), "{suggested}");
    assert!(suggested.parse::<toml::Table>().is_ok(), "{suggested}");
    for text in [found.to_string(), told, suggested.clone()] {
        assert!(!text.contains(CANARY), "{text}");
    }
    proxy.write_file("crossfade.toml", &format!("{}\n{suggested}", proxy.config()));
    assert_eq!(proxy.admin_post("/api/v1/reload", "").await.status, 200, "{suggested}");
    until(&proxy, "/api/v1/dependencies/recs/diff", |found| found["routes"] == serde_json::json!([])).await;
    proxy.burst(200..400).await;
    let found = differences(&proxy, 60).await;
    assert_eq!(places(&found, "differs"), Vec::<&str>::new(), "{found:#}");
    assert_eq!(places(&found, "noise"), ["/at", "/items", "/request"], "{found:#}");
}

#[tokio::test]
async fn what_was_mapped_to_be_served_is_compared_as_it_was_served() {
    let (v1, v2) = (Origin::start(Behaviour::Make(old)), Origin::start(Behaviour::Make(renamed)));
    let map = "response = { map = { \"/customer/name\" = \"/person/fullName\" } }";
    let body = "response = { body = \"{customer: {name: .person.fullName}, items, total, at, request}\" }";
    let cutover = "stage = \"cutover\"\npercent = 100\nslo = 0.9\nmode = \"observe\"\nrescue";
    let (rescued, alone) = (format!("{cutover} = true"), format!("{cutover} = false"));
    for (mapping, rollout) in [(map, &rescued[..]), (map, &alone), (body, &rescued), (body, &alone), (body, SHADOW)] {
        let proxy = World::new().v1(&v1).v2(&v2).v2_with(mapping).diff("noise = 50");
        let proxy = proxy.top("study = { pairs = 1000, cpu = 50 }").rollout(rollout).start().await;
        proxy.burst(0..100).await;
        let found = differences(&proxy, 30).await;
        assert_eq!(places(&found, "differs"), Vec::<&str>::new(), "{found:#}");
        assert!(found["routes"][0]["pairs"].as_u64().is_some_and(|pairs| pairs >= 50), "{found:#}");
    }
}

#[tokio::test]
async fn a_rule_sets_a_difference_aside_and_keeps_what_was_counted() {
    let (v1, v2) = (Origin::start(Behaviour::Make(old)), Origin::start(Behaviour::Make(renamed)));
    let rule =
        |until| format!("noise = 50\nignore = [{{ path = \"/customer\", until = {until}, reason = \"known\" }}]");
    let (over, long) = (rule("2026-01-01"), rule("2199-12-31"));
    let proxy = World::new().v1(&v1).v2(&v2).diff(&over).top("study = { pairs = 1000, cpu = 50 }");
    let proxy = proxy.rollout(SHADOW).start().await;
    proxy.burst(0..100).await;
    let before = differences(&proxy, 30).await;
    assert!(places(&before, "differs").contains(&"/customer"), "{before:#}");
    assert_eq!(before["routes"][0]["rules"][0]["holds"], false);
    proxy.write_file("crossfade.toml", &proxy.config().replace(&over, &long));
    assert_eq!(proxy.admin_post("/api/v1/reload", "").await.status, 200);
    let path = "/api/v1/dependencies/recs/diff";
    let after = until(&proxy, path, |found| found["routes"][0]["rules"][0]["holds"] == true).await;
    let after = if places(&after, "differs") == ["/person"] {
        after
    } else {
        until(&proxy, path, |found| places(found, "differs") == ["/person"]).await
    };
    assert_eq!(after["routes"][0]["ignored"][0]["path"], "/customer", "{after:#}");
    assert!(after["routes"][0]["pairs"].as_u64() >= before["routes"][0]["pairs"].as_u64());
}
