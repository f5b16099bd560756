//! What a study found, as plain data.

use serde::{Deserialize, Serialize};

use super::{Ignore, Kind};

/// The differences of one route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiffReport {
    /// Pairs of V1's and V2's answers.
    pub pairs: u64,
    /// Pairs of two answers of V1 to the same request.
    pub noise_pairs: u64,
    /// The findings first, then by evidence.
    pub rows: Vec<DiffRow>,
    /// Rows that a rule sets aside today.
    pub ignored: Vec<DiffRow>,
    /// Rules that hold no longer; what they covered is in `rows` again.
    pub expired: Vec<Ignore>,
    /// Differences at paths beyond [`MOST_ROWS`](super::MOST_ROWS), which have no row.
    pub overflow: u64,
    /// Pairs that were not compared to their end: too large, too deep, or too different.
    pub truncated: u64,
}

/// One path and kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffRow {
    /// JSON Pointer with `*` for array indices and for keys that are data; empty for the answer as a whole.
    pub path: String,
    /// What is different.
    pub kind: Kind,
    /// Where the value was first seen in V2's answer, for [`Kind::Moved`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Pairs with V2 that have this difference.
    pub raw: u64,
    /// Pairs with V2 that were looked at for it; fewer than all below an object whose keys turned out to be data.
    pub raw_of: u64,
    /// Noise pairs that have it.
    pub noise: u64,
    /// Noise pairs that were looked at for it.
    pub noise_of: u64,
    /// What is to be made of it.
    pub verdict: Verdict,
    /// A bound on the chance of as much evidence without a difference, at any instant; 1 at most. An anytime-valid p-value.
    pub p: f64,
}

/// What is to be made of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More frequent between V1 and V2 than between V1 and itself.
    Differs,
    /// Too little evidence; more noise pairs will tell.
    Unproven,
    /// V1 differs from itself as often.
    Noise,
}
