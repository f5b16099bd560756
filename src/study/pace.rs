//! How often something may happen, for all threads together, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A rate with a burst: the generic cell rate algorithm (ITU-T I.371), whose whole state is one number.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the bucket is empty again, in nanoseconds of the caller's clock.
    empty_at: AtomicU64,
}

impl Pace {
    /// Whether it may happen now: on average once each `interval`, and up to `burst` times at once.
    pub(super) fn take(&self, now: Duration, interval: Duration, burst: u32) -> bool {
        let (now, interval) = (nanos(now), nanos(interval));
        let empty_at = self.empty_at.load(Ordering::Relaxed);
        let next = empty_at.max(now).saturating_add(interval);
        if next > now.saturating_add(interval.saturating_mul(u64::from(burst))) {
            return false;
        }
        // Whoever is second may as well not.
        self.empty_at.compare_exchange(empty_at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let pace = Pace::default();
        let second = Duration::from_secs(1);
        let taken = |now| (0..100).filter(|_| pace.take(now, second / 10, 5)).count();
        assert_eq!(taken(second), 5);
        assert_eq!(taken(second), 0);
        assert_eq!(taken(second + second / 5), 2);
        assert_eq!(taken(second * 60), 5, "what was not used is not saved up beyond the burst");
    }
}
