//! A shadow is load, and V1 and V2 often share what they run on.

use crate::world::{Behaviour, Metrics, Origin, Reply, World};

const GATE: &str = "slo = 0.5\njudge = \"slo\"\nblip = \"0s\"\noverdispersion = \"off\"\nkey = [\"header:x-user-id\"]";

#[tokio::test]
async fn mirroring_that_hurts_v1_stops_and_nothing_is_promoted() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = World::new().v1(&v1).v2(&v2).rollout("stage = \"off\"").start().await;
    proxy.burst(0..400).await;
    proxy.until("V1's level", |metrics| metrics.outcomes("v1")[0] == 400).await;
    proxy.apply(&format!("stage = \"shadow\"\n{GATE}")).await;
    proxy.burst(0..100).await;
    proxy.until("shadows", |metrics| metrics.outcomes("v2")[0] == 100).await;
    assert_eq!(proxy.dependency().await["phase"], "proving");

    v1.behave(Behaviour::HitRate(80));
    let is_frozen = |metrics: &Metrics| metrics.count("crossfade_phase", &[("phase", "frozen")]) == 1;
    while !is_frozen(&proxy.metrics().await) {
        proxy.burst(0..100).await;
    }
    let dependency = proxy.dependency().await;
    assert_eq!(dependency["verdict"]["reason"], "mirror_hurts_v1", "{dependency}");
    let freeze = &dependency["events"][0];
    assert!(
        freeze["kind"] == "freeze" && freeze["reason"].as_str().is_some_and(|it| it.contains("mirror")),
        "{freeze}"
    );

    // What was under way is over; V1 is well again, and is left alone all the same.
    proxy.at_rest().await;
    let all = v1.count() as u64;
    proxy.until("every report", |metrics| metrics.outcomes("v1").iter().sum::<u64>() == all).await;
    v1.behave(Behaviour::Answer(Reply::rich()));
    let (seen, skipped) = (v2.count(), [("reason", "sample")]);
    let before = proxy.metrics().await.count("crossfade_shadow_skipped_total", &skipped);
    proxy.burst(0..200).await;
    proxy.until("skipped", |it| it.count("crossfade_shadow_skipped_total", &skipped) == before + 200).await;
    assert_eq!(v2.count(), seen, "nothing is mirrored");
}
