//! The traffic, as a pure function of a request's number: who sends it, and what either backend answers.
//!
//! So what was seen can be checked answer by answer, and can be continued beyond the rollback: this is how the same collapse
//! would have gone on.

use crossfade::backend::Backend;
use crossfade::bucket::bucket;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Requests a second, begun on time however long the answers take.
pub(crate) const RATE: u64 = 500;
/// The salt of the buckets: the name of the dependency.
pub(crate) const SALT: &str = "bench";
/// The share of keys that V2 serves, in thousandths of a percent.
const EXPOSED: u32 = 5_000;
/// Consumers.
const USERS: u64 = 20_000;
const HEALTHY: f64 = 0.97;
const COLLAPSED: f64 = 0.60;

/// What a bad answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// 200 with an empty list.
    Empty,
    /// 503.
    Error,
}

impl Miss {
    pub(crate) const ALL: [Self; 2] = [Self::Empty, Self::Error];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "200, empty list",
            Self::Error => "503",
        }
    }

    /// The status of an answer.
    pub(crate) const fn status(self, is_rich: bool) -> u16 {
        match self {
            Self::Error if !is_rich => 503,
            _ => 200,
        }
    }
}

/// One traffic; another seed is another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) seed: u64,
}

impl Stream {
    /// Who sends request `number`.
    pub(crate) fn user(self, number: u64) -> String {
        format!("user-{}", self.draw(number, 0) % USERS)
    }

    /// Whether V2 serves its sender.
    pub(crate) fn is_exposed(self, number: u64) -> bool {
        bucket(SALT, self.user(number).as_bytes()) < EXPOSED
    }

    /// What a backend answers; misses are independent of each other.
    pub(crate) fn is_rich(self, backend: Backend, number: u64, has_collapsed: bool) -> bool {
        let share = if backend == Backend::V2 && has_collapsed { COLLAPSED } else { HEALTHY };
        (self.draw(number, 1 + backend as u64) as f64) < share * 2_f64.powi(64)
    }

    fn draw(self, number: u64, purpose: u64) -> u64 {
        xxh3_64_with_seed(&number.to_le_bytes(), self.seed * 16 + purpose)
    }
}
