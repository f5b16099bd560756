//! Does being mirrored hurt V1? Both backends often share a database, and a shadow is load.

use super::bets::{Bets, Weighed};
use super::counts::Sums;
use super::detector::{Detector, Watch};
use super::interval::interval;
use super::settings::Settings;
use crate::hit_rate::Tallied;

/// Watches V1, all routes together, for a fall below its own level from before mirroring began.
#[derive(Debug, Clone)]
pub(super) struct Mirror {
    watch: Watch<8>,
    detector: Detector<8>,
    /// V1's counts up to here are in the detector.
    seen: Sums,
    clock: u64,
    /// Ticks for which V1 is left alone after an alarm.
    rest: u64,
    /// V1 is left alone before this tick.
    hurts_until: u64,
}

impl Mirror {
    /// `None` without samples: then there is no level to compare with.
    pub(super) fn new(before: Tallied, settings: &Settings, seen: Sums, now: u64) -> Option<Self> {
        before.hit_rate()?;
        let lo = interval(before.rich, before.fallback, 1.0, settings.params.confidence).lo;
        let level = lo - settings.mirror_tolerance;
        let watch = Watch::new(Bets::below(level.clamp(1e-6, 1.0 - 1e-6)), settings.v1_warn_every_s);
        let rest = settings.ticks(settings.mirror_rest_s);
        Some(Self { watch, detector: Detector::start(&watch), seen, clock: now, rest, hurts_until: 0 })
    }

    /// V1 is below its level, or was not long ago.
    pub(super) fn hurts(&self, now: u64) -> bool {
        now < self.hurts_until
    }

    /// The tick at which V1 may be mirrored again, if nothing else is heard of it; `u64::MAX`: it may be now.
    pub(super) fn due(&self, now: u64) -> u64 {
        if self.hurts(now) { self.hurts_until } else { u64::MAX }
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
        // Without a rest it ends with the first look at which V1 is well.
        let is_low = level >= self.watch.alarm_s;
        self.hurts_until = match self.rest {
            0 if is_low => u64::MAX,
            0 => 0,
            rest if is_low => now + rest,
            _ => self.hurts_until,
        };
    }
}
