//! Whether V1 can go: the answer of `crossfade finish`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether V1 can go, why not, and what goes with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// Of which dependency.
    pub dependency: String,
    /// Over how many days V1 has to be unused.
    pub days: f64,
    /// Nothing stands against it.
    pub is_proven: bool,
    /// What does, a sentence each.
    pub objections: Vec<String>,
    /// Calls of V1 in that time: as primary, as shadow, and by hand.
    pub v1_calls: [u64; 3],
    /// The last minute in which V1 was called, as far as the ledger goes.
    pub last_v1_call: Option<Timestamp>,
    /// Minutes of that time in which somebody was there to count.
    pub counted_minutes: u64,
    /// Minutes of that time.
    pub minutes: u64,
    /// What to retire, a line each.
    pub retire: Vec<String>,
}
