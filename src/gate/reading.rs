//! What the decision table reads about one route, and what follows from the sums.

use super::alarms::Levels;
use super::bets::{Bets, Weighed};
use super::counts::Sums;
use super::interval::relative_entropy;
use super::rules::Rules;
use super::settings::Settings;

/// What the decision table reads about one route.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) sums: Sums,
    /// Sent to V2, not known yet, deadline not passed.
    pub(super) pending: u64,
    pub(super) phi: f64,
    pub(super) blocks: u32,
    pub(super) peaks: Levels,
    /// Evidence that V2 meets the SLO, nats.
    pub(super) log_e: f64,
    /// Evidence that V2 is not worse than V1, nats.
    pub(super) log_e_pairs: f64,
}

impl Reading {
    /// Computes the evidence from the sums. What is pending counts as fallback, and as V2 worse.
    pub(super) fn weigh(&mut self, rules: &Rules) {
        let sums = &self.sums;
        let seen = Weighed::outcomes(sums.rich, sums.fallback + self.pending, self.phi);
        self.log_e = rules.proves.log_e(seen);
        self.log_e_pairs = match sums.pairs() {
            0 => 0.0,
            _ => rules.proves_pairs.log_e(self.weighed_pairs()),
        };
    }

    /// Takes in what is not a sum of another route's evidence.
    pub(super) fn join(&mut self, other: &Self) {
        self.pending += other.pending;
        self.phi = self.phi.max(other.phi);
        let (mine, theirs) = (&mut self.peaks, &other.peaks);
        mine.fell = mine.fell.max(theirs.fell);
        mine.falling = mine.falling.max(theirs.falling);
        mine.worse = mine.worse.max(theirs.worse);
        mine.worsening = mine.worsening.max(theirs.worsening);
        mine.v1_fell = mine.v1_fell.max(theirs.v1_fell);
    }

    /// The pairs as evidence.
    pub(super) fn weighed_pairs(&self) -> Weighed {
        let sums = &self.sums;
        Weighed::pairs(sums.v2_better, sums.concordant, sums.v2_worse + self.pending, self.phi)
    }

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
    pub(super) fn requests_needed(&self, settings: &Settings, rules: &Rules, need: f64) -> Option<f64> {
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
        (rate > slo || lacking == 0.0).then(|| if lacking == 0.0 { 0.0 } else { lacking / relative_entropy(rate, slo) })
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
