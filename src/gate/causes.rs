//! Why V2 gave fallbacks: it decides nothing, and tells people where to look.

use serde::{Deserialize, Serialize};

use crate::outcome::Cause;

/// The cause of most of V2's fallbacks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TopCause {
    /// This one.
    pub cause: Cause,
    /// Its share of the fallbacks, above 0 and up to 1.
    pub share: f64,
}

/// V2's fallbacks of one route in one epoch, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Causes([u32; Cause::ALL.len()]);

impl Causes {
    pub(super) fn count(&mut self, cause: Cause, fallbacks: u32) {
        let count = &mut self.0[cause as usize];
        *count = count.saturating_add(fallbacks);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// The most frequent one, the first of the list where several are; `None` without fallbacks.
    pub(super) fn top(&self) -> Option<TopCause> {
        let all: f64 = self.0.iter().copied().map(f64::from).sum();
        let counted = Cause::ALL.into_iter().zip(self.0).rev();
        let (cause, most) = counted.max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0)?;
        Some(TopCause { cause, share: f64::from(most) / all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_cause_is_named_with_its_share() {
        let mut causes = Causes::default();
        assert_eq!(causes.top(), None);
        causes.count(Cause::Empty, 1);
        causes.count(Cause::Timeout, 3);
        assert_eq!(causes.top(), Some(TopCause { cause: Cause::Timeout, share: 0.75 }));
    }
}
