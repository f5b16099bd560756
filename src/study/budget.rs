//! The share of one core that the study may use.

use std::time::Duration;

use crate::percent::Percent;

/// What is earned in this time may be saved up while there is nothing to do, so that exchanges that come together are not lost.
const SAVED: Duration = Duration::from_secs(2);

/// A token bucket whose tokens are time. Work is paid for when it is done: one piece of work may overdraw it, and the rest
/// after it is as long as that takes.
///
/// Time is measured from the beginning of a piece of work to its end, whoever had the core in between: on a busy machine the
/// study uses less than its share, never more.
#[derive(Debug)]
pub(super) struct Budget {
    share: f64,
    /// Seconds; below zero: overdrawn.
    left: f64,
}

impl Budget {
    pub(super) fn new(share: Percent) -> Self {
        let share = share.as_f64() / 100.0;
        Self { share, left: share * SAVED.as_secs_f64() }
    }

    pub(super) fn set_share(&mut self, share: Percent) {
        self.share = share.as_f64() / 100.0;
    }

    /// Time has passed.
    pub(super) fn earn(&mut self, passed: Duration) {
        self.left = (self.left + passed.as_secs_f64() * self.share).min(self.share * SAVED.as_secs_f64());
    }

    /// Work was done.
    pub(super) fn spend(&mut self, worked: Duration) {
        self.left -= worked.as_secs_f64();
    }

    /// How long to rest before the next piece of work; `None`: not at all.
    pub(super) fn rest(&self) -> Option<Duration> {
        (self.left < 0.0).then(|| Duration::try_from_secs_f64(-self.left / self.share).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_followed_by_the_rest_that_keeps_its_share() {
        let mut budget = Budget::new(Percent::from_whole(5));
        budget.spend(SAVED / 20);
        assert_eq!(budget.rest(), None);
        budget.spend(Duration::from_millis(10));
        let rest = budget.rest().expect("it is overdrawn");
        assert!((rest.as_secs_f64() - 0.2).abs() < 1e-9, "{rest:?}");
        budget.earn(rest);
        assert!(budget.rest().is_none_or(|rest| rest < Duration::from_micros(1)));
    }

    #[test]
    fn little_is_saved_up_however_long_nothing_was_to_do() {
        let mut budget = Budget::new(Percent::from_whole(5));
        budget.earn(Duration::from_secs(3600));
        budget.spend(SAVED / 20 + Duration::from_millis(5));
        assert!(budget.rest().is_some());
    }
}
