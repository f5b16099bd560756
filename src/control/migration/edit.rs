//! A changed configuration: what it means for evidence and ladder.

use std::sync::Arc;

use super::{Migration, names};
use crate::config::{Dependency, Rollout};
use crate::gate::{self, Judge, Ladder, Touched};
use crate::hit_rate::Tallied;
use crate::percent::Percent;
use crate::stage::Stage;

impl Migration {
    /// The configuration was changed.
    pub(in crate::control) fn edit(
        &mut self,
        dependency: Arc<Dependency>,
        rollout: Option<Arc<Rollout>>,
        now: u64,
        unix_s: i64,
    ) -> Vec<gate::Event> {
        self.settle(now);
        let touched = self.touched(&dependency, rollout.as_deref());
        let same_entry = rollout.as_deref() == self.rollout.as_deref();
        let same_routes = names(&dependency) == names(&self.dependency);
        (self.dependency, self.rollout) = (dependency, rollout);
        if same_entry && touched != Touched::Evidence {
            return Vec::new();
        }
        let reaction = self.ladder.edit(plan_of(self.rollout.as_deref()), touched, unix_s);
        if !same_routes {
            self.seen.clear();
            self.blamed.clear();
        }
        let saved = self.judge.as_ref().filter(|_| same_routes).map(Judge::save);
        let (was_judged, is_judged) =
            (self.judge.is_some(), self.rollout.as_ref().is_some_and(|it| it.params.is_some()));
        if was_judged && !is_judged {
            self.v1_alone = Tallied::default();
        }
        self.judge = self.new_judge(saved.as_ref(), now);
        self.instruct(&reaction, now);
        // Nobody changed the rollout: evidence starts anew, and that is all.
        if same_entry { Vec::new() } else { reaction.events }
    }

    /// Where the ladder would be if the rollout entry were this one, and whether the evidence would be lost.
    pub(in crate::control) fn if_edited(&self, rollout: Option<&Rollout>, unix_s: i64) -> (Ladder, bool) {
        let mut ladder = self.rise.as_ref().map_or(&self.ladder, |rise| &rise.ladder).clone();
        if rollout == self.rollout.as_deref() {
            return (ladder, false);
        }
        let touched = self.touched(&self.dependency, rollout);
        let reaction = ladder.edit(plan_of(rollout), touched, unix_s);
        (ladder, reaction.restart.is_some() && self.judge.is_some())
    }

    fn touched(&self, dependency: &Arc<Dependency>, rollout: Option<&Rollout>) -> Touched {
        let meaning =
            |rollout: &Rollout| (rollout.params.as_ref().map(|params| (params.slo, params.margin)), rollout.sample);
        let same_backends =
            Arc::ptr_eq(&self.dependency, dependency) || self.dependency.differs_in_secrets_only(dependency);
        let same_meaning = self.rollout.as_deref().map(meaning) == rollout.map(meaning);
        let goes_on = self.rollout.as_deref().map(|rollout| rollout.stage.pairs())
            == rollout.map(|rollout| rollout.stage.pairs());
        if !same_backends || (goes_on && !same_meaning) {
            Touched::Evidence
        } else if plan_of(self.rollout.as_deref()) == plan_of(rollout) {
            Touched::Entry
        } else {
            Touched::Plan
        }
    }
}

/// A rollout entry as the ladder sees it; without an entry the stage is `off`.
pub(super) fn plan_of(rollout: Option<&Rollout>) -> gate::Plan {
    let Some(rollout) = rollout else {
        return gate::Plan {
            stage: Stage::Off,
            ceiling: Percent::ZERO,
            steps: Vec::new(),
            bake_s: Vec::new(),
            approve: Vec::new(),
            rollback_to: gate::RollbackTo::Zero,
            mode: gate::Mode::Enforce,
            freeze: Vec::new(),
        };
    };
    gate::Plan {
        stage: rollout.stage,
        ceiling: rollout.ceiling,
        steps: rollout.steps.clone(),
        bake_s: rollout.bake.iter().map(std::time::Duration::as_secs_f64).collect(),
        approve: rollout.approve.clone(),
        rollback_to: rollout.rollback_to,
        mode: rollout.mode,
        freeze: rollout.freeze.clone(),
    }
}
