//! What survives the process: saved at once where the gate's permission changes, and every few seconds besides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::migration::SavedMigration;
use crate::console::Event;
use crate::revision::Revision;
use crate::store::Found;

/// What survives the process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) revision: Revision,
    pub(super) last_event: u64,
    /// The last valid rollout file.
    pub(super) rollout: String,
    pub(super) migrations: BTreeMap<String, SavedMigration>,
}

/// What was saved; `None`, with a word in the log, where it makes no sense: that is no permission for anything, and no reason
/// to refuse traffic either.
pub(super) fn read(bytes: &[u8]) -> Option<Saved> {
    let read = serde_json::from_slice(bytes);
    read.map_err(|error| {
        tracing::error!("the gate's state in the ledger makes no sense, every rollout starts at 0 %: {error}");
    })
    .ok()
}

/// For the ledger.
pub(super) fn write(state: &Saved) -> Vec<u8> {
    serde_json::to_vec(state).expect("plain data can always be written as JSON")
}

/// Events as the ledger has them; those that make no sense are left out.
pub(super) fn past_events(past: &[Vec<u8>]) -> Vec<Event> {
    past.iter().filter_map(|event| serde_json::from_slice(event).ok()).collect()
}

/// Numbers go on after the last one; where that is unknown, after the microseconds of the clock, which are higher than any.
pub(super) fn first_numbers_after(last: u64, found: &Found) -> u64 {
    let clock = || u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
    if found.unavailable.is_some() && found.state.is_none() { last.max(clock()) } else { last }
}
