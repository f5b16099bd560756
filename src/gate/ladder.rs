//! The ladder of one rollout entry: how far up V2 is allowed, and why not further.
//!
//! A state machine without a clock: verdicts, edits and people's words go in, events and the allowed percent
//! come out. Up goes one step at a time and only on proof; down is immediate, and latches. Effective percent
//! is the smaller one of what people wrote and what is allowed here.

use serde::{Deserialize, Serialize};

use super::attempts::Restart;
use super::event::{Event, Reaction};
use super::judge::Judge;
use super::plan::{Mode, Plan, RollbackTo};
use super::reason::{Kind, Reason};
use super::verdict::Verdict;
use crate::percent::Percent;
use crate::stage::{Phase, Stage};

/// What an edit touched besides the [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// Nothing else.
    Plan,
    /// Other keys of the entry, under which evidence means the same (`confidence`, `salt`, ...).
    Entry,
    /// What evidence means: SLO, margin, scoring, mapping, sample or a backend's address.
    Evidence,
}

/// The gate's alarm as it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Incident {
    /// None, or recovered.
    Over,
    /// V2 was found guilty.
    Breached,
    /// Something is wrong, and V2 is not blamed.
    Frozen,
}

/// Where one rollout stands. Serializable: what is restored never allows more than what was saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    plan: Plan,
    allowed: Percent,
    phase: Phase,
    /// Went back; stays until `resume` or a changed entry.
    rolled_back: bool,
    paused: bool,
    /// Proven at the ceiling.
    done: bool,
    incident: Incident,
    approved: Vec<Percent>,
}

impl Ladder {
    /// At the foot: nobody is exposed before V2 is proven. In `complete`, or where verdicts are only
    /// recorded, at once where people want it.
    pub fn new(plan: Plan) -> Self {
        let mut ladder = Self {
            plan,
            allowed: Percent::ZERO,
            phase: Phase::Idle,
            rolled_back: false,
            paused: false,
            done: false,
            incident: Incident::Over,
            approved: Vec::new(),
        };
        ladder.allowed = ladder.without_gate().unwrap_or_default();
        ladder.phase = ladder.phase_after(None, 0);
        ladder
    }

    /// What the gate permits.
    pub fn allowed(&self) -> Percent {
        self.allowed
    }

    /// The share of keys that V2 serves: never above the ceiling, never above what is allowed.
    pub fn effective(&self) -> Percent {
        self.allowed.min(self.ceiling())
    }

    /// What people permit in this stage.
    pub fn ceiling(&self) -> Percent {
        match self.plan.stage {
            Stage::Off | Stage::Shadow => Percent::ZERO,
            Stage::Cutover => self.plan.ceiling,
            Stage::Complete => Percent::HUNDRED,
        }
    }

    /// Where the rollout stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What people wrote.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether verdicts are asked for at all: in `shadow` and `cutover`.
    pub fn is_judged(&self) -> bool {
        self.plan.stage.pairs()
    }

    /// The next step up; `None` at the ceiling.
    pub fn next_step(&self) -> Option<Percent> {
        (self.plan.stage == Stage::Cutover).then(|| self.plan.next(self.allowed)).flatten()
    }

    /// The next step waits for a person.
    pub fn needs_approval(&self) -> bool {
        self.next_step().is_some_and(|step| self.plan.approve.contains(&step) && !self.approved.contains(&step))
    }

    /// Least seconds at the present percent, for [`Judge::set_bake`].
    pub fn bake_s(&self) -> f64 {
        self.plan.bake_s(self.allowed)
    }

    /// The verdict as people see it: where they, or the calendar, stand in the way, it says so.
    pub fn shown(&self, verdict: &Verdict, unix_s: i64) -> Verdict {
        let may_hold = matches!(verdict.kind, Kind::Promote | Kind::Hold);
        let reason = match verdict.kind {
            _ if may_hold && self.paused => Reason::Paused,
            Kind::Promote if self.next_step().is_some() => self.restraint(unix_s).unwrap_or(verdict.reason),
            _ => verdict.reason,
        };
        Verdict { reason, kind: reason.kind(), ..*verdict }
    }

    /// Acts on a verdict. `unix_s` is compared with the freeze windows only.
    pub fn judged(&mut self, verdict: &Verdict, unix_s: i64) -> Reaction {
        let mut reaction = Reaction::default();
        if !self.is_judged() {
            return reaction;
        }
        self.note_alarm(verdict, &mut reaction);
        if self.plan.stage == Stage::Cutover && self.plan.mode == Mode::Enforce {
            match verdict.kind {
                Kind::Rollback => self.roll_back(Some(verdict.reason), &mut reaction),
                Kind::Promote => self.promote(unix_s, &mut reaction),
                Kind::Hold | Kind::Freeze | Kind::Insufficient => {}
            }
        }
        self.done |= verdict.kind == Kind::Promote && reaction.events.is_empty() && self.is_at_ceiling();
        self.phase = self.phase_after(Some(verdict.kind), unix_s);
        reaction
    }

    /// Breach, freeze and recovery are told once each.
    fn note_alarm(&mut self, verdict: &Verdict, reaction: &mut Reaction) {
        let reason = verdict.reason;
        let before = self.incident;
        match verdict.kind {
            Kind::Freeze | Kind::Rollback => {
                let freezes = verdict.kind == Kind::Freeze;
                self.incident = if freezes { Incident::Frozen } else { Incident::Breached };
                if before == Incident::Over {
                    reaction.events.push(Event::Breach { reason });
                }
                if freezes && before != Incident::Frozen {
                    reaction.events.push(Event::Freeze { reason });
                }
            }
            Kind::Promote | Kind::Hold if reason != Reason::RecentDrop => {
                self.incident = Incident::Over;
                if before != Incident::Over {
                    reaction.events.push(Event::Recover);
                }
                // Where nobody is exposed, what a broken V2 did need not weigh on a repaired one.
                if before == Incident::Breached && self.allowed == Percent::ZERO && !self.rolled_back {
                    reaction.restart = Some(Restart::Again);
                }
            }
            // Silence ends no incident.
            Kind::Promote | Kind::Hold | Kind::Insufficient => {}
        }
    }

    /// Down, whatever the phase. Rolled back already and nothing left to take back: not again.
    fn roll_back(&mut self, reason: Option<Reason>, reaction: &mut Reaction) {
        let from = self.effective();
        // A person who says rollback wants everyone back; `rollback_to` is about the gate.
        let to = match (self.plan.rollback_to, reason) {
            (RollbackTo::Previous, Some(_)) => self.plan.previous(from),
            _ => Percent::ZERO,
        };
        if self.rolled_back && to == from {
            return;
        }
        self.rolled_back = true;
        self.done = false;
        if self.incident == Incident::Frozen {
            self.incident = Incident::Breached;
        }
        self.approved.clear();
        self.allowed = to;
        reaction.events.push(Event::Rollback { from, to, reason });
        reaction.restart = Some(Restart::Step(self.plan.rung(to)));
    }

    /// One step up, if nobody and nothing stands in the way.
    fn promote(&mut self, unix_s: i64, reaction: &mut Reaction) {
        let from = self.allowed;
        let Some(to) = self.next_step().filter(|_| !self.rolled_back && self.restraint(unix_s).is_none()) else {
            return;
        };
        self.allowed = to;
        reaction.events.push(Event::Promote { from, to });
        reaction.restart = Some(Restart::Step(self.plan.rung(to)));
    }

    /// What keeps a proven V2 from the next step.
    fn restraint(&self, unix_s: i64) -> Option<Reason> {
        if self.paused {
            Some(Reason::Paused)
        } else if self.plan.is_frozen(unix_s) {
            Some(Reason::FreezeWindow)
        } else {
            self.needs_approval().then_some(Reason::Approval)
        }
    }

    /// A person agrees to the next step, now or in advance. Nothing happens where no step waits for one.
    pub fn approve(&mut self) -> Reaction {
        let Some(step) = self.next_step().filter(|_| self.needs_approval()) else {
            return Reaction::default();
        };
        self.approved.push(step);
        if self.phase == Phase::AwaitingApproval {
            self.phase = Phase::Proving;
        }
        Reaction { events: vec![Event::Approve { step }], restart: None }
    }

    /// A person stops promotions; rollbacks still happen.
    pub fn pause(&mut self, unix_s: i64) -> Reaction {
        if std::mem::replace(&mut self.paused, true) {
            return Reaction::default();
        }
        self.phase = self.phase_after(None, unix_s);
        Reaction { events: vec![Event::Pause], restart: None }
    }

    /// A person lifts a pause, or a latched rollback; after that, V2 is proven again from no evidence.
    pub fn resume(&mut self, unix_s: i64) -> Reaction {
        let was_paused = std::mem::take(&mut self.paused);
        let was_rolled_back = std::mem::take(&mut self.rolled_back);
        if !was_paused && !was_rolled_back {
            return Reaction::default();
        }
        if was_rolled_back {
            self.incident = Incident::Over;
            self.allowed = self.without_gate().unwrap_or(self.allowed);
        }
        self.phase = self.phase_after(None, unix_s);
        Reaction { events: vec![Event::Resume], restart: was_rolled_back.then_some(Restart::Again) }
    }

    /// A person takes V2 back. Always works, with or without a gate.
    pub fn rollback(&mut self, unix_s: i64) -> Reaction {
        let mut reaction = Reaction::default();
        if matches!(self.plan.stage, Stage::Cutover | Stage::Complete) {
            self.roll_back(None, &mut reaction);
            self.phase = self.phase_after(None, unix_s);
        }
        reaction
    }

    /// The entry was changed. Lowering is immediate; raising passes the gate.
    pub fn edit(&mut self, plan: Plan, touched: Touched, unix_s: i64) -> Reaction {
        let from = self.effective();
        let old = std::mem::replace(&mut self.plan, plan);
        let is_same = touched == Touched::Plan && old == self.plan;
        let lifted = self.rolled_back && !is_same;
        if lifted {
            self.rolled_back = false;
            self.incident = Incident::Over;
        }
        let before = self.allowed;
        self.allowed = self.allowed_after(old.stage);
        self.approved.retain(|step| self.plan.approve.contains(step));
        let restart = self.restart_after(&old, before, lifted || touched == Touched::Evidence);
        self.done &= restart.is_none() && self.is_at_ceiling();
        self.phase = self.phase_after(None, unix_s);
        Reaction { events: vec![Event::Edit { from, to: self.effective() }], restart }
    }

    /// What stays allowed when the stage or the ceiling changed.
    fn allowed_after(&self, old_stage: Stage) -> Percent {
        if self.rolled_back {
            return self.allowed.min(self.ceiling());
        }
        self.without_gate().unwrap_or(match old_stage {
            Stage::Off | Stage::Shadow => Percent::ZERO,
            Stage::Cutover | Stage::Complete => self.allowed.min(self.ceiling()),
        })
    }

    /// The percent where the gate has no say; `None` where it has.
    fn without_gate(&self) -> Option<Percent> {
        match (self.plan.stage, self.plan.mode) {
            (Stage::Cutover, Mode::Enforce) => None,
            _ => Some(self.ceiling()),
        }
    }

    /// From `shadow` to `cutover`, evidence is carried on: that is what it was gathered for.
    fn restart_after(&self, old: &Plan, before: Percent, has_changed: bool) -> Option<Restart> {
        let was_judged = old.stage.pairs();
        if has_changed || (self.is_judged() && !was_judged) {
            Some(Restart::Change)
        } else {
            (self.allowed != before).then(|| Restart::Step(self.plan.rung(self.allowed)))
        }
    }

    /// Tells the judge what follows for it: a new epoch, and the least time on the step.
    pub fn instruct(&self, reaction: &Reaction, judge: &mut Judge, now: u64) {
        judge.set_bake(self.bake_s());
        if let Some(restart) = reaction.restart {
            judge.restart(restart, now);
        }
    }

    fn is_at_ceiling(&self) -> bool {
        self.plan.stage == Stage::Cutover && self.allowed > Percent::ZERO && self.allowed >= self.plan.ceiling
    }

    fn phase_after(&self, kind: Option<Kind>, unix_s: i64) -> Phase {
        match self.plan.stage {
            _ if self.rolled_back => Phase::RolledBack,
            Stage::Off | Stage::Complete => Phase::Idle,
            _ if self.paused => Phase::Paused,
            _ if self.incident == Incident::Frozen => Phase::Frozen,
            Stage::Cutover if self.is_at_ceiling() && self.done => Phase::Done,
            Stage::Cutover if self.is_at_ceiling() => Phase::Baking,
            Stage::Cutover if kind == Some(Kind::Promote) => match self.restraint(unix_s) {
                Some(Reason::FreezeWindow) => Phase::FreezeWindow,
                Some(Reason::Approval) => Phase::AwaitingApproval,
                _ => Phase::Proving,
            },
            Stage::Shadow | Stage::Cutover => Phase::Proving,
        }
    }
}

#[cfg(test)]
mod tests;
