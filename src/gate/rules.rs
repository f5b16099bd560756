//! The bets and watches of one dependency, made once from its settings; all its routes share them.

use super::bets::Bets;
use super::detector::Watch;
use super::settings::Settings;

/// Chance of blaming V1 wrongly at an epoch's start.
const V1_START_RISK: f64 = 0.05;

/// The bets of one dependency, made once; all its routes share them.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// V2 meets the SLO.
    pub(super) proves: Bets<16>,
    /// V2 is not worse than V1 by more than the margin.
    pub(super) proves_pairs: Bets<16>,
    /// A backend misses the SLO.
    pub(super) misses: Bets<8>,
    /// V2 fell below the floor; may roll back.
    pub(super) fell: Watch<8>,
    /// The same at once: no patience, no head start, in seconds of traffic. Freezes and warns.
    pub(super) falling: Watch<8>,
    /// V2 became worse than V1; may roll back.
    pub(super) worse: Watch<16>,
    /// The same at once.
    pub(super) worsening: Watch<16>,
    /// V1 fell below the floor.
    pub(super) v1_fell: Watch<8>,
    pub(super) tick_s: f64,
    pub(super) block_s: f64,
    pub(super) measures_clustering: bool,
}

impl Rules {
    /// Each of `routes` routes may alarm, so each gets its share of the allowed false alarms.
    pub(super) fn new(settings: &Settings, routes: usize) -> Self {
        let params = &settings.params;
        let alarm_s = params.false_rollback_every_s * routes.max(1) as f64;
        let floor = Bets::below(settings.floor);
        let pairs = Bets::pairs_below(params.margin);
        Self {
            proves: Bets::above(params.slo),
            proves_pairs: Bets::pairs_above(params.margin),
            misses: Bets::below(params.slo),
            fell: Watch::new(floor, alarm_s)
                .head_start(params.start_risk * params.false_rollback_every_s)
                .tolerating(params.blip_s),
            falling: Watch::new(floor, alarm_s),
            worse: Watch::new(pairs, alarm_s).tolerating(params.blip_s),
            worsening: Watch::new(pairs, alarm_s),
            v1_fell: Watch::new(floor, settings.v1_warn_every_s).head_start(V1_START_RISK * settings.v1_warn_every_s),
            tick_s: settings.tick_s,
            block_s: settings.block_s,
            measures_clustering: params.overdispersion,
        }
    }
}
