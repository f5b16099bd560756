//! A histogram that one thread fills and another merges.

use std::time::Duration;

/// Upper bounds in seconds of `crossfade_backend_duration_seconds`.
pub(super) const BACKEND_BOUNDS: [f64; BUCKETS] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds in seconds of `crossfade_overhead_seconds`.
pub(super) const OVERHEAD_BOUNDS: [f64; BUCKETS] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];

const BUCKETS: usize = 13;

/// Counts by upper bound, not cumulative; the last one is everything above.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS + 1],
    sum_ns: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&mut self, bounds: &[f64; BUCKETS], duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = bounds.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS);
        self.counts[bucket] += 1;
        self.sum_ns = self.sum_ns.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Cumulative counts, one per bound, as Prometheus wants them.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts[..BUCKETS].iter().scan(0, |total, count| {
            *total += count;
            Some(*total)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_cumulatively_and_keeps_what_is_above_every_bound() {
        let mut histogram = Histogram::default();
        for millis in [1, 2, 30, 60_000] {
            histogram.observe(&BACKEND_BOUNDS, Duration::from_millis(millis));
        }
        let cumulative: Vec<u64> = histogram.cumulative().collect();
        assert_eq!(cumulative, [1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(histogram.count(), 4);
        assert!((histogram.sum_seconds() - 60.033).abs() < 1e-9);
    }
}
