//! The words of a verdict: what, why, and whose evidence. Closed sets, so that they can be labels.

use serde::{Deserialize, Serialize};

/// The gate's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To the next step.
    Promote,
    /// Stay.
    Hold,
    /// Back to V1.
    Rollback,
    /// Stay and alert: something is wrong, and V2 is not to blame yet.
    Freeze,
    /// Stay: there is too little evidence to say anything.
    Insufficient,
}

impl Kind {
    /// The name used in labels and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Hold => "hold",
            Self::Rollback => "rollback",
            Self::Freeze => "freeze",
            Self::Insufficient => "insufficient",
        }
    }
}

/// Why; each reason belongs to one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Row 1: V2 loses requests that V1 answers.
    WorseThanV1,
    /// Row 2: V1 fell as well.
    SharedOutage,
    /// Row 3: V2 misses its SLO, and V1 is no better.
    V1NoBetter,
    /// Row 4: V2 misses its SLO.
    BelowSlo,
    /// Row 5: V2 fails, for less than `blip` so far.
    Blip,
    /// Row 6: V1 fell below its own level since mirroring began.
    MirrorHurtsV1,
    /// Row 7: no outcome, or none for `stale_after`.
    NoData,
    /// Row 8: too few of the eligible requests were scored, or replicas are missing.
    Coverage,
    /// Row 9: fewer than `min_samples`.
    MinSamples,
    /// Row 9: nothing to compare V2 with.
    NoPairs,
    /// Row 10: the least time on the step is not over.
    Bake,
    /// Row 10: the calendar forbids a promotion now.
    FreezeWindow,
    /// Row 10: a person paused the rollout.
    Paused,
    /// Row 10: the next step waits for a person.
    Approval,
    /// Row 11: the hit rate may be falling.
    RecentDrop,
    /// Row 12: V1 itself misses the SLO.
    V1BelowSlo,
    /// Row 13: all evidence suffices.
    Confident,
    /// Row 14: more requests are needed.
    Undecided,
}

impl Reason {
    /// All reasons, in the order of the table.
    pub const ALL: [Self; 18] = [
        Self::WorseThanV1,
        Self::SharedOutage,
        Self::V1NoBetter,
        Self::BelowSlo,
        Self::Blip,
        Self::MirrorHurtsV1,
        Self::NoData,
        Self::Coverage,
        Self::MinSamples,
        Self::NoPairs,
        Self::Bake,
        Self::FreezeWindow,
        Self::Paused,
        Self::Approval,
        Self::RecentDrop,
        Self::V1BelowSlo,
        Self::Confident,
        Self::Undecided,
    ];

    /// The name used in labels and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorseThanV1 => "worse_than_v1",
            Self::SharedOutage => "shared_outage",
            Self::V1NoBetter => "v1_no_better",
            Self::BelowSlo => "below_slo",
            Self::Blip => "blip",
            Self::MirrorHurtsV1 => "mirror_hurts_v1",
            Self::NoData => "no_data",
            Self::Coverage => "coverage",
            Self::MinSamples => "min_samples",
            Self::NoPairs => "no_pairs",
            Self::Bake => "bake",
            Self::FreezeWindow => "freeze_window",
            Self::Paused => "paused",
            Self::Approval => "approval",
            Self::RecentDrop => "recent_drop",
            Self::V1BelowSlo => "v1_below_slo",
            Self::Confident => "confident",
            Self::Undecided => "undecided",
        }
    }

    /// The answer that goes with this reason.
    pub const fn kind(self) -> Kind {
        match self {
            Self::WorseThanV1 | Self::BelowSlo => Kind::Rollback,
            Self::SharedOutage | Self::V1NoBetter | Self::Blip | Self::MirrorHurtsV1 => Kind::Freeze,
            Self::NoData | Self::Coverage | Self::MinSamples | Self::NoPairs => Kind::Insufficient,
            Self::Bake
            | Self::FreezeWindow
            | Self::Paused
            | Self::Approval
            | Self::RecentDrop
            | Self::V1BelowSlo
            | Self::Undecided => Kind::Hold,
            Self::Confident => Kind::Promote,
        }
    }
}

/// Whose evidence decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All routes together.
    All,
    /// The route with this index.
    Route(usize),
    /// The routes that have too little traffic to be judged alone, together.
    Other,
}
