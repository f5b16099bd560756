//! Where a migration stands: what people wrote (stage) and what the gate made of it (phase).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the rollout file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// V1 alone.
    #[default]
    Off,
    /// V1 serves, V2 is called to be scored.
    Shadow,
    /// A share of keys is served by V2, the other backend is the shadow.
    Cutover,
    /// V2 alone.
    Complete,
}

impl Stage {
    /// All stages, in the order of a migration.
    pub const ALL: [Self; 4] = [Self::Off, Self::Shadow, Self::Cutover, Self::Complete];

    /// The name used in `rollout.toml` and in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Cutover => "cutover",
            Self::Complete => "complete",
        }
    }

    /// Whether both backends are called.
    pub const fn pairs(self) -> bool {
        matches!(self, Self::Shadow | Self::Cutover)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the rollout of one dependency stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing to decide: stage `off` or `complete`.
    #[default]
    Idle,
    /// Evidence is being gathered for the next step.
    Proving,
    /// The evidence suffices; the next step waits for a person.
    AwaitingApproval,
    /// The evidence suffices; the calendar forbids a step now.
    FreezeWindow,
    /// A person stopped promotions.
    Paused,
    /// The gate stopped promotions, and blames nobody yet.
    Frozen,
    /// Traffic went back; latched until `resume` or a changed rollout entry.
    RolledBack,
    /// At the ceiling, still judged.
    Baking,
    /// At the ceiling, and proven there.
    Done,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Proving,
        Self::AwaitingApproval,
        Self::FreezeWindow,
        Self::Paused,
        Self::Frozen,
        Self::RolledBack,
        Self::Baking,
        Self::Done,
    ];

    /// The name used in labels and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Proving => "proving",
            Self::AwaitingApproval => "awaiting_approval",
            Self::FreezeWindow => "freeze_window",
            Self::Paused => "paused",
            Self::Frozen => "frozen",
            Self::RolledBack => "rolled_back",
            Self::Baking => "baking",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
