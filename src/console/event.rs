//! What happened to a rollout, for logs, people and the record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::status::VerdictStatus;
use crate::config::Change;
use crate::percent::Percent;
use crate::revision::Revision;

/// What kind of thing happened. A closed set, the label `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// People changed the rollout entry.
    Edit,
    /// The gate went a step up.
    Promote,
    /// A person let a step happen.
    Approve,
    /// A person stopped promotions.
    Pause,
    /// A person ended a pause or lifted a rollback.
    Resume,
    /// Traffic went back to V1, by the gate or by hand.
    Rollback,
    /// The gate stopped promotions, and blames nobody yet.
    Freeze,
    /// V2 fell below its floor.
    Breach,
    /// What was wrong is over.
    Recover,
    /// A file could not be applied.
    ReloadFailed,
    /// V2 was asked by hand.
    Probe,
    /// A fault was injected on purpose, or taken out again.
    Drill,
    /// V1 was shown to be unused.
    Finish,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Edit,
        Self::Promote,
        Self::Approve,
        Self::Pause,
        Self::Resume,
        Self::Rollback,
        Self::Freeze,
        Self::Breach,
        Self::Recover,
        Self::ReloadFailed,
        Self::Probe,
        Self::Drill,
        Self::Finish,
    ];

    /// The name used in labels, logs and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Promote => "promote",
            Self::Approve => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rollback => "rollback",
            Self::Freeze => "freeze",
            Self::Breach => "breach",
            Self::Recover => "recover",
            Self::ReloadFailed => "reload_failed",
            Self::Probe => "probe",
            Self::Drill => "drill",
            Self::Finish => "finish",
        }
    }
}

impl EventKind {
    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows with each event, also over restarts.
    pub id: u64,
    /// When, UTC.
    pub time: Timestamp,
    /// To which dependency; empty for a file that concerns all.
    pub dependency: String,
    /// What.
    pub kind: EventKind,
    /// Which content of the rollout file was in force.
    pub revision: Revision,
    /// Who changed that file and why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<Change>,
    /// Allowed percent before.
    pub from: Percent,
    /// Allowed percent after.
    pub to: Percent,
    /// Who did it: a person's name, or `gate`.
    pub by: String,
    /// One sentence.
    pub reason: String,
    /// The verdict behind it, with its evidence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<VerdictStatus>,
}

/// A verdict that differed from the one before it, as people were shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastVerdict {
    /// Grows with each verdict, also over restarts.
    pub id: u64,
    /// When, UTC.
    pub time: Timestamp,
    /// Of which dependency.
    pub dependency: String,
    /// Which content of the rollout file was in force.
    pub revision: Revision,
    /// What the gate permitted.
    pub allowed: Percent,
    /// What it said, and the numbers.
    #[serde(flatten)]
    pub verdict: VerdictStatus,
}
