//! V2's fallbacks with everything that is wrong with each, over the last hour: what `crossfade lift` ranks.

use std::collections::VecDeque;
use std::sync::Arc;

use super::tally::Tally;
use crate::backend::{Backend, Role};
use crate::outcome::Outcome;
use crate::score::{Beside, Catalogue, Counted, Failed, Trials};

/// Kinds of fallbacks that are told apart in one report, or in one slot of the hour. Beyond them only causes are.
const KINDS: usize = 128;
/// The hour is kept in slots of this many seconds.
const SLOT: u64 = 300;
/// How many of them; with the one under way the window is 55 to 60 minutes long.
const SLOTS: usize = 12;

/// Fallbacks of V2 on one route, those that are alike counted together.
#[derive(Debug, Clone, Default)]
pub struct Failures(Vec<(Failed, u64)>);

impl Failures {
    /// More fallbacks of one kind. Where too many kinds are known, those of the same first flaw count as one.
    pub fn count(&mut self, failed: Failed, times: u64) {
        if !self.count_within(KINDS, failed, times) {
            let v1 = match failed.v1 {
                Beside::Fallback(flaws) => Beside::Fallback(flaws.first()),
                other => other,
            };
            let coarse = Failed { flaws: failed.flaws.first(), v1 };
            if !self.count_within(2 * KINDS, coarse, times) {
                // Under a name that is not its own, for the sum of fallbacks must stay right.
                self.0[KINDS].1 += times;
            }
        }
    }

    fn count_within(&mut self, most: usize, failed: Failed, times: u64) -> bool {
        match self.0.iter().position(|(known, _)| *known == failed) {
            Some(at) => self.0[at].1 += times,
            None if self.0.len() < most => self.0.push((failed, times)),
            None => return false,
        }
        true
    }

    /// What was counted.
    pub fn iter(&self) -> impl Iterator<Item = (Failed, u64)> {
        self.0.iter().copied()
    }
}

/// What one route's answers of V2 were like in the last hour.
#[derive(Debug, Clone, Default)]
pub struct FailureWindow {
    /// What the numbers of flaws mean. When that changes, what was counted before is forgotten.
    catalogue: Arc<Catalogue>,
    /// With the number of their five minutes, oldest first.
    slots: VecDeque<(u64, Slot)>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    rich: u64,
    failures: Failures,
    pairs: [[u64; 2]; 2],
    first_try: [u64; 2],
    trials: Trials,
}

impl FailureWindow {
    /// Adds a report of a worker, in second `now`.
    pub fn add(&mut self, now: u64, catalogue: &Arc<Catalogue>, tally: &Tally) {
        if self.catalogue != *catalogue {
            *self = Self { catalogue: Arc::clone(catalogue), slots: VecDeque::new() };
        }
        self.forget(now);
        let number = now / SLOT;
        if self.slots.back().is_none_or(|(newest, _)| *newest < number) {
            self.slots.push_back((number, Slot::default()));
        }
        if let Some((_, slot)) = self.slots.back_mut() {
            slot.add(tally);
        }
    }

    /// The sum of the hour that ends with second `now`, and what the numbers of its flaws mean.
    pub fn sum(&mut self, now: u64) -> (Counted, Arc<Catalogue>) {
        self.forget(now);
        let (mut sum, mut failures) = (Counted::default(), Failures::default());
        for (_, slot) in &self.slots {
            sum.rich += slot.rich;
            sum.trials.merge(&slot.trials);
            slot.failures.iter().for_each(|(failed, count)| failures.count(failed, count));
            for (mine, theirs) in sum.pairs.as_flattened_mut().iter_mut().zip(slot.pairs.as_flattened()) {
                *mine += theirs;
            }
            for (mine, theirs) in sum.first_try.iter_mut().zip(slot.first_try) {
                *mine += theirs;
            }
        }
        sum.failed = failures.0;
        (sum, Arc::clone(&self.catalogue))
    }

    fn forget(&mut self, now: u64) {
        while self.slots.front().is_some_and(|(oldest, _)| oldest + SLOTS as u64 <= now / SLOT) {
            self.slots.pop_front();
        }
    }
}

impl Slot {
    fn add(&mut self, tally: &Tally) {
        let rich = tally.outcomes().filter(|(backend, role, outcome, _)| {
            *backend == Backend::V2 && *role != Role::Probe && *outcome == Outcome::Rich
        });
        self.rich += rich.map(|(.., count)| count).sum::<u64>();
        tally.failures.iter().for_each(|(failed, count)| self.failures.count(failed, count));
        self.trials.merge(&tally.trials);
        for (v1, v2, count) in tally.pairs() {
            self.pairs[usize::from(v1)][usize::from(v2)] += count;
        }
        let [rich, fallback, _] = tally.first_tries(Backend::V2);
        self.first_try[0] += rich;
        self.first_try[1] += fallback;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Cause;
    use crate::score::{Flaws, Pointer, Rules, Scorer};

    fn failed(number: usize) -> Failed {
        Failed { flaws: Flaws::only(number), v1: Beside::Rich }
    }

    fn report(times: u64) -> Tally {
        let mut tally = Tally::default();
        tally.failures.count(failed(Cause::Status as usize), times);
        tally.outcome(Backend::V2, Role::Shadow, Outcome::Rich);
        tally.outcome(Backend::V2, Role::Probe, Outcome::Rich);
        tally
    }

    #[test]
    fn keeps_an_hour_and_forgets_what_is_older() {
        let (mut window, catalogue) = (FailureWindow::default(), Arc::default());
        window.add(10, &catalogue, &report(3));
        window.add(3500, &catalogue, &report(4));
        let (sum, _) = window.sum(3599);
        assert_eq!((sum.rich, sum.failed), (2, vec![(failed(Cause::Status as usize), 7)]));
        let (sum, _) = window.sum(3600);
        assert_eq!((sum.rich, sum.failed), (1, vec![(failed(Cause::Status as usize), 4)]));
        assert_eq!(window.sum(100_000).0.rich, 0);
    }

    #[test]
    fn changed_rules_start_from_nothing() {
        let mut window = FailureWindow::default();
        window.add(10, &Arc::default(), &report(3));
        let required = vec![Pointer::parse("/a").expect("a pointer")];
        let changed = Scorer::new(Rules { required, ..Rules::default() });
        window.add(11, changed.catalogue(), &report(1));
        assert_eq!(window.sum(12).0.failed, [(failed(Cause::Status as usize), 1)]);
    }

    #[test]
    fn no_fallback_is_lost_however_many_kinds_there_are() {
        let mut failures = Failures::default();
        let kinds = (0..64).flat_map(|a| (0..64).map(move |b| (a, b)));
        for (a, b) in kinds {
            let v1 = Beside::Fallback(Flaws::only(b));
            failures.count(Failed { flaws: Flaws::only(a).union(Flaws::only(b)), v1 }, 2);
        }
        assert_eq!(failures.iter().map(|(_, count)| count).sum::<u64>(), 2 * 64 * 64);
        assert!(failures.0.len() <= 2 * KINDS);
    }
}
