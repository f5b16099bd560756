//! What people see: the state of every rollout, as the admin port and `crossfade status` show it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::config::Struck;
use crate::gate::TopCause;
use crate::percent::Percent;
use crate::revision::Revision;
use crate::stage::{Phase, Stage};

/// Everything at one instant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When it was put together.
    pub time: Timestamp,
    /// Which content of the rollout file is in force.
    pub revision: Revision,
    /// Both configuration files: `crossfade` and `rollout`.
    pub files: BTreeMap<String, FileStatus>,
    /// What stands in the way of saving the gate's state, if anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_error: Option<String>,
    /// In the order of `crossfade.toml`.
    pub dependencies: Vec<DependencyStatus>,
}

impl Status {
    /// One dependency.
    pub fn dependency(&self, name: &str) -> Option<&DependencyStatus> {
        self.dependencies.iter().find(|dependency| dependency.name == name)
    }
}

/// How a configuration file fared last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileStatus {
    /// Where it is.
    pub path: String,
    /// Whether what it says now is in force.
    pub ok: bool,
    /// What is wrong with it, as `file:line:column: reason`, a line each; what it said before is still in force.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What was changed, but takes effect at a restart only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub needs_restart: Vec<String>,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependencyStatus {
    /// Its name in both files.
    pub name: String,
    /// What people asked for.
    pub stage: Stage,
    /// What the gate made of it.
    pub phase: Phase,
    /// Whether verdicts change the percent (`mode = "enforce"`).
    pub enforced: bool,
    /// Who is served by V2.
    pub percent: Percents,
    /// The lowest acceptable hit rate; absent in the stages that are not judged.
    pub slo: Option<f64>,
    /// By window: `1m`, `5m`, `1h`.
    pub hit_rates: BTreeMap<String, Rates>,
    /// What the gate says; absent in the stages that are not judged.
    pub verdict: Option<VerdictStatus>,
    /// Rules that nobody asks at present, since their last run did not end in time.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub poisoned_rules: Vec<PoisonedRule>,
    /// The drill under way, or the last one of this process.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drill: Option<DrillStatus>,
    /// The step after this one.
    pub next_step: Option<Percent>,
    /// The last events, newest first.
    pub events: Vec<Event>,
}

/// A rule that is left alone for a while: answers that only it could judge are excluded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoisonedRule {
    /// The route that it is a rule of.
    pub route: String,
    /// Whose answers it took too long for: `v1` or `v2`.
    pub backend: String,
}

/// A drill: a fault that was injected on purpose, and what the gate made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillStatus {
    /// The number of the event that began it.
    pub id: u64,
    /// What went wrong, as on the command line.
    pub fault: String,
    /// With this share of the calls of V2.
    pub share: Percent,
    /// With those that no consumer waits for, or with those whose answer a consumer gets.
    pub struck: Struck,
    /// The fault is taken out.
    pub is_over: bool,
    /// From the injection to the gate's alarm, seconds; absent while there is none.
    pub detected_s: Option<f64>,
    /// From the injection to the end of V2's exposure, seconds: the rollback. Absent where nobody was exposed, or none came.
    pub restored_s: Option<f64>,
}

/// Percents of bucketing keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percents {
    /// What people wrote.
    pub ceiling: Percent,
    /// What the gate permits.
    pub allowed: Percent,
    /// What is in force.
    pub effective: Percent,
    /// What was seen in the last minute; absent without traffic.
    pub observed: Option<f64>,
}

/// Hit rates of one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// V1's answers, in whatever role.
    pub v1: WindowRates,
    /// V2's answers, in whatever role.
    pub v2: WindowRates,
    /// V1's answers as they would have been without retries.
    #[serde(default)]
    pub v1_first_try: WindowRates,
    /// V2's answers as they would have been without retries.
    #[serde(default)]
    pub v2_first_try: WindowRates,
    /// What consumers got.
    pub served: WindowRates,
}

/// One hit rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowRates {
    /// Absent without samples.
    pub hit_rate: Option<f64>,
    /// Rich answers.
    pub rich: u64,
    /// Fallbacks.
    pub fallback: u64,
}

/// What the gate says, and what it goes by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictStatus {
    /// `promote`, `hold`, `rollback`, `freeze` or `insufficient`.
    pub verdict: String,
    /// One of a closed set.
    pub reason: String,
    /// The reason in one sentence, with numbers.
    pub sentence: String,
    /// The route that decided; absent when all did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<String>,
    /// The numbers.
    pub evidence: Evidence,
}

/// The numbers behind a verdict, since the present step began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// V2's scored answers.
    pub samples: u64,
    /// V2's hit rate.
    pub hit_rate: Option<f64>,
    /// Where V2's average hit rate so far lies, with the configured confidence.
    pub lo: f64,
    /// The upper end.
    pub hi: f64,
    /// V1's scored answers.
    pub v1_samples: u64,
    /// V1's hit rate.
    pub v1_hit_rate: Option<f64>,
    /// Pairs where only V2 was rich.
    pub v2_better: u64,
    /// Pairs where only V1 was rich.
    pub v2_worse: u64,
    /// Evidence that V2 meets its SLO, nats.
    pub log_e: f64,
    /// Evidence that V2 is not worse than V1 by more than the margin, nats.
    pub log_e_pairs: f64,
    /// What a promotion needs of either, nats.
    pub log_e_need: f64,
    /// Level of the detector of a fall, ln(seconds): the highest of the two.
    pub log_r: f64,
    /// The level that rolls back.
    pub log_r_alarm: f64,
    /// By how much misses cluster; 1 for independent ones.
    pub phi: f64,
    /// Seconds since the step began.
    pub elapsed_s: f64,
    /// Seconds until the least time on the step is over.
    pub bake_left_s: f64,
    /// About how many more requests a promotion needs, if the rates stay.
    pub requests_needed: Option<f64>,
    /// The same in seconds.
    pub seconds_needed: Option<f64>,
    /// Why most of V2's fallbacks on this step are such; absent without any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub top_cause: Option<TopCause>,
}
