//! Does being mirrored hurt V1? Both backends often share a database, and a shadow is load.

use super::bets::{Bets, Weighed};
use super::counts::Sums;
use super::detector::{Detector, Watch};
use super::interval::interval;
use crate::hit_rate::Tallied;

/// Watches V1, all routes together, for a fall below its own level from before mirroring began.
#[derive(Debug, Clone)]
pub(super) struct Mirror {
    watch: Watch<8>,
    detector: Detector<8>,
    /// V1's counts up to here are in the detector.
    seen: Sums,
    clock: u64,
    hurts: bool,
}

impl Mirror {
    /// `None` without samples: then there is no level to compare with. One false alarm in `every_s` seconds.
    pub(super) fn new(before: Tallied, confidence: f64, every_s: f64, seen: Sums, now: u64) -> Option<Self> {
        before.hit_rate()?;
        let lo = interval(before.rich, before.fallback, 1.0, confidence).lo;
        let watch = Watch::new(Bets::below(lo.clamp(1e-6, 1.0 - 1e-6)), every_s);
        Some(Self { watch, detector: Detector::start(&watch), seen, clock: now, hurts: false })
    }

    /// V1 is below its level.
    pub(super) fn hurts(&self) -> bool {
        self.hurts
    }

    /// An epoch begins: sums start from zero again.
    pub(super) fn restart(&mut self) {
        self.seen = Sums::default();
    }

    /// V1's outcomes since the last look.
    pub(super) fn see(&mut self, total: &Sums, now: u64, tick_s: f64) {
        let rich = total.v1_rich.saturating_sub(self.seen.v1_rich);
        let fallback = total.v1_fallback.saturating_sub(self.seen.v1_fallback);
        self.seen = *total;
        if rich + fallback == 0 {
            return;
        }
        let dt = now.saturating_sub(self.clock).max(1) as f64 * tick_s;
        self.clock = now;
        let growth = self.watch.bets.growth(Weighed::outcomes(rich, fallback, 1.0));
        let level = self.detector.step(&self.watch, dt, &growth, &growth.map(f64::exp));
        self.hurts = level >= self.watch.alarm_s;
    }
}
