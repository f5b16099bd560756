//! What the ladder tells: events for the ledger, and a word to the judge.

use serde::{Deserialize, Serialize};

use super::attempts::Restart;
use super::reason::Reason;
use crate::percent::Percent;

/// Something for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Event {
    /// The rollout entry changed; both are effective percents.
    Edit {
        /// Before.
        from: Percent,
        /// After.
        to: Percent,
    },
    /// One step up.
    Promote {
        /// Before.
        from: Percent,
        /// After.
        to: Percent,
    },
    /// Down, and latched.
    Rollback {
        /// Before.
        from: Percent,
        /// After.
        to: Percent,
        /// The gate's reason; `None`: a person's decision.
        reason: Option<Reason>,
    },
    /// The gate stopped promotions, and blames nobody yet.
    Freeze {
        /// Why.
        reason: Reason,
    },
    /// The gate raised an alarm; the beginning of an incident.
    Breach {
        /// Why.
        reason: Reason,
    },
    /// The alarm is over.
    Recover,
    /// A person agreed to a step.
    Approve {
        /// This one.
        step: Percent,
    },
    /// A person stopped promotions.
    Pause,
    /// A person lifted a pause or a latched rollback.
    Resume,
}

/// What follows from one input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reaction {
    /// In order; empty, and without an allocation, nearly always.
    pub events: Vec<Event>,
    /// The judge begins an epoch.
    pub restart: Option<Restart>,
}
