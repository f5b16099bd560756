//! The evidence of one route: cohorts in, sums and detector levels out.

use super::bets::{Bets, Weighed};
use super::clustering::Clustering;
use super::cohort::{Cohorts, Finished};
use super::counts::{Counts, Sums};
use super::detector::{Detector, Watch};
use super::saved::RouteEvidence;
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
    block_s: f64,
    measures_clustering: bool,
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

/// The detectors of one route, and up to which bucket each has seen time pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Detectors {
    pub(super) fell: Detector<8>,
    pub(super) falling: Detector<8>,
    pub(super) worse: Detector<16>,
    pub(super) worsening: Detector<16>,
    pub(super) v1_fell: Detector<8>,
    v2_clock: u64,
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
    fn start(rules: &Rules, bucket: u64) -> Self {
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

    fn levels(&self, rules: &Rules) -> Levels {
        Levels {
            fell: self.fell.level(&rules.fell),
            falling: self.falling.level(&rules.falling),
            worse: self.worse.level(&rules.worse),
            worsening: self.worsening.level(&rules.worsening),
            v1_fell: self.v1_fell.level(&rules.v1_fell),
        }
    }

    /// V2's outcomes of one bucket; the silence before it is part of the step.
    fn see_v2(&mut self, rules: &Rules, span: &Span, seen: Weighed, peaks: &mut Levels) {
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
        peaks.v1_fell = peaks
            .v1_fell
            .max(self.v1_fell.step(&rules.v1_fell, dt, &growth, &factor));
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
    fn see_comparison(&mut self, rules: &Rules, span: &Span, counts: &Counts, phi: f64, peaks: &mut Levels) {
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
struct Span {
    bucket: u64,
    /// Length of a bucket.
    seconds: f64,
}

impl Span {
    /// Seconds from `clock` to the end of this bucket; moves the clock there.
    fn since(&self, clock: &mut u64) -> f64 {
        let buckets = (self.bucket + 1).saturating_sub(*clock).max(1);
        *clock = (*clock).max(self.bucket + 1);
        buckets as f64 * self.seconds
    }
}

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
    pub(super) fn observe(&mut self, start_tick: u64, counts: &Counts) -> bool {
        let counted = self.cohorts.admit(start_tick, counts);
        self.known.count(&counted);
        counted.scored() > 0
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
        let mut reading = Reading {
            sums: self.known,
            pending,
            phi,
            peaks,
            ..Reading::default()
        };
        reading.blocks = self.clustering.blocks();
        reading.weigh(rules);
        reading
    }

    fn phi(&self, rules: &Rules) -> f64 {
        if rules.measures_clustering {
            self.clustering.phi()
        } else {
            1.0
        }
    }

    fn span(&self, rules: &Rules, bucket: u64) -> Span {
        Span {
            bucket,
            seconds: self.cohorts.width() as f64 * rules.tick_s,
        }
    }

    fn finish_v2(&mut self, rules: &Rules, peaks: &mut Levels) {
        while let Some(Finished {
            bucket,
            rich,
            fallback,
            expired,
        }) = self.cohorts.next_v2()
        {
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
            pending += counts.pending();
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
}
