//! A drill: a fault on purpose, to see how fast the gate sees it. What it takes, it takes for a bounded time, and the evidence
//! that it spoiled counts for nothing afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::migration::Migration;
use crate::config::Drill;
use crate::console::{DrillOrder, DrillStatus, Refusal};
use crate::gate::{Event, Kind, Mode};
use crate::percent::Percent;
use crate::stage::{Phase, Stage};

/// Longest drill.
const LONGEST: Duration = Duration::from_secs(600);
/// Calls that have to meet the fault at the present traffic, or the drill says nothing.
const FEWEST: f64 = 50.0;

/// A drill under way, or over.
pub(super) struct Running {
    drill: Arc<Drill>,
    begun: Instant,
    status: DrillStatus,
}

/// V2's calls per second, by whether a consumer waits for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    pub(super) shadows: f64,
    pub(super) primaries: f64,
}

impl Running {
    /// From now on. `id` is the number of its event.
    pub(super) fn begin(order: &DrillOrder, id: u64) -> Self {
        let begun = Instant::now();
        Self {
            drill: Arc::new(Drill::new(order.fault, order.share, order.struck, (begun + order.lasts).into_std())),
            begun,
            status: DrillStatus {
                id,
                fault: order.fault.to_string(),
                share: order.share,
                struck: order.struck,
                is_over: false,
                detected_s: None,
                restored_s: None,
            },
        }
    }

    /// The fault, as long as it lasts.
    pub(super) fn in_force(&self) -> Option<Arc<Drill>> {
        (!self.status.is_over).then(|| Arc::clone(&self.drill))
    }

    /// For people.
    pub(super) const fn status(&self) -> &DrillStatus {
        &self.status
    }

    /// What the gate does meanwhile; what it does afterwards is no answer to the drill.
    pub(super) fn hear(&mut self, events: &[Event]) {
        if self.status.is_over {
            return;
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        for event in events {
            match event {
                Event::Breach { .. } => self.status.detected_s = self.status.detected_s.or(Some(seconds)),
                Event::Rollback { .. } => self.status.restored_s = self.status.restored_s.or(Some(seconds)),
                _ => {}
            }
        }
    }

    /// Ends it when its time is over, or nothing more can be learned; says whether that was now.
    pub(super) fn end_if_due(&mut self) -> bool {
        let is_due = Instant::now().into_std() >= self.drill.until || self.status.restored_s.is_some();
        is_due && !std::mem::replace(&mut self.status.is_over, true)
    }

    /// In words, when it is over.
    pub(super) fn result(&self) -> String {
        let DrillStatus { fault, share, struck, detected_s, restored_s, .. } = &self.status;
        let detected = detected_s.map_or_else(|| "not detected".to_owned(), |s| format!("detected after {s:.1} s"));
        let restored = restored_s.map_or_else(String::new, |s| format!(", rolled back after {s:.1} s"));
        format!("the drill is over: {fault} on {share} % of the {struck} was {detected}{restored}")
    }
}

/// Whether a drill can begin, and would say anything.
pub(super) fn check(order: &DrillOrder, migration: &Migration, traffic: Traffic) -> Result<(), Refusal> {
    let no = |text: String| Err(Refusal::NotNow(text));
    let ladder = migration.ladder();
    let Some(judge) = migration.judge() else {
        return no("only the stages `shadow` and `cutover` are judged".to_owned());
    };
    if migration.drill().is_some_and(|running| running.in_force().is_some()) {
        return no("a drill is under way".to_owned());
    }
    if order.share == Percent::ZERO || order.lasts.is_zero() || order.lasts > LONGEST {
        return no(format!("a drill strikes a share above 0 %, for at most {} s", LONGEST.as_secs()));
    }
    let kind = judge.verdict().kind;
    if matches!(ladder.phase(), Phase::RolledBack | Phase::Frozen) || !matches!(kind, Kind::Promote | Kind::Hold) {
        let (phase, sentence) = (ladder.phase(), judge.sentence());
        return no(format!("something else is wrong, or too little is known: phase {phase}, {sentence}"));
    }
    let rate = match order.struck.role() {
        crate::backend::Role::Primary => traffic.primaries,
        _ => traffic.shadows,
    };
    let struck = rate * order.share.as_f64() / 100.0 * order.lasts.as_secs_f64();
    if struck < FEWEST {
        return no(format!(
            "not enough traffic: about {struck:.0} calls would meet the fault, and {FEWEST:.0} have to; \
             let it last longer, or strike a larger share"
        ));
    }
    Ok(())
}

/// What a drill may cost, in words, when it begins.
pub(super) fn warning(order: &DrillOrder, migration: &Migration) -> String {
    let (lasts, plan) = (humantime::format_duration(order.lasts), migration.ladder().plan());
    let text = format!("{} on {} % of the {} for at most {lasts}", order.fault, order.share, order.struck);
    if plan.stage == Stage::Cutover && plan.mode == Mode::Enforce {
        format!("{text}; a rollback that follows stays until `resume`")
    } else {
        text
    }
}
