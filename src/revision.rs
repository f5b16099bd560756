//! Which content of the rollout file is in force.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of one accepted content: a number that only grows, and a hash of what was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Grows by one with each accepted change; 0 before the first.
    pub number: u64,
    /// XXH3-64 of the file's bytes.
    pub hash: u64,
}

/// `12-9f3a01c4`: the number, and the first half of the hash.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.number, self.hash >> 32)
    }
}
