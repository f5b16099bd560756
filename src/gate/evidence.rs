//! The numbers behind a verdict, for people, logs and the ledger.

use serde::{Deserialize, Serialize};

use super::bets::{Bets, Weighed};
use super::interval::relative_entropy;
use super::route::{Reading, Rules};
use super::settings::Settings;

/// The evidence of whoever decided: one route, the quiet routes together, or all. Every number is finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// V2's scored requests in this epoch.
    pub samples: u64,
    /// Of these, rich.
    pub rich: u64,
    /// Sent to V2, and not known yet.
    pub pending: u64,
    /// Eligible, but dropped by our own limits.
    pub shed: u64,
    /// V1's scored requests.
    pub v1_samples: u64,
    /// Of these, rich.
    pub v1_rich: u64,
    /// Pairs where V2 was rich and V1 was not.
    pub v2_better: u64,
    /// Pairs with the same outcome.
    pub concordant: u64,
    /// Pairs where V1 was rich and V2 was not.
    pub v2_worse: u64,
    /// Evidence that V2 meets the SLO, nats.
    pub log_e: f64,
    /// Evidence that V2 is not worse than V1 by more than the margin, nats.
    pub log_e_pairs: f64,
    /// What either needs: ln(1/alpha).
    pub log_e_need: f64,
    /// Level of the detector of a fall below the floor, ln(seconds).
    pub log_r: f64,
    /// Level of the detector of a fall below V1, ln(seconds).
    pub log_r_pairs: f64,
    /// The level at which these two roll back.
    pub log_r_alarm: f64,
    /// Level of V1's own detector, ln(seconds).
    pub log_r_v1: f64,
    /// The level at which V1 is blamed.
    pub log_r_v1_alarm: f64,
    /// By how much misses cluster; evidence is divided by it.
    pub phi: f64,
    /// Blocks over which this was measured.
    pub blocks: u32,
    /// Seconds since the epoch began.
    pub elapsed_s: f64,
    /// Seconds until the least time on the step is over.
    pub bake_left_s: f64,
    /// About how many more requests a promotion needs if the rate stays; `None`: it would never come.
    pub requests_needed: Option<f64>,
    /// The same in seconds at the traffic of this epoch.
    pub seconds_needed: Option<f64>,
}

impl Evidence {
    /// V2's hit rate; `None` without samples.
    pub fn hit_rate(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.rich as f64 / self.samples as f64)
    }

    /// V1's hit rate; `None` without samples.
    pub fn v1_hit_rate(&self) -> Option<f64> {
        (self.v1_samples > 0).then(|| self.v1_rich as f64 / self.v1_samples as f64)
    }

    /// Requests with both outcomes known.
    pub fn pairs(&self) -> u64 {
        self.v2_better + self.concordant + self.v2_worse
    }

    pub(super) fn read(reading: &Reading, settings: &Settings, rules: &Rules, need: f64, elapsed_s: f64) -> Self {
        let (sums, peaks) = (&reading.sums, &reading.peaks);
        let requests_needed = reading.requests_needed(settings, rules, need);
        let per_second = sums.samples() as f64 / elapsed_s.max(settings.tick_s);
        Self {
            samples: sums.samples(),
            rich: sums.rich,
            pending: reading.pending,
            shed: sums.shed,
            v1_samples: sums.v1_samples(),
            v1_rich: sums.v1_rich,
            v2_better: sums.v2_better,
            concordant: sums.concordant,
            v2_worse: sums.v2_worse,
            log_e: reading.log_e,
            log_e_pairs: reading.log_e_pairs,
            log_e_need: need,
            log_r: log_level(peaks.fell),
            log_r_pairs: log_level(peaks.worse),
            log_r_alarm: rules.fell.alarm_s.ln(),
            log_r_v1: log_level(peaks.v1_fell),
            log_r_v1_alarm: rules.v1_fell.alarm_s.ln(),
            phi: reading.phi,
            blocks: reading.blocks,
            elapsed_s,
            bake_left_s: (settings.bake_s - elapsed_s).max(0.0),
            requests_needed,
            seconds_needed: requests_needed.map(|n| n / per_second).filter(|s| s.is_finite()),
        }
    }
}

/// Finite even for a detector that has seen nothing.
fn log_level(seconds: f64) -> f64 {
    seconds.max(f64::MIN_POSITIVE).ln()
}

impl Reading {
    /// V1's own evidence says that it misses the SLO.
    pub(super) fn v1_misses_slo(&self, slo: f64, rules: &Rules, need: f64) -> bool {
        let (rich, samples) = (self.sums.v1_rich, self.sums.v1_samples());
        // Cheap, and true of nearly every V1: above the SLO there is nothing to prove.
        if rich as f64 >= slo * samples as f64 {
            return false;
        }
        rules.misses.log_e(Weighed::outcomes(rich, samples - rich, self.phi)) >= need
    }

    /// Requests until all evidence suffices, if the rates stay as they are.
    fn requests_needed(&self, settings: &Settings, rules: &Rules, need: f64) -> Option<f64> {
        let samples = self.sums.samples();
        if samples == 0 {
            return None;
        }
        let by_slo = self.requests_for_slo(settings.params.slo, need);
        let by_v1 = self.requests_for_v1(&rules.proves_pairs, need);
        let missing = settings.params.min_samples.saturating_sub(samples) as f64;
        let needed = match (settings.wants_slo(), settings.wants_v1()) {
            (true, true) => by_slo?.max(by_v1?),
            (true, false) => by_slo?,
            (false, _) => by_v1?,
        };
        Some(needed.max(missing)).filter(|n| n.is_finite())
    }

    fn requests_for_slo(&self, slo: f64, need: f64) -> Option<f64> {
        let rate = self.sums.rich as f64 / self.sums.samples() as f64;
        let lacking = (need - self.log_e).max(0.0) * self.phi;
        (rate > slo || lacking == 0.0).then(|| {
            if lacking == 0.0 {
                0.0
            } else {
                lacking / relative_entropy(rate, slo)
            }
        })
    }

    fn requests_for_v1(&self, bets: &Bets<16>, need: f64) -> Option<f64> {
        let lacking = (need - self.log_e_pairs).max(0.0) * self.phi;
        if lacking == 0.0 {
            return Some(0.0);
        }
        let growth = bets.best_rate(self.weighed_pairs());
        (growth > 0.0).then(|| lacking / growth)
    }
}
