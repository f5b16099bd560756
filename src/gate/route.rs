//! The evidence of one route: cohorts in, sums and detector levels out.

use super::alarms::{Detectors, Levels, Span};
use super::bets::Weighed;
use super::clustering::Clustering;
use super::cohort::{Cohorts, Finished};
use super::counts::{Counts, Sums};
use super::detector::Detector;
use super::reading::Reading;
use super::rules::Rules;
use super::saved::RouteEvidence;

/// The evidence of one route in the running epoch.
#[derive(Debug, Clone)]
pub(super) struct Route {
    cohorts: Cohorts,
    detectors: Detectors,
    /// Everything known, finished buckets or not.
    known: Sums,
    /// Finished buckets only: what survives a restart of the process.
    finished: Sums,
    clustering: Clustering,
    /// V1 is down as well; V2's detectors start afresh when it is back.
    shared_outage: bool,
}

impl Route {
    pub(super) fn new(rules: &Rules, deadline_ticks: u64, now: u64) -> Self {
        let cohorts = Cohorts::new(deadline_ticks, now);
        Self {
            detectors: Detectors::start(rules, cohorts.running()),
            cohorts,
            known: Sums::default(),
            finished: Sums::default(),
            clustering: Clustering::default(),
            shared_outage: false,
        }
    }

    /// A new epoch: nothing survives but the measure of clustering.
    pub(super) fn restart(&mut self, rules: &Rules, now: u64) {
        self.cohorts.clear(now);
        self.detectors = Detectors::start(rules, self.cohorts.running());
        self.known = Sums::default();
        self.finished = Sums::default();
        self.shared_outage = false;
        self.clustering.cut();
    }

    /// Another deadline; what was unfinished is lost, so an epoch must begin.
    pub(super) fn set_deadline(&mut self, deadline_ticks: u64, now: u64) {
        self.cohorts = Cohorts::new(deadline_ticks, now);
    }

    /// Bytes beyond the struct itself.
    #[cfg(test)]
    pub(super) fn ring_bytes(&self) -> usize {
        self.cohorts.bytes()
    }

    /// What a restart of the process may go on with.
    pub(super) fn save(&self) -> RouteEvidence {
        RouteEvidence {
            finished: self.finished,
            clustering: self.clustering,
            fell: (&self.detectors.fell).into(),
            falling: (&self.detectors.falling).into(),
            worse: (&self.detectors.worse).into(),
            worsening: (&self.detectors.worsening).into(),
            v1_fell: (&self.detectors.v1_fell).into(),
            shared_outage: self.shared_outage,
        }
    }

    /// Goes on with saved evidence; only the measure of clustering where it no longer holds.
    pub(super) fn resume(&mut self, saved: &RouteEvidence, still_holds: bool) {
        self.clustering = saved.clustering;
        self.clustering.cut();
        if still_holds {
            self.known = saved.finished;
            self.finished = saved.finished;
            self.shared_outage = saved.shared_outage;
            saved.fell.restore(&mut self.detectors.fell);
            saved.falling.restore(&mut self.detectors.falling);
            saved.worse.restore(&mut self.detectors.worse);
            saved.worsening.restore(&mut self.detectors.worsening);
            saved.v1_fell.restore(&mut self.detectors.v1_fell);
        }
    }

    /// Counts; says whether any of it was V2's outcome.
    pub(super) fn observe(&mut self, now: u64, start_tick: u64, counts: &Counts) -> bool {
        self.cohorts.wake(now);
        let counted = self.cohorts.admit(start_tick, counts);
        self.known.count(&counted);
        counted.scored() > 0
    }

    /// Everything known in this epoch.
    pub(super) fn known(&self) -> &Sums {
        &self.known
    }

    /// V2's known outcomes in this epoch.
    pub(super) fn samples(&self) -> u64 {
        self.known.samples()
    }

    /// The tick at which [`Self::advance`] has something to do without another observation.
    pub(super) fn due(&self) -> u64 {
        self.cohorts.due()
    }

    /// Time passes: finishes buckets, looks ahead into the others, and reads everything.
    pub(super) fn advance(&mut self, rules: &Rules, now: u64) -> Reading {
        self.cohorts.advance(now);
        let mut peaks = self.detectors.levels(rules);
        self.finish_v2(rules, &mut peaks);
        self.finish_pairs(rules, &mut peaks);
        let pending = self.look_ahead(rules, &mut peaks);
        self.end_shared_outage(rules, &mut peaks);
        let phi = self.phi(rules);
        let mut reading = Reading { sums: self.known, pending, phi, peaks, ..Reading::default() };
        reading.blocks = self.clustering.blocks();
        reading.weigh(rules);
        reading
    }

    fn phi(&self, rules: &Rules) -> f64 {
        if rules.measures_clustering { self.clustering.phi() } else { 1.0 }
    }

    fn span(&self, rules: &Rules, bucket: u64) -> Span {
        Span { bucket, seconds: self.cohorts.width() as f64 * rules.tick_s }
    }

    fn finish_v2(&mut self, rules: &Rules, peaks: &mut Levels) {
        while let Some(Finished { bucket, rich, fallback, expired }) = self.cohorts.next_v2() {
            let span = self.span(rules, bucket);
            let silence = bucket.saturating_sub(self.detectors.v2_clock);
            let seen = Weighed::outcomes(rich, fallback, self.phi(rules));
            self.detectors.see_v2(rules, &span, seen, peaks);
            self.known.fallback += expired;
            self.finished.rich += rich;
            self.finished.fallback += fallback;
            let seconds = (silence + 1) as f64 * span.seconds;
            self.clustering.add(rich, fallback, seconds, rules.block_s);
        }
    }

    fn finish_pairs(&mut self, rules: &Rules, peaks: &mut Levels) {
        let phi = self.phi(rules);
        while let Some((bucket, counts)) = self.cohorts.next_pairs() {
            let span = self.span(rules, bucket);
            self.detectors.see_comparison(rules, &span, &counts, phi, peaks);
            self.finished.count(&counts.of_v1());
        }
    }

    /// Runs a copy of the detectors over the unfinished buckets, with everything pending taken as rich:
    /// fast failures are seen at once. Returns how many are pending.
    fn look_ahead(&self, rules: &Rules, peaks: &mut Levels) -> u64 {
        let phi = self.phi(rules);
        let mut scratch = self.detectors;
        let mut pending = 0;
        for (bucket, counts) in self.cohorts.unfinished_v2() {
            pending += self.cohorts.in_full(counts.pending());
            if counts.scored() > 0 {
                let rich = u64::from(counts.rich) + counts.pending();
                let seen = Weighed::outcomes(rich, counts.fallback.into(), phi);
                scratch.see_v2(rules, &self.span(rules, bucket), seen, peaks);
            }
        }
        for (bucket, counts) in self.cohorts.unfinished_pairs() {
            scratch.see_comparison(rules, &self.span(rules, bucket), counts, phi, peaks);
        }
        pending
    }

    /// V2's detectors are full of what was V1's doing too; once V1 is back they start afresh.
    fn end_shared_outage(&mut self, rules: &Rules, peaks: &mut Levels) {
        let v1_is_down = peaks.v1_fell >= rules.v1_fell.alarm_s;
        if self.shared_outage && !v1_is_down {
            self.detectors.fell = Detector::afresh(&rules.fell);
            self.detectors.falling = Detector::afresh(&rules.falling);
            peaks.fell = 0.0;
            peaks.falling = 0.0;
        }
        let v2_is_down = peaks.fell >= rules.fell.alarm_s;
        self.shared_outage = v1_is_down && (v2_is_down || self.shared_outage);
    }
}
