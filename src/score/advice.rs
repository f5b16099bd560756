//! What retries would have saved, from trials: failed requests that were sent once more only to find out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outcome::Cause;

/// Trials that have to exist before advice is given.
const LEAST: u64 = 10;
/// The pause before the second try of a trial, and so of the advice.
pub const TRIAL_BACKOFF: Duration = Duration::from_millis(50);
/// This share of the rich second answers is to arrive within the advised `try_timeout`.
const COVERED: f64 = 0.95;

/// What second tries came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trials {
    /// By cause of the first failure: tried again, and rich then.
    counts: Vec<(Cause, [u64; 2])>,
    /// Rich second answers, by the time they took: below 1 ms, 2 ms, 4 ms and so on.
    took: [u64; 20],
}

impl Trials {
    /// One more: what had failed, and how long the second answer took where that was rich.
    pub fn count(&mut self, cause: Cause, rich: Option<Duration>) {
        self.add(cause, [1, u64::from(rich.is_some())]);
        if let Some(took) = rich {
            let doublings = took.as_millis().checked_ilog2().map_or(0, |log| log as usize + 1);
            self.took[doublings.min(19)] += 1;
        }
    }

    /// The trials of another report.
    pub fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(cause, counts)| self.add(*cause, *counts));
        for (mine, theirs) in self.took.iter_mut().zip(other.took) {
            *mine += theirs;
        }
    }

    fn add(&mut self, cause: Cause, [tried, rich]: [u64; 2]) {
        let at = self.counts.iter().position(|(known, _)| *known == cause).unwrap_or_else(|| {
            self.counts.push((cause, [0; 2]));
            self.counts.len() - 1
        });
        self.counts[at].1[0] += tried;
        self.counts[at].1[1] += rich;
    }

    /// The time within which nearly all rich second answers came, rounded up to a power of two, in ms.
    fn covering_ms(&self) -> u64 {
        let all: u64 = self.took.iter().sum();
        let mut so_far = 0;
        let doublings = self.took.iter().position(|count| {
            so_far += count;
            so_far as f64 >= COVERED * all as f64
        });
        1 << doublings.unwrap_or(19)
    }
}

/// What retries would have saved on one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryAdvice {
    /// By cause of the first failure.
    pub causes: Vec<Saved>,
    /// V2's hit rate with one retry of these failures.
    pub hit_rate: f64,
    /// The longest pause before the second try, ms.
    pub backoff_ms: u64,
    /// What one try needs, ms: 95 % of the second answers that were rich came within it.
    pub try_timeout_ms: u64,
}

/// What a second try made of one kind of failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Why the first try failed.
    pub cause: Cause,
    /// Failures that were tried once more.
    pub tried: u64,
    /// Of these, the share that was rich then.
    pub saved: f64,
}

impl RetryAdvice {
    /// `None` while there are too few trials, or none of them was rich. `alone(cause)` counts the fallbacks that have that
    /// cause and no other flaw, out of `answers`, of which `rich` were rich.
    pub(super) fn of(trials: &Trials, rich: u64, answers: u64, alone: impl Fn(Cause) -> u64) -> Option<Self> {
        let tried: u64 = trials.counts.iter().map(|(_, counts)| counts[0]).sum();
        let saved: u64 = trials.counts.iter().map(|(_, counts)| counts[1]).sum();
        if tried < LEAST || saved == 0 || answers == 0 {
            return None;
        }
        let mut causes: Vec<_> = trials
            .counts
            .iter()
            .map(|&(cause, [tried, rich])| Saved { cause, tried, saved: rich as f64 / tried as f64 })
            .collect();
        causes.sort_by_key(|saved| (std::cmp::Reverse(saved.tried), saved.cause));
        let gained: f64 = causes.iter().map(|saved| saved.saved * alone(saved.cause) as f64).sum();
        Some(Self {
            causes,
            hit_rate: (rich as f64 + gained) / answers as f64,
            backoff_ms: TRIAL_BACKOFF.as_millis() as u64,
            try_timeout_ms: trials.covering_ms(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_second_tries_would_have_saved_and_how_long_they_take() {
        let mut trials = Trials::default();
        for at in 0..14_u64 {
            let took = (at % 7 < 5).then(|| Duration::from_millis(20 + at));
            trials.count(Cause::Timeout, took);
        }
        (0..6).for_each(|_| trials.count(Cause::Status, None));
        let advice = RetryAdvice::of(&trials, 80, 100, |cause| if cause == Cause::Timeout { 14 } else { 6 });
        let advice = advice.expect("enough trials");
        assert!((advice.hit_rate - 0.9).abs() < 1e-12, "{advice:?}");
        let told: Vec<_> = advice.causes.iter().map(|it| (it.cause, it.tried, (it.saved * 100.0).round())).collect();
        assert_eq!(told, [(Cause::Timeout, 14, 71.0), (Cause::Status, 6, 0.0)]);
        assert_eq!(advice.try_timeout_ms, 32, "the slowest rich one took 31 ms");
    }

    #[test]
    fn a_few_trials_are_no_advice() {
        let mut trials = Trials::default();
        (0..9).for_each(|_| trials.count(Cause::Timeout, Some(Duration::from_millis(1))));
        assert_eq!(RetryAdvice::of(&trials, 1, 10, |_| 9), None);
        let mut hopeless = Trials::default();
        (0..50).for_each(|_| hopeless.count(Cause::Reset, None));
        assert_eq!(RetryAdvice::of(&hopeless, 1, 10, |_| 9), None);
        trials.merge(&hopeless);
        let advice = RetryAdvice::of(&trials, 1, 60, |_| 9).expect("some were rich");
        assert_eq!((advice.causes[0].cause, advice.try_timeout_ms), (Cause::Reset, 2));
    }
}
