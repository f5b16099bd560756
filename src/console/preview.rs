//! What would change if a rollout file were applied: the answer of `crossfade plan`.

use serde::{Deserialize, Serialize};

use crate::percent::Percent;
use crate::stage::Stage;

/// What would change for one dependency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// Its name.
    pub dependency: String,
    /// Whether its entry says anything else than now.
    pub changes: bool,
    /// The stage now, and then.
    pub stage: [Stage; 2],
    /// The ceiling now, and then.
    pub ceiling: [Percent; 2],
    /// The share of keys that V2 serves now, and right after the change, before the gate permits more.
    pub effective: [Percent; 2],
    /// Share of keys that move to V2 at once.
    pub to_v2: f64,
    /// Share of keys that move back to V1 at once.
    pub to_v1: f64,
    /// What else follows.
    pub consequences: Vec<Consequence>,
    /// The next step that the gate would permit, and everything above it.
    pub steps: Vec<Percent>,
    /// Which gate applies; absent in the stages that are not judged.
    pub gate: Option<PlannedGate>,
    /// Requests per second to the backends; absent without traffic in the last five minutes.
    pub load: Option<Load>,
}

/// What people may not expect of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// Another salt, or other keys: people change sides.
    DealtAnew,
    /// A latched rollback is lifted.
    RollbackLifted,
    /// The evidence of the present step counts no more.
    EvidenceLost,
}

/// The gate of a planned rollout, as far as people ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedGate {
    /// `slo`, `v1` or `both`.
    pub judge: String,
    /// The lowest acceptable hit rate.
    pub slo: f64,
    /// Chance that a promotion is right.
    pub confidence: f64,
    /// V2 may be at most this much below V1.
    pub margin: f64,
    /// Never promote on fewer requests.
    pub min_samples: u64,
    /// Least seconds on each step.
    pub bake_s: Vec<f64>,
    /// Steps that wait for a person.
    pub approve: Vec<Percent>,
    /// Whether verdicts change the percent.
    pub enforced: bool,
}

/// Requests per second, at the rate of the last five minutes. Shadows count as far as `sample` goes: an upper bound, since
/// not every method may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Of consumers.
    pub consumers: f64,
    /// To V1 now, and then.
    pub v1: [f64; 2],
    /// To V2 now, right after the change, and at the ceiling.
    pub v2: [f64; 3],
}
