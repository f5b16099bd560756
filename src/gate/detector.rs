//! The Shiryaev-Roberts e-detector: has the hit rate fallen, at whatever instant?
//!
//! Each bet against "still good" is joined, in every stretch of `dt` seconds, by `dt` fresh stakes.
//! While the hypothesis holds, the weighted sum grows by one per second on average, so it reaches A
//! seconds at most once in A seconds of healthy running, at any traffic rate (Shin, Ramdas and Rinaldo,
//! E-detectors, 2023). Stakes are kept as seconds, not as logarithms: the ceiling bounds them above,
//! and one that vanishes is refilled by the next stretch.

use super::bets::Bets;

/// What a detector watches for, and how patient it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch<const K: usize> {
    /// Bets against "still good".
    pub(super) bets: Bets<K>,
    /// A: at most one false alarm in so many seconds.
    pub(super) alarm_s: f64,
    /// Stakes at the start; start risk times A. 0: none.
    pub(super) head_start_s: f64,
    blip: Option<Blip>,
    ceiling: [f64; K],
}

/// Limits how fast a detector may grow, so that a short outage cannot reach the alarm.
#[derive(Debug, Clone, Copy)]
struct Blip {
    per_second: f64,
    most: f64,
}

impl<const K: usize> Watch<K> {
    /// One false alarm in `alarm_s` seconds, no head start, no patience with blips.
    pub(super) fn new(bets: Bets<K>, alarm_s: f64) -> Self {
        // One nat above the alarm for each bet: enough to stay in alarm through an outage, little
        // enough to come back soon after it.
        let ceiling = bets.weights.map(|w| alarm_s * std::f64::consts::E / w);
        Self { bets, alarm_s, head_start_s: 0.0, blip: None, ceiling }
    }

    /// With stakes from the start.
    #[must_use]
    pub(super) fn head_start(self, head_start_s: f64) -> Self {
        Self { head_start_s, ..self }
    }

    /// With a bound on how fast it may grow: from nothing to the alarm in `blip_s` seconds, less a reserve of 4.5 nats that
    /// calm running fills up. So no alarm comes from less than `blip_s` (1 - 4.5 / ln A) seconds of badness, 71 % of `blip_s`
    /// where A is 30 days. 0: no bound.
    #[must_use]
    pub(super) fn tolerating(self, blip_s: f64) -> Self {
        let per_second = self.alarm_s.ln() / blip_s;
        let blip = (blip_s > 0.0).then(|| Blip { per_second, most: (0.1 * per_second).max(4.5) });
        Self { blip, ..self }
    }
}

/// The state of one detector: stakes in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Detector<const K: usize> {
    pub(super) stakes: [f64; K],
    /// What is left of the blip budget, in nats.
    pub(super) budget: f64,
}

impl<const K: usize> Detector<K> {
    /// As at a step's start.
    pub(super) fn start(watch: &Watch<K>) -> Self {
        Self::with_stakes(watch, watch.head_start_s)
    }

    /// As after a false alarm: no head start, its risk has been taken already.
    pub(super) fn afresh(watch: &Watch<K>) -> Self {
        Self::with_stakes(watch, 0.0)
    }

    fn with_stakes(watch: &Watch<K>, seconds: f64) -> Self {
        Self { stakes: [seconds; K], budget: watch.blip.map_or(0.0, |blip| blip.most) }
    }

    /// A stretch of `dt` seconds during which the bets grew by `growth`, whose exponential is `factor`.
    /// Returns the new level.
    pub(super) fn step(&mut self, watch: &Watch<K>, dt: f64, growth: &[f64; K], factor: &[f64; K]) -> f64 {
        let Some(blip) = watch.blip else {
            return self.multiply(watch, dt, |k| factor[k]);
        };
        let most = growth.iter().copied().fold(0.0, f64::max);
        let allowed = blip.most.min(self.budget + blip.per_second * dt);
        self.budget = allowed - most.min(allowed);
        if most <= allowed {
            self.multiply(watch, dt, |k| factor[k])
        } else {
            self.multiply(watch, dt, |k| growth[k].min(allowed).exp())
        }
    }

    fn multiply(&mut self, watch: &Watch<K>, dt: f64, factor: impl Fn(usize) -> f64) -> f64 {
        for (k, stake) in self.stakes.iter_mut().enumerate() {
            *stake = ((*stake + dt) * factor(k)).min(watch.ceiling[k]);
        }
        self.level(watch)
    }

    /// The detector's level in seconds; alarm at `watch.alarm_s`.
    pub(super) fn level(&self, watch: &Watch<K>) -> f64 {
        self.stakes.iter().zip(&watch.bets.weights).map(|(stake, w)| stake * w).sum()
    }
}
