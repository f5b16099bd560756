//! The detectors of one route: what each is shown, and how high it stands.

use super::bets::Weighed;
use super::counts::Counts;
use super::detector::Detector;
use super::rules::Rules;

/// The detectors of one route, and up to which bucket each has seen time pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Detectors {
    pub(super) fell: Detector<8>,
    pub(super) falling: Detector<8>,
    pub(super) worse: Detector<16>,
    pub(super) worsening: Detector<16>,
    pub(super) v1_fell: Detector<8>,
    pub(super) v2_clock: u64,
    pair_clock: u64,
    v1_clock: u64,
}

/// Detector levels in seconds; each may be compared with its watch's `alarm_s`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Levels {
    pub(super) fell: f64,
    pub(super) falling: f64,
    pub(super) worse: f64,
    pub(super) worsening: f64,
    pub(super) v1_fell: f64,
}

impl Detectors {
    pub(super) fn start(rules: &Rules, bucket: u64) -> Self {
        Self {
            fell: Detector::start(&rules.fell),
            falling: Detector::start(&rules.falling),
            worse: Detector::start(&rules.worse),
            worsening: Detector::start(&rules.worsening),
            v1_fell: Detector::start(&rules.v1_fell),
            v2_clock: bucket,
            pair_clock: bucket,
            v1_clock: bucket,
        }
    }

    pub(super) fn levels(&self, rules: &Rules) -> Levels {
        Levels {
            fell: self.fell.level(&rules.fell),
            falling: self.falling.level(&rules.falling),
            worse: self.worse.level(&rules.worse),
            worsening: self.worsening.level(&rules.worsening),
            v1_fell: self.v1_fell.level(&rules.v1_fell),
        }
    }

    /// V2's outcomes of one bucket; the silence before it is part of the step.
    pub(super) fn see_v2(&mut self, rules: &Rules, span: &Span, seen: Weighed, peaks: &mut Levels) {
        let dt = span.since(&mut self.v2_clock);
        let growth = rules.fell.bets.growth(seen);
        let factor = growth.map(f64::exp);
        peaks.fell = peaks.fell.max(self.fell.step(&rules.fell, dt, &growth, &factor));
        let level = self.falling.step(&rules.falling, span.seconds, &growth, &factor);
        peaks.falling = peaks.falling.max(level);
    }

    /// V1's outcomes of one bucket.
    fn see_v1(&mut self, rules: &Rules, span: &Span, seen: Weighed, peaks: &mut Levels) {
        let dt = span.since(&mut self.v1_clock);
        let growth = rules.v1_fell.bets.growth(seen);
        let factor = growth.map(f64::exp);
        peaks.v1_fell = peaks.v1_fell.max(self.v1_fell.step(&rules.v1_fell, dt, &growth, &factor));
    }

    /// The pairs of one bucket.
    fn see_pairs(&mut self, rules: &Rules, span: &Span, seen: Weighed, peaks: &mut Levels) {
        let dt = span.since(&mut self.pair_clock);
        let growth = rules.worse.bets.growth(seen);
        let factor = growth.map(f64::exp);
        peaks.worse = peaks.worse.max(self.worse.step(&rules.worse, dt, &growth, &factor));
        let level = self.worsening.step(&rules.worsening, span.seconds, &growth, &factor);
        peaks.worsening = peaks.worsening.max(level);
    }

    /// V1's outcomes and the pairs of one bucket.
    pub(super) fn see_comparison(&mut self, rules: &Rules, span: &Span, counts: &Counts, phi: f64, peaks: &mut Levels) {
        if counts.v1_rich > 0 || counts.v1_fallback > 0 {
            let seen = Weighed::outcomes(counts.v1_rich.into(), counts.v1_fallback.into(), phi);
            self.see_v1(rules, span, seen, peaks);
        }
        if counts.pairs() > 0 {
            let (better, same, worse) = (counts.v2_better, counts.concordant, counts.v2_worse);
            let seen = Weighed::pairs(better.into(), same.into(), worse.into(), phi);
            self.see_pairs(rules, span, seen, peaks);
        }
    }
}

/// One bucket as a stretch of time.
pub(super) struct Span {
    pub(super) bucket: u64,
    /// Length of a bucket.
    pub(super) seconds: f64,
}

impl Span {
    /// Seconds from `clock` to the end of this bucket; moves the clock there.
    fn since(&self, clock: &mut u64) -> f64 {
        let buckets = (self.bucket + 1).saturating_sub(*clock).max(1);
        *clock = (*clock).max(self.bucket + 1);
        buckets as f64 * self.seconds
    }
}
