//! Everything counted since the start, in one place: workers report into it, the control plane sets its gauges, and a scrape
//! reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failures::FailureWindow;
use super::labels::ServedBy;
use super::lane::LaneCounts;
use super::tally::{Report, Tally};
use super::window::Window;
use crate::backend::{Backend, Role};
use crate::condition::Conditions;
use crate::hit_rate::Tallied;
use crate::percent::Percent;
use crate::stage::{Phase, Stage};

/// Everything counted since the start.
#[derive(Default)]
pub struct Totals(Mutex<Counted>);

/// What the totals consist of.
#[derive(Default)]
pub struct Counted {
    /// By name; `none` for requests of no dependency.
    pub dependencies: BTreeMap<String, DependencyTotals>,
    /// By the role of the file: `crossfade` or `rollout`.
    pub files: BTreeMap<&'static str, FileTotals>,
    /// How the endpoints of all backends are.
    pub conditions: Arc<Conditions>,
    /// How the rules fare that take a while.
    pub lane: Arc<LaneCounts>,
    /// Exchanges that panicked.
    pub panics: u64,
    /// How the ledger fares; absent where there is none.
    pub ledger: Option<LedgerTotals>,
}

/// How the ledger fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Whether the last attempt to write it succeeded.
    pub is_writable: bool,
    /// Records that wait to be written.
    pub waiting: u64,
    /// Records that were given up because too many waited.
    pub lost: u64,
}

/// One dependency.
pub struct DependencyTotals {
    /// By name.
    pub routes: BTreeMap<String, Tally>,
    /// By name: why V2 falls back.
    pub failures: BTreeMap<String, FailureWindow>,
    /// Outcomes of V1 and V2.
    pub backends: [Window; 2],
    /// The same as they would have been without retries.
    pub first_tries: [Window; 2],
    /// Outcomes of the answers that consumers got.
    pub served: Window,
    /// Answers by V2 (as "rich") and by V1 (as "fallback"): what the observed percent is made of.
    pub primaries: Window,
    /// Absent for requests of no dependency.
    pub rollout: Option<RolloutGauges>,
    /// Changes of the verdict, by verdict and reason.
    pub verdicts: BTreeMap<(&'static str, &'static str), u64>,
    /// Rollbacks by reason.
    pub rollbacks: BTreeMap<&'static str, u64>,
    /// Events by kind.
    pub changes: BTreeMap<&'static str, u64>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Default)]
pub struct RolloutGauges {
    /// In the stages that are judged.
    pub slo: Option<f64>,
    /// What people wrote.
    pub ceiling: Percent,
    /// What the gate permits.
    pub allowed: Percent,
    /// What is in force.
    pub effective: Percent,
    /// What people asked for.
    pub stage: Stage,
    /// What the gate made of it.
    pub phase: Phase,
    /// V1's and V2's scored answers in the evidence of the present step.
    pub samples: [u64; 2],
}

/// How a configuration file fared.
#[derive(Debug, Clone, Default)]
pub struct FileTotals {
    /// Times it was applied.
    pub successes: u64,
    /// Times it was not.
    pub failures: u64,
    /// Whether the last attempt succeeded.
    pub last_ok: bool,
    /// Unix time of the last success, seconds.
    pub last_success: f64,
}

impl Totals {
    /// Exclusive access, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Counted> {
        // Counters are valid after every single step, so a panic in between leaves nothing to repair.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Adds what a worker reported; `now` is in seconds of the clock that windows are read by.
    pub fn add(&mut self, report: &Report, now: u64) {
        let dependency = self.dependency(&report.route.dependency, now);
        dependency.count_windows(&report.tally, now);
        dependency.failures.entry(report.route.route.clone()).or_default().add(now, &report.catalogue, &report.tally);
        dependency.routes.entry(report.route.route.clone()).or_default().merge(&report.tally);
    }

    /// One dependency, made when it is new.
    pub fn dependency(&mut self, name: &str, now: u64) -> &mut DependencyTotals {
        self.dependencies.entry(name.to_owned()).or_insert_with(|| DependencyTotals::new(now))
    }

    /// Ends the series of whatever is not in the configuration any more.
    pub fn retain(&mut self, is_configured: impl Fn(&str, Option<&str>) -> bool) {
        self.dependencies.retain(|name, _| is_configured(name, None));
        for (name, dependency) in &mut self.dependencies {
            dependency.routes.retain(|route, _| is_configured(name, Some(route)));
            dependency.failures.retain(|route, _| is_configured(name, Some(route)));
        }
    }
}

impl DependencyTotals {
    fn new(now: u64) -> Self {
        Self {
            routes: BTreeMap::new(),
            failures: BTreeMap::new(),
            backends: [Window::new(now), Window::new(now)],
            first_tries: [Window::new(now), Window::new(now)],
            served: Window::new(now),
            primaries: Window::new(now),
            rollout: None,
            verdicts: BTreeMap::new(),
            rollbacks: BTreeMap::new(),
            changes: BTreeMap::new(),
        }
    }

    fn count_windows(&mut self, tally: &Tally, now: u64) {
        let mut backends = [Tallied::default(); 2];
        let of_traffic = tally.outcomes().filter(|(_, role, ..)| *role != Role::Probe);
        for (backend, _, outcome, count) in of_traffic {
            let counts = &mut backends[backend as usize];
            match outcome.scored() {
                Some(true) => counts.rich += count,
                Some(false) => counts.fallback += count,
                None => {}
            }
        }
        for (window, counts) in self.backends.iter_mut().zip(backends) {
            window.add(now, counts);
        }
        for backend in Backend::ALL {
            let [rich, fallback, _] = tally.first_tries(backend);
            self.first_tries[backend as usize].add(now, Tallied { rich, fallback });
        }
        let [rich, fallback, _] = tally.served_outcomes();
        self.served.add(now, Tallied { rich, fallback });
        let mut primaries = Tallied::default();
        for by in ServedBy::ALL {
            let all: u64 = tally.requests().filter(|(it, ..)| *it == by).map(|(.., count)| count).sum();
            let of_keys = all - tally.probes(by);
            match by {
                ServedBy::Backend(Backend::V2) => primaries.rich += of_keys,
                ServedBy::Backend(Backend::V1) => primaries.fallback += of_keys,
                ServedBy::Nobody => {}
            }
        }
        self.primaries.add(now, primaries);
    }
}
