//! Acts 3 and 5: from 0 to 100 %, by the gate alone; the second time only after a person said `resume`.

use std::time::Instant;

use super::shadow::convinced;
use super::{Found, REPAIRED};
use crate::cli::demo::evidence::require_proof;
use crate::cli::demo::folder::Wish;
use crate::cli::demo::narrator::{Tone, without_route};
use crate::cli::demo::scene::{Heard, Pace, Scene, Stop, require, unmet};
use crate::console::{DependencyStatus, EventKind};
use crate::percent::Percent;
use crate::stage::Phase;

/// Where the gate stops on its way, in percent: `steps` in the rollout file.
const STEPS: [f64; 6] = [0.0, 1.0, 5.0, 25.0, 50.0, 100.0];

/// A person raises the ceiling, once; the gate does the rest.
pub(super) async fn cutover(scene: &mut Scene<'_>) -> Found {
    let text = "a release manager writes stage = \"cutover\", percent = 100; the rest is up to the gate";
    scene.tell(Tone::Plain, text)?;
    scene.rest(2).await?;
    let bake = if scene.pace == Pace::Once { "0s" } else { "8s" };
    scene.wish(Wish { stage: "cutover", reason: "V2 is proven in the shadow", bake })?;
    climb(scene).await
}

/// Repaired and proven again, V2 stays at 0 % until a person says `resume`.
pub(super) async fn come_back(scene: &mut Scene<'_>) -> Found {
    scene.tell(Tone::Plain, "V2 is repaired: 99 % again")?;
    scene.world.v2.set_hit_rate(REPAIRED);
    let verdict = scene.until("the gate is convinced of V2 again", convinced).await?;
    let sentence = without_route(&verdict.sentence);
    require_latch(scene)?;
    scene.tell(Tone::Plain, &format!("the gate is convinced: {sentence}"))?;
    scene.tell(Tone::Plain, "yet nothing moves: a rollback latches until a person says `resume`")?;
    scene.rest(8).await?;
    require_latch(scene)?;
    scene.resume().await?;
    let mut found = climb(scene).await?;
    found.insert(0, "latched until `resume`, though the gate was convinced".to_owned());
    Ok(found)
}

/// Whether V2 was taken back, and nobody is on it.
pub(super) fn is_latched(shown: &DependencyStatus) -> bool {
    shown.percent.effective == Percent::ZERO && shown.phase == Phase::RolledBack
}

fn require_latch(scene: &Scene<'_>) -> Result<(), Stop> {
    let is_latched = scene.shown().is_some_and(|shown| is_latched(&shown));
    let holds = is_latched && !scene.has_heard(EventKind::Promote);
    require(holds, "a rollback latches: nothing moves before `resume`", "it moved")
}

/// To 100 %, step by step, and proven there.
async fn climb(scene: &mut Scene<'_>) -> Found {
    let begun = Instant::now();
    scene.until("100 % in force, and V2 proven there", arrived).await??;
    let steps = steps(scene, begun)?;
    let answers = scene.require_right_answers()?;
    let text = "100 %, proven there, phase done; every consumer was served by the backend of its bucket";
    scene.tell(Tone::Good, text)?;
    scene.rest(10).await?;
    let text = format!("steps in order, every consumer by its bucket ({answers} answers)");
    Ok(vec![steps, text])
}

fn arrived(scene: &Scene<'_>, shown: &DependencyStatus) -> Option<Result<(), Stop>> {
    if scene.has_heard(EventKind::Rollback) {
        return Some(Err(unmet("the gate climbs to 100 %", "it rolled back")));
    }
    let is_there = shown.percent.effective == Percent::HUNDRED && shown.phase == Phase::Done;
    is_there.then_some(Ok(()))
}

/// Every step of the ladder once, in order, each on enough evidence. Says when.
fn steps(scene: &Scene<'_>, begun: Instant) -> Result<String, Stop> {
    let is_promotion = |heard: &&Heard| heard.event.kind == EventKind::Promote;
    let promotions: Vec<&Heard> = scene.heard.iter().filter(is_promotion).collect();
    let percents = |heard: &&Heard| [heard.event.from.as_f64(), heard.event.to.as_f64()];
    let steps: Vec<[f64; 2]> = promotions.iter().map(percents).collect();
    let expected: Vec<[f64; 2]> = STEPS.windows(2).map(|step| [step[0], step[1]]).collect();
    require(steps == expected, format!("the steps {expected:?}"), format!("{steps:?}"))?;
    let mut told = Vec::new();
    for Heard { at, event } in promotions {
        let verdict = event.verdict.as_ref();
        require_proof(&verdict.map(|verdict| verdict.evidence).unwrap_or_default())?;
        told.push(format!("{} % at {:.1} s", event.to, at.duration_since(begun).as_secs_f64()));
    }
    Ok(told.join(", "))
}
