//! Rules that take a while: jq, and bodies that take long to read.

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, World};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";
/// No judgement on how busy the machine is.
const PATIENT: &str = "rule_timeout = \"20s\"";

fn scored_by(lines: &str) -> String {
    format!("[[dependency.recs.route]]\nname = \"list\"\n[dependency.recs.route.score]\n{lines}\n")
}

async fn with_rules(lines: &str, limits: &str, rollout: &str) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let world = World::new().v1(&v1).v2(&v2).limits(limits).routes(&scored_by(lines)).rollout(rollout);
    (world.start().await, v1, v2)
}

fn jobs(metrics: &Metrics, result: &str) -> u64 {
    metrics.count("crossfade_lane_jobs_total", &[("result", result)])
}

#[tokio::test]
async fn jq_scores_both_backends_and_consumers_get_their_bytes() {
    let (proxy, _v1, v2) = with_rules("rich = \".items | length > 2\"", PATIENT, SHADOW).await;
    proxy.burst(0..10).await;
    proxy.until("rich ones", |it| it.outcomes("v2") == [10, 0, 0]).await;
    v2.behave(Behaviour::Answer(Reply::new(200, r#"{"items":[1,2]}"#)));
    for answer in proxy.burst(0..10).await {
        assert_eq!(answer.body, Reply::rich().body);
    }
    let all = |it: &Metrics| it.outcomes("v1") == [20, 0, 0] && it.outcomes("v2") == [10, 10, 0];
    let metrics = proxy.until("all scored", all).await;
    assert_eq!(metrics.fallbacks("v2", "rule"), 10);
    assert_eq!(jobs(&metrics, "done"), 40);
    assert_eq!(metrics.value("crossfade_rule_poisoned", &[("backend", "v2"), ("route", "list")]), Some(0.0));
    proxy.at_rest().await;
}

#[tokio::test]
async fn what_jq_says_no_to_is_rescued() {
    let cutover = "stage = \"cutover\"\npercent = 100.0\nslo = 0.95\nmode = \"observe\"\nkey = [\"header:x-user-id\"]\nrescue = true";
    let (proxy, _v1, v2) = with_rules("rich = \".items | length > 2\"", PATIENT, cutover).await;
    v2.behave(Behaviour::Answer(Reply::new(200, r#"{"items":true}"#)));
    for answer in proxy.burst(0..5).await {
        assert_eq!(answer.header("crossfade-rescued"), Some("rule"));
        assert_eq!(answer.body, Reply::rich().body);
    }
    proxy.until("all scored", |it| it.fallbacks("v2", "rule") == 5 && it.outcomes("v1") == [5, 0, 0]).await;
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_rule_that_does_not_end_in_time_blames_nobody_and_is_left_alone() {
    let rule = "rich = \"[.[] as $a | .[] as $b | 1] | length > 0\"";
    let (proxy, _v1, v2) = with_rules(rule, "rule_timeout = \"10ms\"", SHADOW).await;
    v2.behave(Behaviour::Answer(Reply::new(200, format!("[{}1]", "1,".repeat(999)))));
    let mut users = 0;
    loop {
        for answer in proxy.burst(users..users + 5).await {
            assert_eq!(answer.body, Reply::rich().body);
        }
        users += 5;
        let excluded = |it: &Metrics| it.outcomes("v2") == [0, 0, users as u64];
        let metrics = proxy.until("no evidence against V2", excluded).await;
        if jobs(&metrics, "poisoned") > 0 {
            let told = proxy.dependency().await["poisoned_rules"].clone();
            assert!(told.is_null() || told == serde_json::json!([{ "route": "list", "backend": "v2" }]), "{told}");
            assert!(jobs(&metrics, "deadline") > 0);
            assert_eq!(
                metrics.count("crossfade_outcomes_total", &[("backend", "v2"), ("cause", "rule")]),
                users as u64
            );
            break;
        }
    }
}

#[tokio::test]
async fn large_bodies_are_read_beside_the_workers() {
    let (proxy, _v1, v2) = with_rules("required = [\"/items\"]", PATIENT, SHADOW).await;
    let padded = |body: &str| Reply::new(200, format!("{}{body}", " ".repeat(400 << 10)));
    v2.behave(Behaviour::Answer(padded(r#"{"items":[]}"#)));
    proxy.burst(0..3).await;
    proxy.until("rich ones", |it| it.outcomes("v2") == [3, 0, 0]).await;
    v2.behave(Behaviour::Answer(padded("{}")));
    proxy.burst(0..3).await;
    let metrics = proxy.until("fallbacks", |it| it.fallbacks("v2", "missing") == 3).await;
    assert_eq!(jobs(&metrics, "done"), 6);
    assert_eq!(metrics.value("crossfade_rule_poisoned", &[]), None, "there is no rule that could be");
    proxy.at_rest().await;
}

#[tokio::test]
async fn pages_are_scored_by_their_text_and_headers() {
    let rules = "header = { \"content-type\" = \"text/html*\" }\ncontains = [\"<product\"]\nmismatches = [\"(?i)out of stock\"]";
    let (proxy, v1, v2) = with_rules(rules, PATIENT, SHADOW).await;
    let page = |text: &str| Behaviour::Answer(Reply::new(200, text).header("Content-Type", "text/html; charset=utf-8"));
    v1.behave(page("<html><product id=1>"));
    for (text, scored) in [("<product>", [1, 0, 0]), ("<product>Out of Stock", [1, 1, 0]), ("<html>", [1, 2, 0])] {
        v2.behave(page(text));
        proxy.burst(0..1).await;
        proxy.until(text, |it| it.outcomes("v2") == scored).await;
    }
    let metrics = proxy.at_rest().await;
    assert_eq!((metrics.outcomes("v1"), metrics.fallbacks("v2", "rule")), ([3, 0, 0], 2));
}
