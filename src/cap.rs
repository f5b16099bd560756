//! A bounded quantity that several threads take from: the answer to "what stops this from growing?".

use std::sync::atomic::{AtomicUsize, Ordering};

/// How much of something may be in use at once, and how much is.
#[derive(Debug)]
pub struct Cap {
    used: AtomicUsize,
    most: AtomicUsize,
}

impl Cap {
    /// Nothing in use yet.
    pub const fn new(most: usize) -> Self {
        Self { used: AtomicUsize::new(0), most: AtomicUsize::new(most) }
    }

    /// Takes `amount`, or nothing when it would exceed the cap. Whoever takes gives back the same amount.
    #[must_use]
    pub fn try_take(&self, amount: usize) -> bool {
        let before = self.used.fetch_add(amount, Ordering::Relaxed);
        let fits = before.saturating_add(amount) <= self.most.load(Ordering::Relaxed);
        if !fits {
            self.give(amount);
        }
        fits
    }

    /// Gives back what was taken.
    pub fn give(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Whether more than that many percent of the cap are in use. One is always within it, so that a cap of 1 leaves room for one.
    pub fn is_above(&self, percent: usize) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        self.used() > (most / 100 * percent + most % 100 * percent / 100).max(1)
    }

    /// How much is in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Changes the cap; what is in use above a lower cap is given back in its own time.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_hands_out_more_than_the_cap() {
        let cap = Cap::new(10);
        assert!(cap.try_take(7));
        assert!(!cap.try_take(4));
        assert_eq!(cap.used(), 7);
        cap.give(7);
        assert!(cap.try_take(10));
    }

    #[test]
    fn tells_when_a_share_is_used_up() {
        for (most, used, above) in [(10, 8, false), (10, 9, true), (2, 1, false), (2, 2, true), (1, 1, false)] {
            let cap = Cap::new(most);
            assert!(cap.try_take(used));
            assert_eq!(cap.is_above(80), above, "{used} of {most}");
        }
    }

    #[test]
    fn a_lowered_cap_counts_what_is_in_use() {
        let cap = Cap::new(10);
        assert!(cap.try_take(7));
        cap.set_most(5);
        assert!(!cap.try_take(1));
        cap.give(7);
        assert!(cap.try_take(5));
    }
}
