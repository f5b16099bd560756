//! What people wrote about the way up: stage, ceiling, steps, and who must agree.

use serde::{Deserialize, Serialize};

use crate::percent::Percent;
use crate::stage::Stage;

/// Where a rollback goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackTo {
    /// To 0 percent.
    #[default]
    Zero,
    /// One step down.
    Previous,
}

/// Whether verdicts change the percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They do.
    #[default]
    Enforce,
    /// They are recorded only; the ceiling applies at once.
    Observe,
}

/// A time without promotions, in Unix seconds: `from` included, `to` excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeWindow {
    /// First second.
    pub from: i64,
    /// First second after it.
    pub to: i64,
}

/// The validated rollout entry of one dependency, as far as the ladder goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which backends are called.
    pub stage: Stage,
    /// The highest percent people allow; counts in `cutover` only.
    pub ceiling: Percent,
    /// Rising. Those at or above the ceiling are cut, and the ceiling is the last step.
    pub steps: Vec<Percent>,
    /// Least seconds on each step; a missing one is as long as the last. The first one also counts at 0 percent.
    pub bake_s: Vec<f64>,
    /// Steps that wait for a person.
    pub approve: Vec<Percent>,
    /// Where a rollback goes.
    pub rollback_to: RollbackTo,
    /// Whether verdicts change the percent.
    pub mode: Mode,
    /// No promotion in these times.
    pub freeze: Vec<FreezeWindow>,
}

impl Plan {
    /// Steps as they are climbed: strictly rising, none of them zero, the last one the ceiling.
    pub(super) fn steps(&self) -> impl DoubleEndedIterator<Item = Percent> + '_ {
        let ceiling = (self.ceiling > Percent::ZERO).then_some(self.ceiling);
        let below = |step: &Percent| *step > Percent::ZERO && *step < self.ceiling;
        self.steps.iter().copied().filter(below).chain(ceiling)
    }

    /// The first step above `percent`; `None` at the ceiling.
    pub(super) fn next(&self, percent: Percent) -> Option<Percent> {
        self.steps().find(|step| *step > percent)
    }

    /// The last step below `percent`, else nobody.
    pub(super) fn previous(&self, percent: Percent) -> Percent {
        self.steps().rfind(|step| *step < percent).unwrap_or_default()
    }

    /// How many steps lie at or below `percent`; 0 before the first one.
    pub(super) fn rung(&self, percent: Percent) -> u32 {
        self.steps().filter(|step| *step <= percent).count() as u32
    }

    /// Least seconds to stay at `percent`.
    pub(super) fn bake_s(&self, percent: Percent) -> f64 {
        let at = (self.rung(percent) as usize).saturating_sub(1);
        self.bake_s.get(at).or(self.bake_s.last()).copied().unwrap_or(0.0)
    }

    pub(super) fn is_frozen(&self, unix_s: i64) -> bool {
        self.freeze.iter().any(|window| (window.from..window.to).contains(&unix_s))
    }
}
