//! Whether something happens more often than noise makes it happen: two shares, one decision, at any time.
//!
//! A difference between V1 and V2 counts only if it is more frequent than the same difference between V1 and V1 again. Both
//! shares are estimated, the noise from far fewer pairs, and people look at a report whenever they like. So the evidence is an
//! e-process for two Bernoulli streams (Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests that
//! allow for optional stopping", 2024): its reciprocal bounds the chance of a false alarm at all instants together, without
//! an approximation for small counts.
//!
//! Pairs form blocks: those with V2 since the last noise pair, and the next noise pair. Before each block, shares `a` (raw) and
//! `b` (noise) are guessed from the blocks before it (Krichevsky, Trofimov, 1981), and `a0`, `b0` is the nearest point, in
//! Kullback-Leibler divergence of the block, at which `a0` is within the margin of `b0`. The block multiplies the evidence by
//! its likelihood under `a, b` over that under `a0, b0`. Within the margin the mean of that factor is at most 1: its logarithm
//! is concave in the two true shares, is 0 at `a0, b0`, and falls from there towards all shares within the margin, since these
//! form a convex set and `a0, b0` minimises the divergence over it.
//!
//! The many paths of a route are judged together by the e-BH procedure (Wang, Ramdas, "False discovery rate control with
//! e-values", 2022), which holds however they depend on each other.

/// The least effect: raw shares that a noise share still explains, as the lower one of two lines (at noise 0, slope).
///
/// Below half: the noise, a tenth of it, and one pair in a thousand, since V1 is not asked again at the same instant as V2 and
/// so the two differ a little for no reason of V2's. Above: a line on to noise of 97 %, which explains everything.
const MARGIN: [(f64, f64); 2] = [(0.001, 1.1), (0.0737, 0.955)];
/// Halvings when the nearest point is searched; shares are then exact to a billionth.
const HALVINGS: u32 = 30;

/// How often something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) hits: u64,
    pub(super) of: u64,
}

/// Two shares, and the evidence that the raw one is above the noise.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contrast {
    /// Of closed blocks.
    raw: Share,
    noise: Share,
    /// Of the block that is open: pairs since the last noise pair.
    open: Share,
    /// Natural logarithm of the evidence.
    log_e: f64,
}

impl Share {
    fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }

    fn plus(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, of: self.of + other.of }
    }

    /// Observed; nothing was observed: zero.
    fn rate(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.hits as f64 / self.of as f64 }
    }

    /// The guess of Krichevsky and Trofimov; never 0 or 1.
    fn guess(self) -> f64 {
        (self.hits as f64 + 0.5) / (self.of as f64 + 1.0)
    }

    /// Logarithm of the likelihood under `p` over that under `q`.
    fn log_ratio(self, p: f64, q: f64) -> f64 {
        let (hits, misses) = (self.hits as f64, (self.of - self.hits) as f64);
        hits * (p / q).ln() + misses * ((1.0 - p) / (1.0 - q)).ln()
    }
}

impl Contrast {
    /// One pair with V2.
    pub(super) fn raw(&mut self, hit: bool) {
        self.open.add(hit);
    }

    /// One pair of V1 with itself.
    pub(super) fn noise(&mut self, hit: bool) {
        let block = std::mem::take(&mut self.open);
        let mut one = Share::default();
        one.add(hit);
        let (a, b) = (self.raw.guess(), self.noise.guess());
        if block.of > 0 && a > within(b) {
            let (a0, b0) = nearest(a, b, block.of as f64);
            self.log_e += block.log_ratio(a, a0) + one.log_ratio(b, b0);
        }
        self.raw = self.raw.plus(block);
        self.noise = self.noise.plus(one);
    }

    /// All pairs with V2.
    pub(super) fn raw_share(&self) -> Share {
        self.raw.plus(self.open)
    }

    /// All pairs of V1 with itself.
    pub(super) fn noise_share(&self) -> Share {
        self.noise
    }

    /// Natural logarithm of the evidence.
    pub(super) fn log_e(&self) -> f64 {
        self.log_e
    }

    /// Whether noise was seen, and as far as one can see explains what is raw.
    pub(super) fn looks_like_noise(&self) -> bool {
        self.noise.hits > 0 && self.raw_share().rate() <= within(self.noise.rate())
    }
}

/// The evidence from which on the best of `hypotheses` are findings, of which at most the share `false_discoveries` is false,
/// as a natural logarithm; infinite if there is none.
pub(super) fn threshold(mut log_es: Vec<f64>, hypotheses: usize, false_discoveries: f64) -> f64 {
    log_es.sort_by(|a, b| b.total_cmp(a));
    let need = |rank: usize| (hypotheses as f64 / (false_discoveries * rank as f64)).ln();
    let last = (1..=log_es.len()).rev().find(|&rank| log_es[rank - 1] >= need(rank));
    last.map_or(f64::INFINITY, need)
}

/// The highest raw share that this noise still explains, and how fast it rises with the noise.
fn margin(noise: f64) -> (f64, f64) {
    let [first, second] = MARGIN.map(|(at_zero, slope)| (at_zero + slope * noise, slope));
    if first.0 <= second.0 { first } else { second }
}

fn within(noise: f64) -> f64 {
    margin(noise).0
}

/// The point on the margin that is nearest to `a, b`, for blocks of `pairs` and one noise pair. The margin is concave, so the
/// divergence along it is convex and its slope changes its sign once between the two ends.
fn nearest(a: f64, b: f64, pairs: f64) -> (f64, f64) {
    let slope = |from: f64, to: f64| (to - from) / (to * (1.0 - to));
    let end = MARGIN.map(|(at_zero, slope)| (a - at_zero) / slope);
    let (mut low, mut high) = (b, end[0].max(end[1]));
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        let (raw, rise) = margin(middle);
        if rise * pairs * slope(a, raw) + slope(b, middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (within(low), low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Evidence after blocks of `pairs` and one noise pair each, with these true shares.
    fn play(raw: f64, noise: f64, pairs: u32, blocks: u32) -> f64 {
        let (random, mut contrast) = (Random::default(), Contrast::default());
        let hit = |share: f64| f64::from(random.below(1 << 24)) < share * f64::from(1 << 24);
        for _ in 0..blocks {
            (0..pairs).for_each(|_| contrast.raw(hit(raw)));
            contrast.noise(hit(noise));
        }
        contrast.log_e()
    }

    #[test]
    fn what_noise_explains_never_becomes_evidence() {
        for (raw, noise, pairs) in
            [(0.5, 0.5, 1), (1.0, 1.0, 9), (0.02, 0.02, 99), (0.0, 0.0, 9), (0.3, 0.3, 20), (1.0, 0.97, 9)]
        {
            let alarms = (0..200).filter(|_| play(raw, noise, pairs, 60) > 100_f64.ln()).count();
            assert!(alarms <= 6, "{alarms} of 200 above 100 at {raw} {noise}; at most 2 are expected");
        }
    }

    #[test]
    fn a_real_difference_soon_does() {
        assert!(play(1.0, 0.0, 99, 5) > 11.0);
        assert!(play(1.0, 0.0, 1, 40) > 11.0);
        assert!(play(0.5, 0.0, 99, 60) > 11.0);
        assert!(play(0.6, 0.2, 9, 200) > 11.0);
        assert!(play(0.03, 0.0, 1, 2000) > 11.0);
    }

    #[test]
    fn the_mean_of_the_evidence_is_at_most_one_without_a_difference() {
        // Two blocks with every outcome weighed by its probability, at shares on the margin: an exact check.
        for (pairs, noise) in [(1, 0.2), (3, 0.05), (2, 0.6)] {
            let raw = within(noise);
            let mean: f64 = (0..1_u32 << (2 * (pairs + 1)))
                .map(|outcome| {
                    let (mut contrast, mut chance, mut bits) = (Contrast::default(), 1.0, outcome);
                    let mut draw = |share: f64| {
                        let hit = bits & 1 == 1;
                        bits >>= 1;
                        chance *= if hit { share } else { 1.0 - share };
                        hit
                    };
                    for _ in 0..2 {
                        (0..pairs).for_each(|_| contrast.raw(draw(raw)));
                        contrast.noise(draw(noise));
                    }
                    chance * contrast.log_e().exp()
                })
                .sum();
            assert!(mean <= 1.0 + 1e-9, "{mean}");
        }
    }

    #[test]
    fn findings_are_drawn_where_few_of_them_are_false() {
        let log = |e: f64| e.ln();
        assert!(threshold(vec![log(900.0)], 10, 0.01).is_infinite());
        assert!((threshold(vec![log(1001.0)], 10, 0.01) - log(1000.0)).abs() < 1e-9);
        assert!((threshold(vec![log(600.0), log(501.0), 0.0], 10, 0.01) - log(500.0)).abs() < 1e-9);
        assert!(threshold(Vec::new(), 10, 0.01).is_infinite());
    }
}
