//! Bets against a hypothesis, one per alternative, and what they are worth after the outcomes.
//!
//! Each bet multiplies its stake at every outcome by a factor whose mean is at most one while the
//! hypothesis holds. The weighted sum of the stakes, started at one, is an e-process: it ever reaches
//! 1/alpha with probability at most alpha (Ville's inequality; Waudby-Smith and Ramdas, JRSS-B 2023).

use super::mixture;

/// Outcomes to bet on, as numbers: divided by the overdispersion, they need not be whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weighed {
    /// Rich answers; for pairs: V2 better.
    pub(super) good: f64,
    /// Zero; for pairs: both the same.
    pub(super) same: f64,
    /// Fallbacks; for pairs: V2 worse.
    pub(super) bad: f64,
}

impl Weighed {
    /// Outcomes of one backend.
    pub(super) fn outcomes(rich: u64, fallback: u64, phi: f64) -> Self {
        Self { good: rich as f64 / phi, same: 0.0, bad: fallback as f64 / phi }
    }

    /// Outcomes of pairs.
    pub(super) fn pairs(better: u64, same: u64, worse: u64, phi: f64) -> Self {
        Self { good: better as f64 / phi, same: same as f64 / phi, bad: worse as f64 / phi }
    }
}

/// The logarithms of the factors of `K` bets against one hypothesis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bets<const K: usize> {
    /// The share of each bet; the sum is one.
    pub(super) weights: [f64; K],
    log_weights: [f64; K],
    good: [f64; K],
    same: [f64; K],
    bad: [f64; K],
}

impl Bets<16> {
    /// Against "the hit rate is at most `p0`": evidence to promote.
    pub(super) fn above(p0: f64) -> Self {
        let grid = mixture::up();
        Self::on_rate(p0, grid.weights, grid.points.map(|theta| -theta))
    }

    /// Against "the hit rate is at least `p0`", as finely as [`Self::above`]: for the upper end of intervals.
    pub(super) fn below_finely(p0: f64) -> Self {
        let grid = mixture::up();
        Self::on_rate(p0, grid.weights, grid.points)
    }

    /// Against "V2's hit rate is at most V1's less `margin`": evidence to promote.
    pub(super) fn pairs_above(margin: f64) -> Self {
        let grid = mixture::pair();
        let stakes = grid.points.map(|u| u / (1.0 - margin));
        Self::new(
            grid.weights,
            stakes.map(|l| (l * (1.0 + margin)).ln_1p()),
            stakes.map(|l| (l * margin).ln_1p()),
            stakes.map(|l| (l * (margin - 1.0)).ln_1p()),
        )
    }

    /// Against "V2's hit rate is at least V1's less `margin`": evidence to roll back.
    pub(super) fn pairs_below(margin: f64) -> Self {
        let grid = mixture::pair();
        let stakes = grid.points.map(|u| u / (1.0 + margin));
        Self::new(
            grid.weights,
            stakes.map(|l| (-l * (1.0 + margin)).ln_1p()),
            stakes.map(|l| (-l * margin).ln_1p()),
            stakes.map(|l| (-l * (margin - 1.0)).ln_1p()),
        )
    }
}

impl Bets<8> {
    /// Against "the hit rate is at least `p0`": evidence to roll back.
    pub(super) fn below(p0: f64) -> Self {
        let grid = mixture::down();
        Self::on_rate(p0, grid.weights, grid.points)
    }
}

impl<const K: usize> Bets<K> {
    /// Likelihood ratios: alternative k multiplies the odds of a fallback by `e^theta_k`.
    fn on_rate(p0: f64, weights: [f64; K], theta: [f64; K]) -> Self {
        let q = theta.map(|theta| 1.0 / (1.0 + (1.0 - p0) / p0 * theta.exp()));
        let good = q.map(|q| (q / p0).ln());
        let bad = q.map(|q| ((1.0 - q) / (1.0 - p0)).ln());
        Self::new(weights, good, [0.0; K], bad)
    }

    fn new(weights: [f64; K], good: [f64; K], same: [f64; K], bad: [f64; K]) -> Self {
        Self { weights, log_weights: weights.map(f64::ln), good, same, bad }
    }

    /// By how much each bet grows, in logarithms.
    pub(super) fn growth(&self, seen: Weighed) -> [f64; K] {
        std::array::from_fn(|k| seen.good * self.good[k] + seen.same * self.same[k] + seen.bad * self.bad[k])
    }

    /// The logarithm of the e-value after these outcomes; 0 without any.
    pub(super) fn log_e(&self, seen: Weighed) -> f64 {
        let grown = self.growth(seen);
        log_sum_exp(std::array::from_fn::<f64, K, _>(|k| grown[k] + self.log_weights[k]))
    }

    /// Growth per outcome of the bet that did best; what more of the same would add.
    pub(super) fn best_rate(&self, seen: Weighed) -> f64 {
        let best = self.growth(seen).into_iter().fold(f64::NEG_INFINITY, f64::max);
        best / (seen.good + seen.same + seen.bad)
    }
}

/// `ln(sum(exp(x)))` without overflow.
fn log_sum_exp<const K: usize>(x: [f64; K]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + x.iter().map(|x| (x - top).exp()).sum::<f64>().ln()
}
