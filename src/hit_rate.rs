//! Counts of rich and fallback answers, and the one ratio everything else is about.

use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// How many answers were rich and how many were fallbacks. Excluded answers are not in here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallied {
    /// Answers with the data the consumer hoped for.
    pub rich: u64,
    /// Answers that make the consumer show its fallback.
    pub fallback: u64,
}

impl Tallied {
    /// Rich plus fallback.
    pub const fn samples(self) -> u64 {
        self.rich + self.fallback
    }

    /// rich / (rich + fallback) in `0.0..=1.0`; `None` without samples (never 0 or 1).
    pub fn hit_rate(self) -> Option<f64> {
        (self.samples() > 0).then(|| self.rich as f64 / self.samples() as f64)
    }

    /// How fast the error budget burns: (1 - hit rate) / (1 - slo). 1 means exactly at the SLO.
    /// `None` without samples, or where the SLO leaves no budget.
    pub fn burn_rate(self, slo: f64) -> Option<f64> {
        let budget = 1.0 - slo;
        self.hit_rate().filter(|_| budget > 0.0).map(|rate| (1.0 - rate) / budget)
    }
}

impl Add for Tallied {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { rich: self.rich + other.rich, fallback: self.fallback + other.fallback }
    }
}

impl AddAssign for Tallied {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Tallied {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { rich: self.rich - other.rich, fallback: self.fallback - other.fallback }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_samples_have_no_hit_rate() {
        assert_eq!(Tallied::default().hit_rate(), None);
        assert_eq!(Tallied::default().burn_rate(0.95), None);
    }

    #[test]
    fn burn_rate_is_one_exactly_at_the_slo() {
        let at_slo = Tallied { rich: 95, fallback: 5 };
        let burn = at_slo.burn_rate(0.95).expect("there are samples");
        assert!((burn - 1.0).abs() < 1e-12, "{burn}");
    }
}
