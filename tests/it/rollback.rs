//! The gate with its hands on the wheel: a V2 that collapses loses its traffic, and gets none back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, Request, World, Write, ask};

/// No patience with blips, so that a test need not last; the gate decides by itself. V1's own level is not in question.
const ENFORCED: &str = "stage = \"cutover\"\npercent = 50\nslo = 0.95\nblip = \"0s\"\nkey = [\"header:x-user-id\"]";

async fn enforced(v2: &Origin) -> (Proxy, Origin) {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2(v2).v2_with("timeout = \"500ms\"").rollout(ENFORCED).start().await;
    (proxy, v1)
}

fn is_rolled_back(metrics: &Metrics) -> bool {
    metrics.count("crossfade_phase", &[("phase", "rolled_back")]) == 1
}

async fn collapse(proxy: &Proxy) -> Metrics {
    proxy.burst(0..100).await;
    proxy.until("a rollback", is_rolled_back).await
}

#[tokio::test]
async fn a_collapsed_v2_is_rolled_back_and_stays_so() {
    let v2 = Origin::start(Behaviour::Answer(Reply::new(503, "down")));
    let (mut proxy, _v1) = enforced(&v2).await;
    let metrics = collapse(&proxy).await;
    assert_eq!(metrics.percent("effective"), Some(0.0));
    assert_eq!(metrics.percent("ceiling"), Some(50.0), "what people wrote stays visible");
    assert_eq!(metrics.count("crossfade_rollbacks_total", &[("dependency", "recs")]), 1);
    assert_eq!(metrics.count("crossfade_rollout_changes_total", &[("kind", "rollback")]), 1);

    let events = proxy.dependency().await["events"].clone();
    let rollback = events.as_array().and_then(|events| events.iter().find(|event| event["kind"] == "rollback"));
    let verdict = &rollback.expect("the rollback is an event")["verdict"];
    assert_eq!(verdict["verdict"], "rollback", "the event says why: {events}");
    assert!(verdict["evidence"]["samples"].as_u64() > Some(0), "with its numbers: {events}");
    assert_eq!(verdict["evidence"]["top_cause"]["cause"], "status", "and with what to look at first: {events}");
    assert!(
        verdict["sentence"].as_str().is_some_and(|it| it.ends_with("100 % of V2's fallbacks: `status`")),
        "{events}"
    );

    // V2 recovers: a latch is a latch, and the same file again is no decision of a person.
    v2.behave(Behaviour::Answer(Reply::rich()));
    for answer in proxy.burst(0..300).await {
        assert_eq!(answer.header("crossfade-served-by"), Some("v1"));
    }
    proxy.apply(ENFORCED).await;
    let metrics = proxy.at_rest().await;
    assert!(is_rolled_back(&metrics), "{metrics:?}");
    assert_eq!(metrics.count("crossfade_rollbacks_total", &[]), 1);
    assert_eq!(proxy.dependency().await["phase"], "rolled_back");
}

#[tokio::test]
async fn resume_starts_over_from_no_evidence() {
    let v2 = Origin::start(Behaviour::Answer(Reply::fallback()));
    let (proxy, _v1) = enforced(&v2).await;
    // Several times, since what must not leak into the new evidence is what happened just before.
    for rollbacks in 1..=3 {
        v2.behave(Behaviour::Answer(Reply::fallback()));
        let metrics = collapse(&proxy).await;
        assert_eq!(metrics.count("crossfade_rollbacks_total", &[]), rollbacks);
        // The rollback does not wait for the last shadows: whatever they get belongs to the collapse.
        let fallbacks = 100 * rollbacks;
        proxy.until("the last shadows", |metrics| metrics.outcomes("v2")[1] == fallbacks).await;
        v2.behave(Behaviour::Answer(Reply::rich()));
        let answer = proxy.verb("resume").await;
        assert_eq!(answer.status / 100, 2, "{}", answer.text());
        let metrics = proxy.until("no rollback", |metrics| !is_rolled_back(metrics)).await;
        assert_eq!(metrics.percent("effective"), Some(0.0), "proof comes first");
        // Requests in the very tick of the resume may count for neither side of it.
        proxy.burst(0..20).await;
        let rich = 21 * rollbacks - 1;
        proxy.until("twenty rich answers", |metrics| metrics.outcomes("v2")[0] == rich).await;
        proxy.burst(20..21).await;
        v2.until_received((121 * rollbacks) as usize).await;
        let samples = |metrics: &Metrics| metrics.count("crossfade_gate_samples", &[("backend", "v2")]);
        let metrics = proxy.until("new evidence", |metrics| samples(metrics) > 0).await;
        assert!(samples(&metrics) <= 21 && !is_rolled_back(&metrics), "{metrics:?}");
    }
}

#[tokio::test]
async fn a_raised_entry_starts_over_as_well() {
    let v2 = Origin::start(Behaviour::Answer(Reply::fallback()));
    let (mut proxy, _v1) = enforced(&v2).await;
    collapse(&proxy).await;
    v2.behave(Behaviour::Answer(Reply::rich()));
    proxy.write_rollout(Write::Rename, &ENFORCED.replace("percent = 50", "percent = 60"));
    let metrics = proxy.until("no rollback", |metrics| !is_rolled_back(metrics)).await;
    assert_eq!(metrics.percent("ceiling"), Some(60.0));
    assert_eq!(metrics.percent("effective"), Some(0.0));
}

#[tokio::test]
async fn a_v2_that_hangs_is_rolled_back_by_its_deadline() {
    let v2 = Origin::start(Behaviour::Hang);
    let (proxy, _v1) = enforced(&v2).await;
    let metrics = collapse(&proxy).await;
    assert_eq!(metrics.percent("effective"), Some(0.0));
}

#[tokio::test]
async fn a_shared_outage_is_not_blamed_on_v2() {
    let v2 = Origin::start(Behaviour::Answer(Reply::new(503, "down")));
    let (proxy, v1) = enforced(&v2).await;
    v1.behave(Behaviour::Answer(Reply::new(503, "down")));
    proxy.burst(0..200).await;
    let freeze = [("verdict", "freeze"), ("reason", "shared_outage")];
    let metrics = proxy.until("a freeze", |metrics| metrics.count("crossfade_verdicts_total", &freeze) > 0).await;
    assert!(!is_rolled_back(&metrics), "{metrics:?}");
    assert_eq!(metrics.count("crossfade_rollbacks_total", &[]), 0);
}

#[tokio::test]
async fn in_observe_mode_a_verdict_changes_nothing() {
    let v2 = Origin::start(Behaviour::Answer(Reply::fallback()));
    let v1 = Origin::answering(Reply::rich());
    let rollout = format!("{ENFORCED}\nmode = \"observe\"");
    let proxy = World::new().v1(&v1).v2(&v2).rollout(&rollout).start().await;
    proxy.burst(0..100).await;
    let rollback = [("verdict", "rollback")];
    let metrics = proxy.until("the verdict", |metrics| metrics.count("crossfade_verdicts_total", &rollback) > 0).await;
    assert_eq!(metrics.percent("effective"), Some(50.0));
}

/// Served by V2 although they were sent after V2 had lost its traffic: none, whatever else is under way.
async fn late_for_v2(proxy: &Proxy, fall: impl Future<Output = ()>) -> (usize, usize) {
    let (address, is_over) = (proxy.address(), Arc::new(AtomicBool::new(false)));
    let consumer = |number: usize| {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let (mut to_v2, mut late, mut after) = (0, 0, 0);
            for at in (0..).step_by(8) {
                let is_late = is_over.load(Ordering::SeqCst);
                let request = Request::get("/recommendations/x").header("x-user-id", format!("user-{}", number + at));
                let answer = ask(address, &request).await.expect("an answer");
                let by_v2 = answer.header("crossfade-served-by") == Some("v2");
                (to_v2, late, after) =
                    (to_v2 + usize::from(by_v2), late + usize::from(by_v2 && is_late), after + usize::from(is_late));
                if after == 20 {
                    break;
                }
            }
            (to_v2, late)
        })
    };
    let consumers: Vec<_> = (0..8).map(consumer).collect();
    fall.await;
    is_over.store(true, Ordering::SeqCst);
    let mut sum = (0, 0);
    for consumer in consumers {
        let (to_v2, late) = consumer.await.expect("it does not panic");
        sum = (sum.0 + to_v2, sum.1 + late);
    }
    sum
}

#[tokio::test]
async fn once_a_person_has_rolled_back_no_request_goes_to_v2() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let rollout = format!("{ENFORCED}\nmode = \"observe\"");
    let proxy = World::new().v1(&v1).v2(&v2).rollout(&rollout).start().await;
    let fall = async {
        proxy
            .until("traffic of V2", |metrics| metrics.count("crossfade_requests_total", &[("served_by", "v2")]) > 20)
            .await;
        assert_eq!(proxy.verb("rollback").await.status, 200);
    };
    let (to_v2, late) = late_for_v2(&proxy, fall).await;
    assert!(to_v2 > 20 && late == 0, "{to_v2} to V2, {late} of them late");
}

#[tokio::test]
async fn once_a_rollback_is_seen_no_request_goes_to_v2() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let climbing = format!("{ENFORCED}\nsteps = [50]\nbake = \"0s\"\nmin_samples = 50\noverdispersion = \"off\"");
    let proxy = World::new().v1(&v1).v2(&v2).rollout(&climbing).start().await;
    let fall = async {
        proxy.until("a climb", |metrics| metrics.percent("effective") == Some(50.0)).await;
        proxy
            .until("traffic of V2", |metrics| metrics.count("crossfade_requests_total", &[("served_by", "v2")]) > 20)
            .await;
        v2.behave(Behaviour::Answer(Reply::new(503, "down")));
        proxy.until("a rollback", is_rolled_back).await;
    };
    let (to_v2, late) = late_for_v2(&proxy, fall).await;
    assert!(to_v2 > 20 && late == 0, "{to_v2} to V2, {late} of them late");
}

#[tokio::test]
async fn people_can_roll_back_and_pause_at_any_time() {
    let v2 = Origin::start(Behaviour::Answer(Reply::rich()));
    let (proxy, _v1) = enforced(&v2).await;
    assert_eq!(proxy.verb("pause").await.status / 100, 2);
    proxy.until("paused", |metrics| metrics.count("crossfade_phase", &[("phase", "paused")]) == 1).await;
    assert_eq!(proxy.verb("rollback").await.status / 100, 2);
    proxy.until("rolled back", is_rolled_back).await;
    let events = proxy.dependency().await["events"].clone();
    for kind in ["pause", "rollback"] {
        let is_there = events.as_array().is_some_and(|events| events.iter().any(|event| event["kind"] == kind));
        assert!(is_there, "{kind} is not in {events}");
    }
}
