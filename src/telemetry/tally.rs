//! What one worker counted on one route since it last reported: plain integers, no atomics, no labels.
//!
//! Everything that is measured passes here once. A worker owns its tallies and adds to them while it serves; ten times a
//! second it hands them over and starts from zero. What Prometheus shows, what the windows hold and what the gate
//! judges is the sum of the same tallies.

use std::sync::Arc;
use std::time::Duration;

use super::failures::Failures;
use super::histogram::{BACKEND_BOUNDS, Histogram, OVERHEAD_BOUNDS};
use super::labels::{Code, Direction, Reshaped, ServedBy};
use crate::backend::{Backend, Role};
use crate::gate::Counts;
use crate::outcome::{Cause, Outcome};
use crate::refusal::Refusal;
use crate::retry::Retry;
use crate::score::{Catalogue, Trials};
use crate::skip::Skip;
use crate::unstudied::Unstudied;

/// Rich, then each cause as a fallback, then each cause as an exclusion.
const OUTCOMES: usize = 1 + 2 * Cause::ALL.len();

/// Which route a tally is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteId {
    /// The label `dependency`.
    pub dependency: String,
    /// The label `route`.
    pub route: String,
    /// Its place among the routes of the dependency.
    pub index: usize,
}

/// What one worker counted since its last report.
pub struct Report {
    /// Which route.
    pub route: Arc<RouteId>,
    /// What the numbers of its flaws mean.
    pub catalogue: Arc<Catalogue>,
    /// What was counted.
    pub tally: Box<Tally>,
}

/// What one worker counted on one route since it last reported, or the sum of many such reports.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests whose head was read.
    pub received: u64,
    requests: [[u64; Code::ALL.len()]; ServedBy::ALL.len()],
    outcomes: Vec<u64>,
    served: [u64; 3],
    pairs: [[u64; 2]; 2],
    /// Requests that the stage wanted a pair for.
    pub eligible: u64,
    skipped: [u64; Skip::ALL.len()],
    refused: [u64; Refusal::ALL.len()],
    tunnelled: [u64; Direction::ALL.len()],
    rescued: [u64; Cause::ALL.len()],
    reshaped: [u64; Reshaped::ALL.len()],
    retries: [[u64; Retry::ALL.len()]; 2],
    first_tries: [[u64; 3]; 2],
    probes: [u64; ServedBy::ALL.len()],
    unstudied: [u64; Unstudied::ALL.len()],
    /// Requests that V1 was asked a second time, to measure noise.
    pub noise_calls: u64,
    durations: [[Histogram; Role::ALL.len()]; 2],
    /// Time in crossfade itself.
    pub overhead: Histogram,
    /// Requests begun less requests ended.
    pub in_flight: i64,
    /// Shadows begun less shadows ended.
    pub shadow_in_flight: i64,
    /// Bytes of copies taken less bytes given back.
    pub shadow_memory: i64,
    /// V2's fallbacks, with all that is wrong with them.
    pub failures: Failures,
    /// V2's failures that were tried once more, only to know.
    pub trials: Trials,
    cohorts: Vec<(u64, Counts)>,
}

impl Tally {
    /// One more request, and how it ended.
    pub fn request(&mut self, served_by: ServedBy, code: Code) {
        self.requests[served_by.index()][code as usize] += 1;
    }

    /// One more outcome of a backend.
    pub fn outcome(&mut self, backend: Backend, role: Role, outcome: Outcome) {
        if self.outcomes.is_empty() {
            self.outcomes = vec![0; 2 * Role::ALL.len() * OUTCOMES];
        }
        self.outcomes[outcome_cell(backend, role, outcome)] += 1;
    }

    /// One more outcome of an answer that a consumer really got.
    pub fn served(&mut self, outcome: Outcome) {
        self.served[outcome_kind(outcome)] += 1;
    }

    /// One more pair of scored answers to the same request; `true` is rich.
    pub fn pair(&mut self, v1: bool, v2: bool) {
        self.pairs[usize::from(v1)][usize::from(v2)] += 1;
    }

    /// One more eligible request without a scored shadow.
    pub fn skip(&mut self, reason: Skip) {
        self.skipped[reason as usize] += 1;
    }

    /// More bytes of a connection that has left HTTP.
    pub fn tunnelled(&mut self, direction: Direction, bytes: u64) {
        self.tunnelled[direction as usize] += bytes;
    }

    /// One more request or connection that was refused.
    pub fn refuse(&mut self, reason: Refusal) {
        self.refused[reason as usize] += 1;
    }

    /// One more consumer that got V1's answer because V2's was a fallback.
    pub fn rescue(&mut self, cause: Cause) {
        self.rescued[cause as usize] += 1;
    }

    /// What became of one answer of a backend whose answers are mapped.
    pub const fn reshaped(&mut self, result: Reshaped) {
        self.reshaped[result as usize] += 1;
    }

    /// What became of one wish to ask a backend once more.
    pub fn retry(&mut self, backend: Backend, result: Retry) {
        self.retries[backend as usize][result as usize] += 1;
    }

    /// One more outcome, as it would have been without retries.
    pub fn first_try(&mut self, backend: Backend, outcome: Outcome) {
        self.first_tries[backend as usize][outcome_kind(outcome)] += 1;
    }

    /// One of the requests that ended was sent by hand.
    pub const fn probe(&mut self, served_by: ServedBy) {
        self.probes[served_by.index()] += 1;
    }

    /// One more exchange that was chosen to be studied and was not.
    pub const fn unstudied(&mut self, reason: Unstudied) {
        self.unstudied[reason as usize] += 1;
    }

    /// The time one backend took, to the end of its answer's head.
    pub fn duration(&mut self, backend: Backend, role: Role, duration: Duration) {
        self.durations[backend as usize][role as usize].observe(&BACKEND_BOUNDS, duration);
    }

    /// The time one request spent in crossfade itself.
    pub fn overhead(&mut self, duration: Duration) {
        self.overhead.observe(&OVERHEAD_BOUNDS, duration);
    }

    /// The gate's evidence about requests that started in tick `start`.
    pub fn cohort(&mut self, start: u64) -> &mut Counts {
        // Newest last, and nearly every request ends in the tick it began or the next: the search is one step.
        let found = self.cohorts.iter().rposition(|(tick, _)| *tick == start);
        let at = found.unwrap_or_else(|| {
            self.cohorts.push((start, Counts::default()));
            self.cohorts.len() - 1
        });
        &mut self.cohorts[at].1
    }

    /// The gate's evidence, by the tick in which the requests started.
    pub fn cohorts(&self) -> &[(u64, Counts)] {
        &self.cohorts
    }

    /// Adds a report of a worker to a sum of reports. Cohorts are evidence for once, failures
    /// and trials are kept by the hour elsewhere: none of them is in the sum.
    pub fn merge(&mut self, report: &Self) {
        self.received += report.received;
        add_rows(&mut self.requests, &report.requests);
        if self.outcomes.is_empty() {
            self.outcomes.clone_from(&report.outcomes);
        } else {
            add(&mut self.outcomes, &report.outcomes);
        }
        add(&mut self.served, &report.served);
        add_rows(&mut self.pairs, &report.pairs);
        self.eligible += report.eligible;
        add(&mut self.skipped, &report.skipped);
        add(&mut self.refused, &report.refused);
        add(&mut self.tunnelled, &report.tunnelled);
        add(&mut self.rescued, &report.rescued);
        add(&mut self.reshaped, &report.reshaped);
        add_rows(&mut self.retries, &report.retries);
        add_rows(&mut self.first_tries, &report.first_tries);
        add(&mut self.probes, &report.probes);
        add(&mut self.unstudied, &report.unstudied);
        self.noise_calls += report.noise_calls;
        for (mine, theirs) in self.durations.iter_mut().flatten().zip(report.durations.iter().flatten()) {
            mine.merge(theirs);
        }
        self.overhead.merge(&report.overhead);
        self.in_flight += report.in_flight;
        self.shadow_in_flight += report.shadow_in_flight;
        self.shadow_memory += report.shadow_memory;
    }

    /// Requests by who answered and how.
    pub fn requests(&self) -> impl Iterator<Item = (ServedBy, Code, u64)> {
        ServedBy::ALL.into_iter().flat_map(move |by| {
            Code::ALL.into_iter().map(move |code| (by, code, self.requests[by.index()][code as usize]))
        })
    }

    /// Every outcome that was counted at least once.
    pub fn outcomes(&self) -> impl Iterator<Item = (Backend, Role, Outcome, u64)> {
        self.outcomes.iter().enumerate().filter(|(_, count)| **count > 0).map(|(cell, count)| {
            let (backend, role, outcome) = outcome_of_cell(cell);
            (backend, role, outcome, *count)
        })
    }

    /// Answers that consumers got: rich, fallback, excluded.
    pub const fn served_outcomes(&self) -> [u64; 3] {
        self.served
    }

    /// Pairs by V1's and V2's outcome; `true` is rich.
    pub fn pairs(&self) -> impl Iterator<Item = (bool, bool, u64)> {
        [(true, true), (true, false), (false, true), (false, false)]
            .into_iter()
            .map(|(v1, v2)| (v1, v2, self.pairs[usize::from(v1)][usize::from(v2)]))
    }

    /// Eligible requests without a scored shadow, by reason.
    pub fn skips(&self) -> impl Iterator<Item = (Skip, u64)> {
        Skip::ALL.into_iter().map(|reason| (reason, self.skipped[reason as usize]))
    }

    /// Bytes of connections that have left HTTP.
    pub fn tunnelled_bytes(&self) -> impl Iterator<Item = (Direction, u64)> {
        Direction::ALL.into_iter().map(|direction| (direction, self.tunnelled[direction as usize]))
    }

    /// Requests and connections that were refused, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().map(|reason| (reason, self.refused[reason as usize]))
    }

    /// Rescued consumers, by cause.
    pub fn rescues(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().map(|cause| (cause, self.rescued[cause as usize]))
    }

    /// Answers of a backend whose answers are mapped, by what became of them.
    pub fn reshapings(&self) -> impl Iterator<Item = (Reshaped, u64)> {
        Reshaped::ALL.into_iter().map(|result| (result, self.reshaped[result as usize]))
    }

    /// Wishes to ask a backend once more, by what became of them.
    pub fn retries(&self) -> impl Iterator<Item = (Backend, Retry, u64)> {
        Backend::ALL.into_iter().flat_map(move |backend| {
            Retry::ALL.into_iter().map(move |result| (backend, result, self.retries[backend as usize][result as usize]))
        })
    }

    /// Outcomes of one backend as they would have been without retries: rich, fallback, excluded.
    pub const fn first_tries(&self, backend: Backend) -> [u64; 3] {
        self.first_tries[backend as usize]
    }

    /// Requests that were sent by hand, of those that someone answered.
    pub const fn probes(&self, served_by: ServedBy) -> u64 {
        self.probes[served_by.index()]
    }

    /// Exchanges that were chosen to be studied and were not, by reason.
    pub fn not_studied(&self) -> impl Iterator<Item = (Unstudied, u64)> {
        Unstudied::ALL.into_iter().map(|reason| (reason, self.unstudied[reason as usize]))
    }

    /// Times to the end of the answer's head.
    pub fn durations(&self) -> impl Iterator<Item = (Backend, Role, &Histogram)> {
        Backend::ALL.into_iter().flat_map(move |backend| {
            Role::ALL.into_iter().map(move |role| (backend, role, &self.durations[backend as usize][role as usize]))
        })
    }

    /// V2's fallbacks to requests of consumers by cause, those that were counted.
    pub fn fallbacks_of_v2(&self) -> impl Iterator<Item = (Cause, u64)> {
        self.outcomes().filter_map(|(backend, role, outcome, count)| match outcome {
            Outcome::Fallback(cause) if backend == Backend::V2 && role != Role::Probe => Some((cause, count)),
            _ => None,
        })
    }

    /// received - (served + refused + aborted), plus eligible - (scored + skipped): requests under way; 0 at rest.
    pub fn imbalance(&self) -> i64 {
        let ended: u64 = self.requests().map(|(_, _, count)| count).sum();
        let scored: u64 = self.outcomes().filter(|(_, role, ..)| *role == Role::Shadow).map(|(.., count)| count).sum();
        let skipped: u64 = self.skipped.iter().sum();
        difference(self.received, ended) + difference(self.eligible, scored + skipped)
    }
}

fn difference(a: u64, b: u64) -> i64 {
    a.cast_signed().wrapping_sub(b.cast_signed())
}

fn add(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

fn add_rows<const N: usize>(mine: &mut [[u64; N]], theirs: &[[u64; N]]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        add(mine, theirs);
    }
}

const fn outcome_kind(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Rich => 0,
        Outcome::Fallback(_) => 1,
        Outcome::Excluded(_) => 2,
    }
}

const fn outcome_cell(backend: Backend, role: Role, outcome: Outcome) -> usize {
    let within = match outcome {
        Outcome::Rich => 0,
        Outcome::Fallback(cause) => 1 + cause as usize,
        Outcome::Excluded(cause) => 1 + Cause::ALL.len() + cause as usize,
    };
    (backend as usize * Role::ALL.len() + role as usize) * OUTCOMES + within
}

fn outcome_of_cell(cell: usize) -> (Backend, Role, Outcome) {
    let (leg, within) = (cell / OUTCOMES, cell % OUTCOMES);
    let outcome = match within {
        0 => Outcome::Rich,
        n if n <= Cause::ALL.len() => Outcome::Fallback(Cause::ALL[n - 1]),
        n => Outcome::Excluded(Cause::ALL[n - 1 - Cause::ALL.len()]),
    };
    (Backend::ALL[leg / Role::ALL.len()], Role::ALL[leg % Role::ALL.len()], outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_cell_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for backend in Backend::ALL {
            for role in Role::ALL {
                let causes = Cause::ALL.into_iter();
                let all = std::iter::once(Outcome::Rich)
                    .chain(causes.clone().map(Outcome::Fallback))
                    .chain(causes.map(Outcome::Excluded));
                for outcome in all {
                    let cell = outcome_cell(backend, role, outcome);
                    assert!(seen.insert(cell), "{backend} {role:?} {outcome:?} shares cell {cell}");
                    assert_eq!(outcome_of_cell(cell), (backend, role, outcome));
                }
            }
        }
    }

    #[test]
    fn accounts_close_once_every_request_and_shadow_has_ended() {
        let mut tally = Tally { received: 2, eligible: 2, ..Tally::default() };
        assert_eq!(tally.imbalance(), 4);
        tally.request(ServedBy::Backend(Backend::V1), Code::Success);
        tally.request(ServedBy::Nobody, Code::ServerError);
        tally.outcome(Backend::V2, Role::Shadow, Outcome::Fallback(Cause::Timeout));
        tally.skip(Skip::Memory);
        assert_eq!(tally.imbalance(), 0);
    }

    #[test]
    fn a_sum_of_reports_counts_like_one_tally() {
        let mut report = Tally::default();
        report.outcome(Backend::V2, Role::Shadow, Outcome::Rich);
        report.pair(true, false);
        report.duration(Backend::V1, Role::Primary, Duration::from_millis(3));
        let mut sum = Tally::default();
        sum.merge(&report);
        sum.merge(&report);
        assert_eq!(sum.outcomes().collect::<Vec<_>>(), [(Backend::V2, Role::Shadow, Outcome::Rich, 2)]);
        assert_eq!(sum.pairs().find(|(v1, v2, _)| *v1 && !*v2), Some((true, false, 2)));
        assert_eq!(sum.durations().map(|(.., histogram)| histogram.count()).sum::<u64>(), 2);
    }
}
