//! A confidence sequence for a hit rate: an interval that may be looked at at any instant.

use super::bets::{Bets, Weighed};

/// Halvings of the unit interval; more than a double can tell apart.
const HALVINGS: u32 = 80;

/// Where the average hit rate so far lies, with the given confidence, at all instants together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// Computed only when somebody looks: some 160 evaluations of 16 bets.
/// Counts are divided by `phi`, as all evidence is. Without outcomes: everything from 0 to 1.
pub fn interval(rich: u64, fallback: u64, phi: f64, confidence: f64) -> Interval {
    let samples = rich.saturating_add(fallback);
    if samples == 0 {
        return Interval { lo: 0.0, hi: 1.0 };
    }
    let need = (2.0 / (1.0 - confidence)).ln();
    let seen = Weighed::outcomes(rich, fallback, phi);
    let rate = rich as f64 / samples as f64;
    let lo = if rate <= 1e-9 { 0.0 } else { bisect(1e-9, rate, |p| Bets::above(p).log_e(seen) >= need).0 };
    let hi = bisect(rate.min(1.0 - 1e-12), 1.0 - 1e-12, |p| Bets::below_finely(p).log_e(seen) < need).1;
    Interval { lo, hi: hi.max(rate) }
}

/// Narrows `lo..hi` around where `holds` turns from true to false.
fn bisect(mut lo: f64, mut hi: f64, holds: impl Fn(f64) -> bool) -> (f64, f64) {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(lo, hi);
        if holds(middle) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    (lo, hi)
}

/// Kullback-Leibler divergence between two coins, nats: the information in one outcome.
pub(super) fn relative_entropy(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    term(p, q) + term(1.0 - p, 1.0 - q)
}
