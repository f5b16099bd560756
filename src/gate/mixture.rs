//! The frozen grids of alternatives over which every bet is spread.
//!
//! An alternative is a log odds ratio of a fallback, so that one grid serves every SLO from .5 to
//! .9999; for pairs it is a share of the largest admissible stake. The numbers were tuned once and
//! belong to the product: changing one changes every decision (`tests/golden.json`).

/// A grid of alternatives, and how much of the stake each of them gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mixture<const K: usize> {
    /// Rising geometrically.
    pub(super) points: [f64; K],
    /// Positive, with the sum one.
    pub(super) weights: [f64; K],
}

/// A geometric grid with a bell of weights over its logarithm.
struct Shape {
    first: f64,
    last: f64,
    /// Where the bell peaks.
    mode: f64,
    /// Width of the bell, in logarithms.
    spread: f64,
    /// Share that is spread evenly, so that no alternative is forgotten.
    even: f64,
}

/// Alternatives of "better than the SLO": V2 is to be promoted.
pub(super) fn up() -> Mixture<16> {
    Shape { first: 0.02, last: 6.0, mode: 0.7, spread: 0.9, even: 0.10 }.spread()
}

/// Alternatives of "worse than the floor": V2 is to be rolled back.
pub(super) fn down() -> Mixture<8> {
    Shape { first: 0.12, last: 4.0, mode: 0.8, spread: 1.0, even: 0.10 }.spread()
}

/// Stakes on pairs, as shares of the largest one that cannot ruin.
pub(super) fn pair() -> Mixture<16> {
    Shape { first: 0.003, last: 0.98, mode: 0.5, spread: 1.3, even: 0.20 }.spread()
}

impl Shape {
    fn spread<const K: usize>(&self) -> Mixture<K> {
        let ratio = (self.last / self.first).ln();
        let points: [f64; K] = std::array::from_fn(|k| match k {
            0 => self.first,
            k if k + 1 == K => self.last,
            k => self.first * (ratio * k as f64 / (K - 1) as f64).exp(),
        });
        let bell = points.map(|x| (-0.5 * ((x.ln() - self.mode.ln()) / self.spread).powi(2)).exp());
        let sum: f64 = bell.iter().sum();
        let weights = bell.map(|g| self.even / K as f64 + (1.0 - self.even) * g / sum);
        Mixture { points, weights }
    }
}
