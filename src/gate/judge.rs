//! The judge of one dependency: observations in, a verdict out, at every instant.
//!
//! It reads no clock: a tick is 100 ms, counted by the caller from any origin. `observe` and `tick`
//! allocate nothing; a tick costs some microsecond for a route with news, and next to nothing without.

use super::attempts::{Attempts, Restart};
use super::causes::Causes;
use super::counts::{Counts, Sums};
use super::evidence::Evidence;
use super::interval::{Interval, interval};
use super::mirror::Mirror;
use super::reading::Reading;
use super::reason::{Kind, Reason, Scope};
use super::route::Route;
use super::rules::Rules;
use super::saved::{SavedEvidence, SavedRoute};
use super::settings::Settings;
use super::verdict::{PATIENCE_S, Standing, Verdict, View, standing};
use crate::hit_rate::Tallied;
use crate::outcome::Cause;

/// The gate of one dependency.
#[derive(Debug, Clone)]
pub struct Judge {
    settings: Settings,
    rules: Rules,
    names: Vec<String>,
    routes: Vec<Route>,
    readings: Vec<Reading>,
    /// The tick at which each route has to be read again; 0: it has news.
    due: Vec<u64>,
    /// Why V2 gave fallbacks, by route.
    causes: Vec<Causes>,
    /// The quiet routes together.
    other: Reading,
    mirror: Option<Mirror>,
    now: u64,
    /// Time is running; before the first word about it, no epoch has begun.
    has_begun: bool,
    epoch: u64,
    last_outcome: Option<u64>,
    /// The first tick at which time alone may change the verdict.
    next: u64,
    attempts: Attempts,
    replicas_missing: bool,
    verdict: Verdict,
    /// What the last [`Self::tick`] that said something said.
    told: Option<(Kind, Reason)>,
}

impl Judge {
    /// A judge without evidence. Its first epoch begins with the first tick, observation or restart.
    pub fn new(settings: impl Into<Settings>, route_names: &[String]) -> Self {
        Self::new_at(settings.into(), route_names, 0)
    }

    fn new_at(settings: Settings, route_names: &[String], now: u64) -> Self {
        let routes = route_names.len();
        let rules = Rules::new(&settings, routes);
        let deadline = settings.ticks(settings.params.deadline_s);
        let route = Route::new(&rules, deadline, now);
        let mut judge = Self {
            routes: vec![route; routes],
            readings: vec![Reading::default(); routes],
            due: vec![0; routes],
            causes: vec![Causes::default(); routes],
            names: route_names.to_vec(),
            other: Reading::default(),
            mirror: None,
            now,
            has_begun: false,
            epoch: now,
            last_outcome: None,
            next: 0,
            attempts: Attempts::default(),
            replicas_missing: false,
            verdict: Verdict {
                kind: Kind::Insufficient,
                reason: Reason::NoData,
                scope: Scope::All,
                evidence: Evidence::default(),
                since: now,
            },
            told: None,
            settings,
            rules,
        };
        judge.evaluate();
        judge
    }

    /// Counts requests of one route that started in tick `start_tick`. An unknown route is ignored.
    ///
    /// The start may lie a little ahead of the last [`Self::tick`]. What comes after the deadline, or from before the epoch, is ignored.
    pub fn observe(&mut self, route: usize, start_tick: u64, counts: &Counts) {
        self.begin(start_tick);
        let Some(at) = self.routes.get_mut(route) else { return };
        if at.observe(self.now, start_tick, counts) {
            self.last_outcome = Some(self.now);
        }
        self.due[route] = 0;
        self.next = 0;
    }

    /// Whether a request that started in this tick counts in the running epoch.
    pub fn is_of_epoch(&self, start_tick: u64) -> bool {
        !self.has_begun || start_tick >= self.epoch
    }

    /// Counts why V2 gave fallbacks to requests of this epoch. It decides nothing. An unknown route is ignored.
    pub fn blame(&mut self, route: usize, cause: Cause, fallbacks: u32) {
        if let Some(causes) = self.causes.get_mut(route) {
            causes.count(cause, fallbacks);
            self.next = 0;
        }
    }

    /// Time passes up to `now`. The new verdict when its kind or reason changed, else `None`.
    ///
    /// A time before the last one is taken as the last one.
    pub fn tick(&mut self, now: u64) -> Option<&Verdict> {
        self.begin(now);
        self.now = self.now.max(now);
        if self.now < self.next {
            return None;
        }
        self.read_routes();
        self.evaluate();
        let answer = (self.verdict.kind, self.verdict.reason);
        let is_new = self.told.replace(answer) != Some(answer);
        is_new.then_some(&self.verdict)
    }

    fn read_routes(&mut self) {
        for at in 0..self.routes.len() {
            if self.due[at] <= self.now {
                let known = self.routes[at].samples();
                self.readings[at] = self.routes[at].advance(&self.rules, self.now);
                // No answer within the deadline is an outcome, not silence.
                if self.readings[at].sums.samples() > known {
                    self.last_outcome = Some(self.now);
                }
                self.due[at] = self.routes[at].due();
            }
        }
    }

    /// The verdict as of the last tick or restart.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The next tick at which the verdict may change without another observation; `u64::MAX`: never.
    pub fn next_tick(&self) -> u64 {
        self.next
    }

    /// What this judge goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name of a route; `None` for an unknown index.
    pub fn route_name(&self, route: usize) -> Option<&str> {
        self.names.get(route).map(String::as_str)
    }

    /// The evidence of one route; `None` for an unknown index.
    pub fn route_evidence(&self, route: usize) -> Option<Evidence> {
        let reading = self.readings.get(route)?;
        Some(self.blamed(self.read(reading), Scope::Route(route)))
    }

    /// Where V2's average hit rate in this epoch lies, for whoever decided. Costs some 50 microseconds.
    pub fn interval(&self) -> Interval {
        let Evidence { samples, rich, phi, .. } = self.verdict.evidence;
        interval(rich, samples - rich, phi, self.settings.params.confidence)
    }

    /// The same for V1.
    pub fn v1_interval(&self) -> Interval {
        let Evidence { v1_samples, v1_rich, phi, .. } = self.verdict.evidence;
        interval(v1_rich, v1_samples - v1_rich, phi, self.settings.params.confidence)
    }

    /// Begins an epoch: evidence starts from zero, the detectors with their head start; the measure of
    /// clustering stays.
    pub fn restart(&mut self, why: Restart, now: u64) {
        self.attempts.begin(why);
        self.begin_epoch(now);
        if let Some(mirror) = &mut self.mirror {
            mirror.restart();
        }
        self.read_routes();
        self.evaluate();
        self.next = 0;
    }

    /// The first epoch begins with the first word about time.
    fn begin(&mut self, now: u64) {
        if !self.has_begun {
            self.begin_epoch(now);
        }
    }

    fn begin_epoch(&mut self, now: u64) {
        self.has_begun = true;
        self.now = self.now.max(now);
        self.epoch = self.now;
        self.last_outcome = None;
        self.causes.fill(Causes::default());
        for route in &mut self.routes {
            route.restart(&self.rules, self.now);
        }
        self.due.fill(0);
        self.next = 0;
    }

    /// ln(1/alpha), with what earlier attempts of the step cost.
    fn need(&self) -> f64 {
        (self.attempts.price() / self.settings.alpha()).ln()
    }

    /// Other parameters, same evidence where it still means the same; else a new epoch. Says which: true for
    /// a new epoch.
    pub fn reconfigure(&mut self, settings: impl Into<Settings>, now: u64) -> bool {
        let settings = settings.into();
        let (old, new) = (&self.settings, &settings);
        let same = old.params.slo.to_bits() == new.params.slo.to_bits()
            && old.params.margin.to_bits() == new.params.margin.to_bits()
            && old.floor.to_bits() == new.floor.to_bits()
            && old.params.deadline_s.to_bits() == new.params.deadline_s.to_bits()
            && old.tick_s.to_bits() == new.tick_s.to_bits();
        let deadline = settings.ticks(settings.params.deadline_s);
        self.rules = Rules::new(&settings, self.routes.len());
        self.settings = settings;
        self.next = 0;
        if !same {
            for route in &mut self.routes {
                route.set_deadline(deadline, now);
            }
            self.restart(Restart::Change, now);
        }
        !same
    }

    /// The least time on the running step, seconds.
    pub fn set_bake(&mut self, bake_s: f64) {
        if self.settings.bake_s.to_bits() != bake_s.to_bits() {
            self.settings.bake_s = bake_s;
            self.next = 0;
        }
    }

    /// Whether replicas that serve this dependency have not reported.
    pub fn set_replicas_missing(&mut self, missing: bool) {
        self.replicas_missing = missing;
        self.next = 0;
    }

    /// V1's counts from before mirroring began; from now on V1 is watched for falling below that level, whatever epoch it is.
    /// Without samples: not watched.
    pub fn watch_v1_against(&mut self, before: Tallied, now: u64) {
        let mut seen = Sums::default();
        self.routes.iter().for_each(|route| seen.add(route.known()));
        self.mirror = Mirror::new(before, &self.settings, seen, now.max(self.now));
        self.next = 0;
    }

    /// Mirroring hurts V1: it should rest.
    pub fn mirror_hurts_v1(&self) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| mirror.hurts(self.now))
    }

    fn total(&self) -> Sums {
        let mut total = Sums::default();
        for reading in &self.readings {
            total.add(&reading.sums);
        }
        total
    }

    fn elapsed_s(&self) -> f64 {
        (self.now - self.epoch) as f64 * self.settings.tick_s
    }

    fn stale_ticks(&self) -> u64 {
        self.settings.ticks(self.settings.params.stale_after_s)
    }

    fn evaluate(&mut self) {
        let total = self.total();
        self.pool_quiet_routes();
        if let Some(mirror) = &mut self.mirror {
            mirror.see(&total, self.now, self.settings.tick_s);
        }
        let need = self.need();
        let view = View {
            settings: &self.settings,
            rules: &self.rules,
            routes: &self.readings,
            other: (self.other.sums.samples() >= self.settings.params.min_samples.max(1)).then_some(&self.other),
            total,
            need,
            elapsed_s: self.elapsed_s(),
            is_silent: self.last_outcome.is_none_or(|at| self.now - at > self.stale_ticks()),
            replicas_missing: self.replicas_missing,
            mirror_hurts_v1: self.mirror_hurts_v1(),
        };
        let (reason, scope) = view.decide();
        let evidence = match scope {
            Scope::Route(at) => self.read(&self.readings[at]),
            Scope::Other => self.read(&self.other),
            Scope::All => self.read_all(total),
        };
        let evidence = self.blamed(evidence, scope);
        let kind = reason.kind();
        let is_new = (kind, reason) != (self.verdict.kind, self.verdict.reason);
        let since = if is_new { self.now } else { self.verdict.since };
        self.verdict = Verdict { kind, reason, scope, evidence, since };
        self.next = self.next_due();
    }

    fn read(&self, reading: &Reading) -> Evidence {
        Evidence::read(reading, &self.settings, &self.rules, self.need(), self.elapsed_s())
    }

    /// Evidence with the cause of most of its fallbacks.
    fn blamed(&self, evidence: Evidence, scope: Scope) -> Evidence {
        if evidence.samples == evidence.rich {
            return evidence;
        }
        let is_meant = |at: usize| match scope {
            Scope::All => true,
            Scope::Route(route) => route == at,
            Scope::Other => self.is_quiet(&self.readings[at]),
        };
        let routes = self.causes.iter().enumerate().filter(|(at, _)| is_meant(*at));
        Evidence { top_cause: Causes::top(routes.map(|(_, causes)| causes)), ..evidence }
    }

    fn is_quiet(&self, reading: &Reading) -> bool {
        let samples = reading.sums.samples();
        samples > 0 && standing(samples, self.settings.params.min_samples, self.elapsed_s()) == Standing::Quiet
    }

    /// All routes as one; with one route, that one.
    fn read_all(&self, total: Sums) -> Evidence {
        if let [only] = self.readings.as_slice() {
            return self.read(only);
        }
        let mut all = Reading { sums: total, phi: 1.0, ..Reading::default() };
        for reading in &self.readings {
            all.join(reading);
        }
        all.weigh(&self.rules);
        self.read(&all)
    }

    fn pool_quiet_routes(&mut self) {
        self.other = Reading { phi: 1.0, blocks: u32::MAX, ..Reading::default() };
        for at in 0..self.readings.len() {
            let reading = &self.readings[at];
            if self.is_quiet(reading) {
                self.other.sums.add(&reading.sums);
                self.other.join(reading);
                self.other.blocks = self.other.blocks.min(reading.blocks);
            }
        }
        if self.other.sums.samples() > 0 {
            self.other.weigh(&self.rules);
        }
    }

    /// When time alone may change something.
    fn next_due(&self) -> u64 {
        let routes = self.due.iter().copied().min().unwrap_or(u64::MAX);
        let stale = self.last_outcome.map_or(u64::MAX, |at| at + self.stale_ticks() + 1);
        let baked = self.epoch + self.settings.ticks(self.settings.bake_s);
        let [stale, baked] = [stale, baked].map(|at| if at > self.now { at } else { u64::MAX });
        let rested = self.mirror.as_ref().map_or(u64::MAX, |mirror| mirror.due(self.now));
        routes.min(stale).min(baked).min(rested).min(self.next_pooling())
    }

    /// When the next route turns out to be too quiet to be waited for.
    fn next_pooling(&self) -> u64 {
        let min_samples = self.settings.params.min_samples;
        let awaited =
            |reading: &&Reading| standing(reading.sums.samples(), min_samples, self.elapsed_s()) == Standing::Awaited;
        let patience = PATIENCE_S / self.settings.tick_s;
        let pooled_at = |reading: &Reading| {
            let ticks = reading.sums.samples() as f64 * patience / min_samples.max(1) as f64;
            self.epoch + ticks.ceil() as u64
        };
        let first = self.readings.iter().filter(awaited).map(pooled_at).min();
        first.map_or(u64::MAX, |at| at.max(self.now + 1))
    }

    /// What a restart of the process may go on with: finished buckets only, never more than was seen.
    pub fn save(&self) -> SavedEvidence {
        let saved = |(name, route): (&String, &Route)| SavedRoute { name: name.clone(), evidence: route.save() };
        SavedEvidence {
            slo: self.settings.params.slo,
            margin: self.settings.params.margin,
            floor: self.settings.floor,
            elapsed_ticks: self.now - self.epoch,
            attempts: self.attempts.clone(),
            routes: self.names.iter().zip(&self.routes).map(saved).collect(),
            causes: self.causes.clone(),
        }
    }

    /// A judge that goes on with saved evidence. Where SLO, margin or floor differ, only the measure of
    /// clustering is used. Routes that were not saved start with nothing.
    pub fn resume(settings: impl Into<Settings>, route_names: &[String], saved: &SavedEvidence, now: u64) -> Self {
        let mut judge = Self::new_at(settings.into(), route_names, now);
        let still_holds = saved.is_for(&judge.settings);
        for (name, route) in judge.names.iter().zip(&mut judge.routes) {
            if let Some(saved) = saved.routes.iter().find(|saved| saved.name == *name) {
                route.resume(&saved.evidence, still_holds);
            }
        }
        if still_holds {
            judge.epoch = now.saturating_sub(saved.elapsed_ticks);
            judge.attempts = saved.attempts.clone();
            for (saved, causes) in saved.routes.iter().zip(&saved.causes) {
                if let Some(at) = judge.names.iter().position(|name| *name == saved.name) {
                    judge.causes[at] = *causes;
                }
            }
        }
        judge.has_begun = true;
        judge.due.fill(0);
        judge.next = 0;
        judge
    }
}

#[cfg(test)]
mod tests;
