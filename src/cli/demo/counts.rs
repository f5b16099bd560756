//! What the proxy counted, and whether it is what chance allows.

use std::collections::BTreeMap;

use crate::backend::Backend;
use crate::hit_rate::Tallied;
use crate::outcome::{Cause, Outcome};
use crate::telemetry::{Tally, Totals};

/// What the proxy counted for one dependency since it started, or between two instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests whose head was read.
    pub(super) received: u64,
    /// V1's and V2's scored answers.
    pub(super) backends: [Tallied; 2],
    /// V2's fallbacks, by cause.
    pub(super) causes: BTreeMap<Cause, u64>,
    /// Consumers' answers: rich, fallback, excluded.
    pub(super) served: [u64; 3],
    /// Consumers that got V1's rich answer in place of V2's fallback.
    pub(super) rescued: u64,
    /// Requests and shadows under way; 0 at rest.
    pub(super) imbalance: i64,
}

impl Counts {
    /// Up to now.
    pub(super) fn read(totals: &Totals, dependency: &str) -> Self {
        let counted = totals.lock();
        let mut sum = Tally::default();
        if let Some(dependency) = counted.dependencies.get(dependency) {
            dependency.routes.values().for_each(|tally| sum.merge(tally));
        }
        drop(counted);
        Self::of(&sum)
    }

    fn of(tally: &Tally) -> Self {
        let mut counts = Self {
            received: tally.received,
            served: tally.served_outcomes(),
            rescued: tally.rescues().map(|(_, count)| count).sum(),
            imbalance: tally.imbalance(),
            ..Self::default()
        };
        for (backend, _, outcome, count) in tally.outcomes() {
            let of_backend = &mut counts.backends[backend as usize];
            match outcome {
                Outcome::Rich => of_backend.rich += count,
                Outcome::Fallback(cause) => {
                    of_backend.fallback += count;
                    if backend == Backend::V2 {
                        *counts.causes.entry(cause).or_default() += count;
                    }
                }
                Outcome::Excluded(_) => {}
            }
        }
        counts
    }

    /// What was counted after `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let causes = self.causes.iter().map(|(cause, count)| (*cause, count - before.cause(*cause)));
        let served = [0, 1, 2].map(|at| self.served[at] - before.served[at]);
        Self {
            received: self.received - before.received,
            backends: [0, 1].map(|at| self.backends[at] - before.backends[at]),
            causes: causes.filter(|(_, count)| *count > 0).collect(),
            served,
            rescued: self.rescued - before.rescued,
            imbalance: self.imbalance,
        }
    }

    /// One backend's scored answers.
    pub(super) const fn of_backend(&self, backend: Backend) -> Tallied {
        self.backends[backend as usize]
    }

    /// V2's fallbacks of one cause.
    pub(super) fn cause(&self, cause: Cause) -> u64 {
        self.causes.get(&cause).copied().unwrap_or(0)
    }

    /// `612 missing, 540 empty`, the most frequent one first.
    pub(super) fn causes_in_words(&self) -> String {
        let mut causes: Vec<_> = self.causes.iter().map(|(cause, count)| (*count, cause.as_str())).collect();
        causes.sort_unstable_by(|a, b| b.cmp(a));
        let words: Vec<String> = causes.iter().map(|(count, cause)| format!("{count} {cause}")).collect();
        words.join(", ")
    }
}

/// Whether so many rich answers are what chance allows at `hit_rate`: within five standard deviations, which is left once in
/// 1.7 million times.
pub(super) fn is_plausible(counts: Tallied, hit_rate: f64) -> bool {
    let n = counts.samples() as f64;
    let deviation = (n * hit_rate * (1.0 - hit_rate)).sqrt();
    n > 0.0 && (counts.rich as f64 - n * hit_rate).abs() <= 5.0 * deviation + 1.0
}

/// `80.3 %`
pub(super) fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `80.3 % (963 of 1200)`
pub(super) fn rate(counts: Tallied) -> String {
    let rate = counts.hit_rate().map_or_else(|| "no hit rate".to_owned(), share);
    format!("{rate} ({} of {})", counts.rich, counts.samples())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Role;

    #[test]
    fn chance_has_its_bounds() {
        let counts = |rich, fallback| Tallied { rich, fallback };
        assert!(is_plausible(counts(600, 400), 0.6));
        assert!(is_plausible(counts(660, 340), 0.6));
        assert!(!is_plausible(counts(700, 300), 0.6));
        assert!(!is_plausible(counts(940, 60), 0.98));
        assert!(!is_plausible(counts(0, 0), 0.6), "no samples, no hit rate");
    }

    #[test]
    fn counts_are_what_happened_in_between() {
        let mut tally = Tally::default();
        tally.outcome(Backend::V2, Role::Shadow, Outcome::Fallback(Cause::Missing));
        let before = Counts::of(&tally);
        tally.outcome(Backend::V2, Role::Shadow, Outcome::Fallback(Cause::Empty));
        tally.outcome(Backend::V2, Role::Primary, Outcome::Fallback(Cause::Empty));
        tally.outcome(Backend::V1, Role::Shadow, Outcome::Rich);
        tally.rescue(Cause::Empty);
        let between = Counts::of(&tally).since(&before);
        assert_eq!(between.of_backend(Backend::V2), Tallied { rich: 0, fallback: 2 });
        assert_eq!(between.of_backend(Backend::V1), Tallied { rich: 1, fallback: 0 });
        assert_eq!((between.causes_in_words().as_str(), between.rescued), ("2 empty", 1));
        assert_eq!(between.cause(Cause::Missing), 0);
    }

    #[test]
    fn causes_begin_with_the_most_frequent_one() {
        let causes = BTreeMap::from([(Cause::Missing, 7), (Cause::Slow, 1), (Cause::Empty, 9)]);
        assert_eq!(Counts { causes, ..Counts::default() }.causes_in_words(), "9 empty, 7 missing, 1 slow");
    }
}
