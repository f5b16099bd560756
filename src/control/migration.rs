//! One dependency as the control plane sees it: what people want, the evidence, the judge, and the ladder.

mod edit;

use std::collections::BTreeMap;
use std::sync::Arc;

use edit::plan_of;
use serde::{Deserialize, Serialize};

use super::drill::Running;
use super::show;
use crate::config::{self, Dependency, Rollout};
use crate::console::{Event, Verb, VerdictStatus};
use crate::gate::{
    self, Counts, Judge, Kind, Ladder, Reaction, Reason, Restart, SavedEvidence, Settings, Touched, Verdict,
};
use crate::hit_rate::Tallied;
use crate::outcome::Cause;
use crate::percent::Percent;
use crate::stage::{Phase, Stage};
use crate::telemetry::Report;

/// Ticks that the judge is behind the clock, so that what every worker saw of a tick is there before the tick is judged:
/// one for the report, one for the scheduler.
const LAG: u64 = 2;

/// One dependency.
pub(super) struct Migration {
    dependency: Arc<Dependency>,
    rollout: Option<Arc<Rollout>>,
    ladder: Ladder,
    /// In the stages that are judged.
    pub(super) judge: Option<Judge>,
    /// What was reported since the last tick, by route and start.
    seen: BTreeMap<(usize, u64), Counts>,
    /// Why V2 gave fallbacks, as was reported since the last tick.
    blamed: BTreeMap<(usize, Cause), u32>,
    /// What people were shown last.
    shown: Option<(Kind, Reason)>,
    /// A step up that is being recorded.
    rise: Option<Rise>,
    /// Not more than this is in force until a batch with this number is on the disk.
    cap: Option<(Percent, u64)>,
    /// A fault on purpose, under way or over.
    drill: Option<Running>,
    /// Events of steps up that have happened, and are not counted yet.
    happened: Vec<Event>,
    /// V1's answers while nothing is mirrored, about the last of them; once something is, as it was before.
    pub(super) v1_alone: Tallied,
}

/// A step up that the evidence supports, and that is not in force before it is recorded.
struct Rise {
    ladder: Ladder,
    restart: Option<Restart>,
    /// The batch that records it.
    batch: u64,
    /// Its events, which happen with it.
    events: Vec<Event>,
}

/// What a restart of the process goes on with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedMigration {
    ladder: Ladder,
    /// Of the rollout entry that the ladder is for; 0: none.
    entry: u64,
    evidence: Option<SavedEvidence>,
    #[serde(default)]
    v1_alone: Tallied,
}

impl SavedMigration {
    /// The share of keys that V2 served at most.
    pub(super) fn effective(&self) -> Percent {
        self.ladder.effective()
    }

    /// Only people lift what holds it back.
    pub(super) fn is_latched(&self) -> bool {
        matches!(self.ladder.phase(), Phase::RolledBack | Phase::Paused)
    }
}

/// What came in force because it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// What people raised.
    Freed,
    /// A step up of the gate.
    Risen,
}

/// What follows from one input.
pub(super) struct Outcome {
    pub(super) events: Vec<gate::Event>,
    /// What led to the events, as it was before they began a new epoch; absent where there are none.
    pub(super) evidence: Option<VerdictStatus>,
    /// The verdict that people are shown, when it is another one than before.
    pub(super) verdict: Option<Verdict>,
    /// The step up that the events are about: to be [begun](Migration::begin_rise), recorded and [made](Migration::landed).
    pub(super) rise: Option<Ladder>,
}

impl Migration {
    /// Begins without evidence, or goes on with what was saved.
    pub(super) fn new(
        dependency: Arc<Dependency>,
        rollout: Option<Arc<Rollout>>,
        saved: Option<&SavedMigration>,
        now: u64,
        unix_s: i64,
    ) -> (Self, Vec<gate::Event>) {
        let plan = plan_of(rollout.as_deref());
        let entry = rollout.as_ref().map_or(0, |rollout| rollout.hash);
        let (mut ladder, evidence) = match saved {
            Some(saved) => (saved.ladder.clone(), saved.evidence.as_ref()),
            None => (Ladder::new(plan.clone()), None),
        };
        let changed = saved.is_some_and(|saved| saved.entry != entry) || *ladder.plan() != plan;
        let reaction = if changed { ladder.edit(plan, Touched::Entry, unix_s) } else { Reaction::default() };
        let mut migration = Self {
            dependency,
            rollout,
            ladder,
            judge: None,
            seen: BTreeMap::new(),
            blamed: BTreeMap::new(),
            shown: None,
            rise: None,
            cap: None,
            drill: None,
            happened: Vec::new(),
            v1_alone: saved.map(|saved| saved.v1_alone).unwrap_or_default(),
        };
        migration.judge = migration.new_judge(evidence, now);
        migration.instruct(&reaction, now);
        (migration, reaction.events)
    }

    /// What is saved for the next process.
    pub(super) fn save(&self) -> SavedMigration {
        SavedMigration {
            ladder: self.rise.as_ref().map_or(&self.ladder, |rise| &rise.ladder).clone(),
            entry: self.rollout.as_ref().map_or(0, |rollout| rollout.hash),
            evidence: self.evidence(),
            v1_alone: self.v1_alone,
        }
    }

    /// What is evidence for the next process as well: nothing of what a drill spoils, however this one ends.
    fn evidence(&self) -> Option<SavedEvidence> {
        let judge = self.judge.as_ref()?;
        if self.drill.as_ref().is_none_or(|drill| drill.in_force().is_none()) {
            return Some(judge.save());
        }
        let mut afterwards = judge.clone();
        afterwards.restart(Restart::Again, 0);
        Some(afterwards.save())
    }

    pub(super) fn name(&self) -> &str {
        &self.dependency.name
    }

    pub(super) const fn dependency(&self) -> &Arc<Dependency> {
        &self.dependency
    }

    pub(super) const fn rollout(&self) -> Option<&Arc<Rollout>> {
        self.rollout.as_ref()
    }

    pub(super) const fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    pub(super) const fn judge(&self) -> Option<&Judge> {
        self.judge.as_ref()
    }

    /// What requests go by.
    pub(super) fn plan(&self) -> config::Plan {
        config::Plan {
            rollout: self.mirrored(),
            allowed: self.ladder.allowed(),
            effective: self.in_force(),
            drill: self.drill.as_ref().and_then(Running::in_force),
        }
    }

    /// The drill under way, or the last one.
    pub(super) const fn drill(&self) -> Option<&Running> {
        self.drill.as_ref()
    }

    pub(super) const fn drill_mut(&mut self) -> Option<&mut Running> {
        self.drill.as_mut()
    }

    pub(super) fn begin_drill(&mut self, drill: Running) {
        self.drill = Some(drill);
    }

    /// What was seen during a drill is no evidence of V2.
    pub(super) fn forget_evidence(&mut self, now: u64) {
        self.settle(now);
        self.instruct(&Reaction { events: Vec::new(), restart: Some(Restart::Again) }, now);
    }

    /// The share of keys that V2 serves: never more than the ladder says, and never more than is recorded.
    pub(super) fn in_force(&self) -> Percent {
        self.cap.map_or(self.ladder.effective(), |(cap, _)| cap.min(self.ladder.effective()))
    }

    /// Evidence that a worker reported; judged with the next tick. What an older configuration's routes saw is not evidence
    /// for this one's.
    pub(super) fn observe(&mut self, report: &Report) {
        let Some(judge) = &self.judge else {
            return report.tally.cohorts().iter().for_each(|(_, counts)| self.count_v1_alone(counts));
        };
        if judge.route_name(report.route.index) == Some(&report.route.route) {
            let mut failed = report.tally.cohorts().iter().filter(|(_, counts)| counts.fallback > 0);
            let is_of_epoch = failed.all(|(start, _)| judge.is_of_epoch(*start));
            for (start, counts) in report.tally.cohorts() {
                self.see(report.route.index, *start, counts);
            }
            // Causes are not reported by start: where some are of another epoch, nobody can tell which.
            for (cause, fallbacks) in report.tally.fallbacks_of_v2().filter(|_| is_of_epoch) {
                self.blame(report.route.index, cause, u32::try_from(fallbacks).unwrap_or(u32::MAX));
            }
        }
    }

    /// Counts of requests of one route that started in one tick.
    pub(super) fn see(&mut self, route: usize, start: u64, counts: &Counts) {
        self.seen.entry((route, start)).or_default().add(counts);
    }

    /// Why V2 gave fallbacks on a route.
    pub(super) fn blame(&mut self, route: usize, cause: Cause, fallbacks: u32) {
        let count = self.blamed.entry((route, cause)).or_default();
        *count = count.saturating_add(fallbacks);
    }

    /// The same since the last tick, by route.
    pub(super) fn blamed(&self) -> impl Iterator<Item = (usize, Cause, u32)> {
        self.blamed.iter().map(|((route, cause), fallbacks)| (*route, *cause, *fallbacks))
    }

    /// What the next tick will judge, in a fixed order: the same counts have to lead to the same verdict again.
    pub(super) fn seen(&self) -> impl Iterator<Item = (usize, u64, Counts)> {
        self.seen.iter().map(|((route, start), counts)| (*route, *start, *counts))
    }

    /// Lets time pass, judges, and goes down the ladder. A step up is only proposed, and only where it `may_rise`.
    pub(super) fn tick(&mut self, now: u64, unix_s: i64, may_rise: bool) -> Outcome {
        let Some(judge) = &mut self.judge else {
            return Outcome { events: Vec::new(), evidence: None, verdict: None, rise: None };
        };
        for ((route, start), counts) in std::mem::take(&mut self.seen) {
            judge.observe(route, start, &counts);
        }
        for ((route, cause), fallbacks) in std::mem::take(&mut self.blamed) {
            judge.blame(route, cause, fallbacks);
        }
        judge.tick(now.saturating_sub(LAG));
        let verdict = *judge.verdict();
        if matches!(verdict.kind, Kind::Freeze | Kind::Rollback) {
            self.settle(now);
        }
        let (reaction, rise) = self.climb(&verdict, unix_s, may_rise);
        let shown = self.ladder.shown(&verdict, unix_s);
        let is_news = self.shown.replace((shown.kind, shown.reason)) != Some((shown.kind, shown.reason));
        let evidence = self.judge.as_ref().filter(|_| !reaction.events.is_empty());
        let evidence = evidence.map(|judge| show::verdict(judge, &verdict));
        if let Some(ladder) = &rise {
            self.rise = Some(Rise { ladder: ladder.clone(), restart: reaction.restart, batch: 0, events: Vec::new() });
        } else {
            self.instruct(&reaction, now);
        }
        Outcome { events: reaction.events, evidence, verdict: is_news.then_some(shown), rise }
    }

    /// What the ladder makes of a verdict; with where it would go, if that is up.
    fn climb(&mut self, verdict: &Verdict, unix_s: i64, may_rise: bool) -> (Reaction, Option<Ladder>) {
        if self.rise.is_some() {
            return (Reaction::default(), None);
        }
        if verdict.kind != Kind::Promote {
            return (self.ladder.judged(verdict, unix_s), None);
        }
        let mut next = self.ladder.clone();
        let reaction = next.judged(verdict, unix_s);
        if next.allowed() <= self.ladder.allowed() {
            self.ladder = next;
            (reaction, None)
        } else if may_rise {
            (reaction, Some(next))
        } else {
            let held = Verdict { kind: Kind::Hold, ..*verdict };
            (self.ladder.judged(&held, unix_s), None)
        }
    }

    /// The proposed step up is being recorded, by these events in this batch.
    pub(super) fn begin_rise(&mut self, batch: u64, events: Vec<Event>) {
        if let Some(rise) = &mut self.rise {
            (rise.batch, rise.events) = (batch, events);
        }
    }

    /// A batch, and all before it, are on the disk: what waited for it is in force. Says what did.
    pub(super) fn landed(&mut self, batch: u64, now: u64) -> Effect {
        let risen = self.rise.take_if(|rise| rise.batch <= batch);
        let is_free = self.cap.take_if(|(_, waits)| *waits <= batch).is_some();
        let Some(Rise { ladder, restart, events, .. }) = risen else {
            return if is_free { Effect::Freed } else { Effect::None };
        };
        self.ladder = ladder;
        self.happened.extend(events);
        self.instruct(&Reaction { events: Vec::new(), restart }, now);
        Effect::Risen
    }

    /// A batch is not on the disk: the step up in it does not happen. Returns its events, which did not happen either.
    pub(super) fn failed(&mut self, batch: u64) -> Option<Vec<Event>> {
        self.rise.take_if(|rise| rise.batch <= batch).map(|rise| rise.events)
    }

    /// Takes over from an object for the same dependency what is not saved.
    pub(super) fn carry_over(&mut self, old: &mut Self) {
        self.drill = old.drill.take();
        self.happened = std::mem::take(&mut old.happened);
    }

    /// The events of steps up that have happened since this was asked last.
    pub(super) fn take_happened(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.happened)
    }

    /// Something else happens while a step up is being recorded: the ladder goes up first, but nothing comes in force.
    fn settle(&mut self, now: u64) {
        let Some(Rise { ladder, restart, batch, events }) = self.rise.take() else { return };
        self.cap = Some((self.in_force(), batch));
        self.ladder = ladder;
        self.happened.extend(events);
        self.instruct(&Reaction { events: Vec::new(), restart }, now);
    }

    /// Whoever raised the percent without the gate: it comes in force with the batch that records it. In stage `complete`
    /// the file itself is the record, and V1 may be gone.
    pub(super) fn hold_back(&mut self, before: Percent, batch: u64) {
        // What is held back already waits for this batch as well: an earlier one does not record what is allowed now.
        if self.ladder.plan().stage == Stage::Cutover && self.ladder.effective() > before {
            self.cap = Some((before, batch));
        }
    }

    /// Carries out what a person wants.
    pub(super) fn order(&mut self, now: u64, unix_s: i64, verb: Verb) -> Vec<gate::Event> {
        self.settle(now);
        let ladder = &mut self.ladder;
        let reaction = match verb {
            Verb::Approve => ladder.approve(),
            Verb::Pause => ladder.pause(unix_s),
            Verb::Resume => ladder.resume(unix_s),
            Verb::Rollback => ladder.rollback(unix_s),
        };
        self.instruct(&reaction, now);
        reaction.events
    }

    /// The verdict as people are shown it.
    pub(super) fn shown(&self, unix_s: i64) -> Option<Verdict> {
        self.judge.as_ref().map(|judge| self.ladder.shown(judge.verdict(), unix_s))
    }

    /// A new epoch begins with the next tick: requests that began in this one may have seen what was in force before.
    fn instruct(&mut self, reaction: &Reaction, now: u64) {
        if reaction.restart.is_some() {
            self.blamed.clear();
        }
        if let Some(judge) = &mut self.judge {
            self.ladder.instruct(reaction, judge, now + 1);
        }
    }

    fn new_judge(&self, saved: Option<&SavedEvidence>, now: u64) -> Option<Judge> {
        let params = self.rollout.as_ref()?.params.as_ref()?;
        let (settings, names) = (Settings::from(params), names(&self.dependency));
        let mut judge = if let Some(saved) = saved {
            Judge::resume(settings, &names, saved, now)
        } else {
            let mut judge = Judge::new(settings, &names);
            judge.restart(Restart::Change, now);
            judge
        };
        judge.set_bake(self.ladder.bake_s());
        judge.watch_v1_against(self.v1_alone, now);
        Some(judge)
    }
}

fn names(dependency: &Dependency) -> Vec<String> {
    dependency.routes.iter().map(|route| route.name.clone()).collect()
}
