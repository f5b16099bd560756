//! The judge's own settings: what release managers wrote, and the constants behind it.

use super::params::{Basis, Params};

/// Everything that shapes a verdict. Times are seconds, shares are fractions of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What release managers wrote; shared with `rollout.toml`.
    pub params: Params,
    /// A rollback needs evidence of a hit rate below this.
    pub floor: f64,
    /// Shortest time on the step.
    pub bake_s: f64,
    /// How often the judge looks.
    pub tick_s: f64,
    /// Shortest block over which clustering is measured.
    pub block_s: f64,
    /// Blocks needed before a promotion.
    pub min_blocks: u32,
    /// A detector above one false alarm in so much traffic stops promotions.
    pub warn_every_s: f64,
    /// V1 is blamed at one false alarm in so many seconds.
    pub v1_warn_every_s: f64,
    /// V1 may fall this much below its level from before mirroring began.
    pub mirror_tolerance: f64,
    /// For so long V1 is left alone once mirroring hurt it; 0: until it is well.
    pub mirror_rest_s: f64,
}

impl Settings {
    /// alpha = 1 - confidence.
    pub(super) fn alpha(&self) -> f64 {
        1.0 - self.params.confidence
    }

    /// Seconds as ticks, rounded to the nearest.
    pub(super) fn ticks(&self, seconds: f64) -> u64 {
        (seconds / self.tick_s).round() as u64
    }

    /// V2 must meet the SLO.
    pub(super) fn wants_slo(&self) -> bool {
        self.params.basis != Basis::V1
    }

    /// V2 must not be worse than V1.
    pub(super) fn wants_v1(&self) -> bool {
        self.params.basis != Basis::Slo
    }
}

impl From<&Params> for Settings {
    fn from(params: &Params) -> Self {
        Self {
            // A tolerance as large as the SLO leaves nothing to bet against.
            floor: (params.slo - params.tolerance).max(1e-6),
            params: params.clone(),
            bake_s: 300.0,
            tick_s: 0.1,
            block_s: 5.0,
            min_blocks: 12,
            warn_every_s: 600.0,
            v1_warn_every_s: 3600.0,
            // Hit rates wander over a day; what matters between V1 and V2 matters here.
            mirror_tolerance: params.margin,
            // Without its mirror V1 is well at once: it would be hurt again every few seconds.
            mirror_rest_s: 600.0,
        }
    }
}
