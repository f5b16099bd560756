//! What may be looked at beyond scoring: how many pairs are compared, what noise is, and what samples may hold.

use std::collections::BTreeMap;

use http::HeaderName;
use jiff::Timestamp;

use crate::percent::Percent;
use crate::score::Pointer;

/// The table `[study]`: what comparing answers and keeping samples may cost and show, for the whole process.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Share of one core that it may use; default 5 %.
    pub cpu: Percent,
    /// Pairs of answers that are compared each second on each route, at most; 0: none; default 10.
    pub pairs: u32,
    /// Places whose values samples may hold; default none.
    pub allow: Vec<Pointer>,
    /// Headers of answers whose values samples may hold; default none.
    pub allow_headers: Vec<HeaderName>,
}

impl Default for Study {
    fn default() -> Self {
        Self { cpu: Percent::from_whole(5), pairs: 10, allow: Vec::new(), allow_headers: Vec::new() }
    }
}

/// How the answers of one route are compared: the table `diff`.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// Share of the mirrored requests for which V1 is called twice, so that noise is measured; default 1 %.
    pub noise: Percent,
    /// Differences that nobody wants to hear of.
    pub ignore: Vec<Ignore>,
    /// What tells the items of an array apart: by the array's place, the place of the key in an item. Other arrays are
    /// compared by position.
    pub ids: BTreeMap<String, String>,
    /// Numbers whose distance is at most this share of the larger one are equal; default 0: only equal ones are.
    pub tolerance: f64,
}

impl Default for Diff {
    fn default() -> Self {
        Self { noise: Percent::from_whole(1), ignore: Vec::new(), ids: BTreeMap::new(), tolerance: 0.0 }
    }
}

/// A difference that nobody wants to hear of, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The place, and everything below it.
    pub path: String,
    /// From then on it is told again.
    pub until: Timestamp,
    /// Why it does not matter.
    pub reason: Option<String>,
}

impl Diff {
    /// The rules to ignore something that are in force at an instant.
    pub fn ignored_at(&self, now: Timestamp) -> impl Iterator<Item = &Ignore> {
        self.ignore.iter().filter(move |rule| now < rule.until)
    }
}
