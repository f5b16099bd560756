//! Rich and fallback counts of the last minute, five minutes and hour, for people and dashboards.
//!
//! The gate does not read these: its evidence is cumulative per step, and recency is its detector's business.

use crate::hit_rate::Tallied;

/// The windows that are shown, with their lengths in seconds; the last one is the longest.
pub const WINDOWS: [(&str, usize); 3] = [("1m", 60), ("5m", 300), ("1h", 3600)];

const SECONDS: usize = 3600;

/// Counts per second over the last hour, with a running sum per window.
#[derive(Debug, Clone)]
pub struct Window {
    seconds: Vec<Tallied>,
    now: u64,
    sums: [Tallied; WINDOWS.len()],
}

impl Window {
    /// Empty, at second `now` of any clock that the caller keeps to.
    pub fn new(now: u64) -> Self {
        Self { seconds: vec![Tallied::default(); SECONDS], now, sums: [Tallied::default(); WINDOWS.len()] }
    }

    /// Counts answers that became known in second `now`; time never runs backwards here, an earlier `now` counts as the
    /// latest one seen.
    pub fn add(&mut self, now: u64, counts: Tallied) {
        self.advance(now);
        let slot = slot(self.now);
        self.seconds[slot] += counts;
        for sum in &mut self.sums {
            *sum += counts;
        }
    }

    /// The counts of a window, named by its place in [`WINDOWS`], ending with second `now`.
    pub fn sum(&mut self, now: u64, window: usize) -> Tallied {
        self.advance(now);
        self.sums[window]
    }

    fn advance(&mut self, now: u64) {
        if now.saturating_sub(self.now) >= SECONDS as u64 {
            *self = Self::new(now);
        }
        while self.now < now {
            self.now += 1;
            for (index, (_, length)) in WINDOWS.into_iter().enumerate() {
                // The second that leaves this window; for the longest one it is the slot about to be reused.
                let leaving = self.seconds[slot(self.now + SECONDS as u64 - length as u64)];
                self.sums[index] = self.sums[index] - leaving;
            }
            let slot = slot(self.now);
            self.seconds[slot] = Tallied::default();
        }
    }
}

/// The place of a second in the ring.
const fn slot(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Tallied = Tallied { rich: 1, fallback: 0 };

    #[test]
    fn forgets_what_is_older_than_the_window() {
        let mut window = Window::new(0);
        window.add(10, ONE);
        assert_eq!(window.sum(69, 0), ONE);
        assert_eq!(window.sum(70, 0), Tallied::default());
        assert_eq!(window.sum(309, 1), ONE);
        assert_eq!(window.sum(310, 1), Tallied::default());
        assert_eq!(window.sum(3609, 2), ONE);
        assert_eq!(window.sum(3610, 2), Tallied::default());
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_list(steps in prop::collection::vec((0u64..2000, 0u64..5, 0u64..5), 1..60)) {
            let (mut window, mut list, mut now) = (Window::new(0), Vec::new(), 0);
            for (gap, rich, fallback) in steps {
                now += gap;
                window.add(now, Tallied { rich, fallback });
                list.push((now, Tallied { rich, fallback }));
                for (index, (_, length)) in WINDOWS.into_iter().enumerate() {
                    let expected = list.iter().filter(|(at, _)| at + length as u64 > now).fold(Tallied::default(), |sum, (_, counts)| sum + *counts);
                    prop_assert_eq!(window.sum(now, index), expected);
                }
            }
        }
    }
}
