//! Acts 1 and 2, in stage `shadow`: V2 is scored, found wanting, repaired and proven, and no customer has met it.

use super::{Found, REPAIRED, SPOILT};
use crate::backend::Backend;
use crate::cli::demo::answer::V1_HIT_RATE;
use crate::cli::demo::counts::{Counts, is_plausible, rate, share};
use crate::cli::demo::evidence::{by_slo, comparison, in_words, require_proof, v1_of, v2_of};
use crate::cli::demo::narrator::{Tone, without_route};
use crate::cli::demo::scene::{Scene, Stop, require};
use crate::console::{DependencyStatus, EventKind, VerdictStatus};
use crate::hit_rate::Tallied;
use crate::outcome::Cause;
use crate::percent::Percent;

/// Answers that a hit rate is told of.
const ENOUGH: u64 = 1200;
/// What is wrong with V2.
const CAUSES: [Cause; 3] = [Cause::Missing, Cause::Empty, Cause::Slow];

/// V2 at 60 %, V1 at 80 %: hit rates appear, causes too, and nothing moves.
pub(super) async fn observe(scene: &mut Scene<'_>) -> Found {
    let text = "rollout.toml says stage = \"shadow\": V1 serves everyone, V2 is called only to be scored";
    scene.tell(Tone::Plain, text)?;
    scene.rest(4).await?;
    let expected = format!("{ENOUGH} scored answers of V2, some missing, some empty, some slow");
    let counts = scene.until(expected, sampled).await?;
    let ([v1, v2], causes) = (counts.backends, counts.causes_in_words());
    let rates = format!("V1 {}, V2 {}", rate(v1), rate(v2));
    scene.tell(Tone::Plain, &format!("hit rates: {rates}"))?;
    scene.tell(Tone::Plain, &format!("why V2's other answers are fallbacks: {causes}"))?;
    require_rates(v1, v2, SPOILT)?;
    scene.rest(5).await?;
    let verdict = scene.until("the gate says that V2 misses its SLO", accused).await?;
    let (words, sentence) = (in_words(&verdict), without_route(&verdict.sentence));
    scene.tell(Tone::Bad, &format!("the gate says {words}: {sentence}"))?;
    let served = require_nobody_on_v2(scene)?;
    let text = format!("so nothing moves: 0 % on V2; all {served} answers to consumers were V1's, byte for byte");
    scene.tell(Tone::Plain, &text)?;
    scene.rest(8).await?;
    Ok(vec![format!("{rates}; {causes}"), format!("gate: {words}; {served} answers, all V1's bytes")])
}

/// V2 at 99 %, V1 still at 80 %: the evidence begins anew, and convinces the gate by both measures.
pub(super) async fn repair(scene: &mut Scene<'_>) -> Found {
    let before = scene.counts();
    let text = "V2 is repaired: 99 % of its answers are rich from now on; V1 stays at 80 %";
    scene.tell(Tone::Plain, text)?;
    scene.world.v2.set_hit_rate(REPAIRED);
    let expected = "the gate is convinced of the repaired V2, in the shadow";
    let evidence = scene.until(expected, convinced).await?.evidence;
    let recovered = scene.has_heard(EventKind::Recover);
    require(recovered, "the alarm is over before the gate is convinced", "no such event")?;
    let since = scene.counts().since(&before).of_backend(Backend::V2).samples();
    let fresh = format!("evidence from after the repair only: at most {since} requests");
    require(evidence.samples <= since, fresh, evidence.samples)?;
    require_proof(&evidence)?;
    let (v1, v2) = (v1_of(&evidence), v2_of(&evidence));
    require_rates(v1, v2, REPAIRED)?;
    let (slo, pairs) = (by_slo(&evidence), comparison(&evidence));
    scene.tell(Tone::Good, &format!("by the SLO of 95 %: {slo} needed"))?;
    scene.tell(Tone::Good, &format!("by V1 at {}: {pairs} needed", share(v1.hit_rate().unwrap_or_default())))?;
    let served = require_nobody_on_v2(scene)?;
    let text = format!("the gate is convinced, and no customer has met V2: {served} answers so far, all V1's bytes");
    scene.tell(Tone::Plain, &text)?;
    scene.rest(10).await?;
    Ok(vec![format!("by the SLO of 95 %: {slo}"), format!("by V1 at {}: {pairs}", rate(v1))])
}

/// The last verdict, once it would promote.
pub(super) fn convinced(_: &Scene<'_>, shown: &DependencyStatus) -> Option<VerdictStatus> {
    shown.verdict.clone().filter(|verdict| verdict.verdict == "promote")
}

fn accused(_: &Scene<'_>, shown: &DependencyStatus) -> Option<VerdictStatus> {
    let is_accusing = |verdict: &VerdictStatus| matches!(verdict.verdict.as_str(), "rollback" | "freeze");
    shown.verdict.clone().filter(is_accusing)
}

/// Enough answers, and each cause among them; the status shows what was counted.
fn sampled(scene: &Scene<'_>, shown: &DependencyStatus) -> Option<Counts> {
    let counts = scene.counts();
    let minute = shown.hit_rates.get("1m")?;
    let is_shown = minute.v2.rich + minute.v2.fallback >= ENOUGH && minute.v1.hit_rate.is_some();
    (is_shown && CAUSES.iter().all(|cause| counts.cause(*cause) > 0)).then_some(counts)
}

fn require_rates(v1: Tallied, v2: Tallied, v2_hit_rate: f64) -> Result<(), Stop> {
    for (name, counts, expected) in [("V1", v1, V1_HIT_RATE), ("V2", v2, v2_hit_rate)] {
        let bounds = format!("{name} at {:.0} %, as far as chance allows", expected * 100.0);
        require(is_plausible(counts, expected), bounds, rate(counts))?;
    }
    Ok(())
}

/// Says how many answers were right.
fn require_nobody_on_v2(scene: &Scene<'_>) -> Result<u64, Stop> {
    let percent = scene.shown().map(|shown| shown.percent.effective);
    let is_zero = percent == Some(Percent::ZERO);
    require(is_zero, "0 % in force in stage shadow", format!("{percent:?}"))?;
    let seen = scene.seen();
    let (by_v2, rescued) = (seen.by_v2(), seen.rescued);
    let found = format!("{by_v2} got V2's, {rescued} were rescued");
    require(by_v2 + rescued == 0, "every consumer gets V1's answer", found)?;
    scene.require_right_answers()
}
