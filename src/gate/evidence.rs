//! The numbers behind a verdict, for people, logs and the ledger.

use serde::{Deserialize, Serialize};

use super::causes::TopCause;
use super::reading::Reading;
use super::rules::Rules;
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
    /// Why most of V2's fallbacks are such, as far as somebody said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub top_cause: Option<TopCause>,
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
            top_cause: None,
        }
    }
}

/// Finite even for a detector that has seen nothing.
fn log_level(seconds: f64) -> f64 {
    seconds.max(f64::MIN_POSITIVE).ln()
}
