//! Whether an endpoint is used: left out after failures in a row, tried again with one call, or as a check says.
//!
//! An endpoint that is left out costs its share of the capacity, so leaving out has an end and a bound: the time doubles
//! from [`FIRST`] to [`LONGEST`], and when more than half of the endpoints would be left out, all of them are used, since
//! then the fault is more likely elsewhere, and the rest would not bear the load (Envoy's panic threshold, 50 %).
//! A call cannot be failed by health alone: the only endpoint of a backend is always used.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::condition::Condition;

/// Failures in a row after which an endpoint is left out. Lone failures are for the balancing to deal with.
pub(super) const FAILURES: u32 = 5;
/// How long it is left out at first.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// How long it is left out at most.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Whether an endpoint is used by one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// As any other.
    Yes,
    /// It was left out, and the next call tells whether that goes on.
    OneTrial,
    /// Not now.
    No,
}

/// What a failure says of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may be chance, or the request's own doing.
    Possible,
    /// Nobody accepts connections there, or it failed again when it was tried: out at once.
    Certain,
}

/// What one worker knows of the health of one endpoint.
pub(super) struct Health {
    condition: Arc<Condition>,
    failures: Cell<u32>,
    /// Times that it was left out without an answer in between.
    rounds: Cell<u32>,
    left_out_until: Cell<Option<Instant>>,
    on_trial: Cell<bool>,
}

impl Health {
    pub(super) const fn new(condition: Arc<Condition>) -> Self {
        Self {
            condition,
            failures: Cell::new(0),
            rounds: Cell::new(0),
            left_out_until: Cell::new(None),
            on_trial: Cell::new(false),
        }
    }

    /// Whether it may be called at `now`.
    pub(super) fn usable(&self, now: Instant) -> Use {
        match self.left_out_until.get() {
            _ if self.condition.is_failing() => Use::No,
            None => Use::Yes,
            Some(until) if now < until || self.on_trial.get() => Use::No,
            Some(_) => Use::OneTrial,
        }
    }

    /// Whether nothing is against it.
    pub(super) fn is_well(&self) -> bool {
        !self.condition.is_failing() && self.left_out_until.get().is_none()
    }

    /// The call that is made now is the trial.
    pub(super) fn begin_trial(&self) {
        self.on_trial.set(true);
    }

    /// The trial is over, whatever it told.
    pub(super) fn forget_trial(&self) {
        self.on_trial.set(false);
    }

    /// It answered; tells whether it had been left out.
    pub(super) fn succeeded(&self) -> bool {
        self.failures.set(0);
        let was_out = self.left_out_until.take().is_some();
        if was_out {
            self.rounds.set(0);
            self.condition.take_back();
        }
        was_out
    }

    /// It did not answer, or only to say that it cannot. `random` is any number.
    pub(super) fn failed(&self, how: Failure, now: Instant, random: u64) {
        self.failures.set(self.failures.get().saturating_add(1));
        let is_out = self.left_out_until.get().is_some_and(|until| now < until);
        let is_due = how == Failure::Certain || self.failures.get() >= FAILURES;
        if !is_out && is_due {
            let pause = pause(self.rounds.get(), random);
            self.rounds.set(self.rounds.get().saturating_add(1));
            if self.left_out_until.replace(Some(now + pause)).is_none() {
                self.condition.leave_out();
            }
        }
    }

    /// What the process knows of it.
    pub(super) const fn condition(&self) -> &Arc<Condition> {
        &self.condition
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        if self.left_out_until.get().is_some() {
            self.condition.take_back();
        }
    }
}

/// Between three quarters and all of the doubling time, so that workers and replicas do not try again together.
fn pause(rounds: u32, random: u64) -> Duration {
    let longest = FIRST.saturating_mul(1 << rounds.min(16)).min(LONGEST);
    longest.mul_f64(0.75 + (random >> 11) as f64 / (1_u64 << 55) as f64)
}

/// What a row of checks says: two of the same kind are news, one may be chance.
#[derive(Debug, Default)]
pub(super) struct Checks {
    failing: bool,
    last: Option<bool>,
}

impl Checks {
    /// Takes one more result; tells whether the endpoint is failing.
    pub(super) fn hear(&mut self, ok: bool) -> bool {
        if self.last.replace(ok) == Some(ok) {
            self.failing = !ok;
        }
        self.failing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> (Health, Arc<Condition>, Instant) {
        let condition = Arc::new(Condition::default());
        (Health::new(Arc::clone(&condition)), condition, Instant::now())
    }

    fn fail(health: &Health, times: u32, now: Instant) {
        (0..times).for_each(|_| health.failed(Failure::Possible, now, u64::MAX));
    }

    #[test]
    fn failures_in_a_row_leave_it_out_and_others_do_not() {
        let (health, condition, now) = health();
        fail(&health, FAILURES - 1, now);
        health.succeeded();
        fail(&health, FAILURES - 1, now);
        assert_eq!((health.usable(now), condition.is_healthy()), (Use::Yes, true));
        fail(&health, 1, now);
        assert_eq!((health.usable(now), condition.is_healthy()), (Use::No, false));
    }

    #[test]
    fn a_connection_that_nobody_accepts_is_enough() {
        let (health, _condition, now) = health();
        health.failed(Failure::Certain, now, 0);
        assert_eq!(health.usable(now), Use::No);
        health.failed(Failure::Certain, now, 0);
        assert_eq!(health.usable(now + FIRST), Use::OneTrial, "calls that were under way do not prolong it");
    }

    #[test]
    fn one_call_tries_it_and_an_answer_takes_it_back() {
        let (health, condition, now) = health();
        fail(&health, FAILURES, now);
        let later = now + FIRST;
        assert_eq!(health.usable(later), Use::OneTrial);
        health.begin_trial();
        assert_eq!(health.usable(later), Use::No, "one at a time");
        health.forget_trial();
        assert_eq!(health.usable(later), Use::OneTrial, "a trial that tells nothing is followed by another");
        health.begin_trial();
        health.succeeded();
        assert_eq!((health.usable(later), condition.is_healthy()), (Use::Yes, true));
    }

    #[test]
    fn each_failed_trial_doubles_the_time_up_to_a_bound() {
        let (health, _condition, mut now) = health();
        fail(&health, FAILURES, now);
        let mut expected = FIRST;
        for _ in 0..10 {
            assert_eq!(health.usable(now + expected.mul_f64(0.99)), Use::No);
            now += expected;
            assert_eq!(health.usable(now), Use::OneTrial, "after {expected:?}");
            health.begin_trial();
            health.failed(Failure::Certain, now, u64::MAX);
            health.forget_trial();
            expected = (expected * 2).min(LONGEST);
        }
    }

    #[test]
    fn calls_that_fail_late_do_not_prolong_it() {
        let (health, condition, now) = health();
        fail(&health, FAILURES, now);
        fail(&health, 100, now + FIRST / 2);
        assert_eq!(health.usable(now + FIRST), Use::OneTrial);
        drop(health);
        assert!(condition.is_healthy(), "who goes leaves nothing behind");
    }

    #[test]
    fn pauses_differ_but_stay_in_bounds() {
        assert_eq!(pause(0, 0), FIRST.mul_f64(0.75));
        assert!(pause(0, u64::MAX) <= FIRST);
        assert_eq!(pause(u32::MAX, 0), LONGEST.mul_f64(0.75));
    }

    #[test]
    fn one_check_alone_is_no_news() {
        let mut checks = Checks::default();
        let heard: Vec<_> =
            [true, false, true, false, false, true, true].into_iter().map(|ok| checks.hear(ok)).collect();
        assert_eq!(heard, [false, false, false, false, true, true, false]);
    }
}
