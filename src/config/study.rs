//! What is looked at beyond scoring: how many pairs are compared, and how; what noise is; what samples may hold.

use http::HeaderName;

use crate::percent::Percent;
use crate::score::Pointer;
use crate::score::diff::Options;

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
    /// What is the same, and what does not matter; by default nothing but what is equal.
    pub options: Options,
}

impl Default for Diff {
    fn default() -> Self {
        Self { noise: Percent::from_whole(1), options: Options::default() }
    }
}

impl Diff {
    /// Whether nothing differs but what is ignored: what was counted still holds.
    pub fn compares_like(&self, other: &Self) -> bool {
        let bare = |it: &Self| Options { ignore: Vec::new(), ..it.options.clone() };
        bare(self) == bare(other)
    }
}
