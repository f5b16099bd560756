//! What it costs to try the same step again.
//!
//! Each epoch is a fresh chance of a wrong promotion. The k-th attempt of a step without a change in between
//! gets alpha / (k (k + 1)), so that all of them together stay below 1.5 alpha.

use serde::{Deserialize, Serialize};

/// Steps whose restarts are counted one by one; later ones share the last counter.
const COUNTED_STEPS: usize = 256;

/// Why an epoch begins: evidence starts from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The rollout moved to this step.
    Step(u32),
    /// What is judged has changed: SLO, margin, scoring, mapping, sample or an address.
    Change,
    /// The same step again, nothing changed: after a manual reset, or `resume` after a rollback.
    Again,
}

/// How often each step was begun without a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    step: u32,
    /// By step.
    begun: Vec<u32>,
}

impl Default for Attempts {
    /// Step 0, for the first time.
    fn default() -> Self {
        Self { step: 0, begun: vec![1] }
    }
}

impl Attempts {
    /// A change settles all accounts.
    pub(super) fn begin(&mut self, why: Restart) {
        match why {
            Restart::Change => self.begun.clear(),
            Restart::Step(step) => self.step = step,
            Restart::Again => *self.mine() = (*self.mine()).max(1),
        }
        let mine = self.mine();
        *mine = mine.saturating_add(1);
    }

    fn at(&self) -> usize {
        (self.step as usize).min(COUNTED_STEPS - 1)
    }

    fn mine(&mut self) -> &mut u32 {
        let at = self.at();
        if self.begun.len() <= at {
            self.begun.resize(at + 1, 0);
        }
        &mut self.begun[at]
    }

    /// By how much alpha is divided.
    pub(super) fn price(&self) -> f64 {
        let k = f64::from(self.begun.get(self.at()).copied().unwrap_or(1));
        if k < 2.0 { 1.0 } else { k * (k + 1.0) }
    }
}
