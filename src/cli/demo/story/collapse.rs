//! Act 4: V2 fails from one request to the next, and the gate takes it back.

use std::sync::Arc;
use std::time::Instant;

use super::climb::is_latched;
use super::{Found, SPOILT};
use crate::cli::demo::narrator::{Tone, without_route};
use crate::cli::demo::scene::{Scene, Stop, require};
use crate::cli::demo::traffic::Lap;
use crate::console::{DependencyStatus, Event, EventKind};
use crate::percent::Percent;

/// V2 at 60 %, while it serves everyone.
pub(super) async fn collapse(scene: &mut Scene<'_>) -> Found {
    let lap = scene.lap();
    scene.tell(Tone::Bad, "V2 collapses: from this request on, 60 % of its answers are rich")?;
    let begun = Instant::now();
    scene.world.v2.set_hit_rate(SPOILT);
    let (at, event) = scene.until("the gate rolls back", rollback).await?;
    let (seen, after) = (lap.seen(), scene.lap());
    require_by_the_gate(&event)?;
    require(seen.rescued > 0, "some consumers are rescued", "none")?;
    let seconds = at.duration_since(begun).as_secs_f64();
    let (answers, fallbacks, rescued) = (seen.answers, seen.fallbacks, seen.rescued);
    let text =
        format!("{seconds:.1} s from collapse to rollback; meanwhile {answers} answers, {fallbacks} of them fallbacks");
    scene.tell(Tone::Plain, &text)?;
    let text = format!("{rescued} consumers were rescued: V2's answer was a fallback, so they got V1's rich one");
    scene.tell(Tone::Plain, &text)?;
    require_back(scene, &after).await?;
    let sentence = without_route(&event.reason);
    Ok(vec![
        format!("rolled back after {seconds:.1} s: {sentence}"),
        format!("meanwhile {answers} answers: {fallbacks} fallbacks, {rescued} rescued"),
    ])
}

fn rollback(scene: &Scene<'_>, _: &DependencyStatus) -> Option<(Instant, Arc<Event>)> {
    let found = scene.heard.iter().find(|heard| heard.event.kind == EventKind::Rollback);
    found.map(|heard| (heard.at, Arc::clone(&heard.event)))
}

fn require_by_the_gate(event: &Event) -> Result<(), Stop> {
    let Event { by, from, to, .. } = event;
    let holds = by == "gate" && *from == Percent::HUNDRED && *to == Percent::ZERO;
    let seen = format!("{by} takes it from {from} % to {to} %");
    require(holds, "the gate takes V2 from 100 % to 0 %", seen)
}

/// Whoever asks after the rollback is served by V1.
async fn require_back(scene: &mut Scene<'_>, after: &Lap) -> Result<(), Stop> {
    let expected = "0 % in force, latched, and consumers are answered";
    let back =
        scene.until(expected, |_, shown| (is_latched(shown) && after.seen().answers >= 40).then(|| after.seen()));
    let back = back.await?;
    let by_v2 = back.by_v2();
    require(by_v2 == 0, "after the rollback V2 serves nobody", format!("{by_v2} answers"))?;
    scene.require_right_answers()?;
    let text = format!("0 % in force, phase rolled_back; {} answers since then, all V1's", back.answers);
    scene.tell(Tone::Plain, &text)
}
