//! How the rules fare that take a while: what became of their runs, and which of them nobody asks at present.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a rule is left alone after its first run that did not end; each further one doubles it.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest that a rule is left alone.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Which rule; all three are labels, and come from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId {
    /// The name of the dependency.
    pub dependency: String,
    /// The name of the route.
    pub route: String,
    /// `v1` or `v2`.
    pub backend: &'static str,
}

/// What became of a run: the label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LaneResult {
    /// It ended, with an answer or an error of its own.
    Done,
    /// It panicked.
    Panic,
    /// It had not ended when its time was over.
    Deadline,
    /// It never began: too much was waiting before it.
    Busy,
    /// It was not tried, since the rule is poisoned.
    Poisoned,
}

impl LaneResult {
    /// In the order of the counters.
    pub const ALL: [Self; 5] = [Self::Done, Self::Panic, Self::Deadline, Self::Busy, Self::Poisoned];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Panic => "panic",
            Self::Deadline => "deadline",
            Self::Busy => "busy",
            Self::Poisoned => "poisoned",
        }
    }
}

/// One rule: whether it may be asked. Poisoned is a rule whose last run did not end in time.
#[derive(Debug)]
pub struct RuleState {
    id: RuleId,
    /// Tells the rules of one route from those that a reload replaced them with.
    version: u64,
    poison: Mutex<Poison>,
}

#[derive(Debug, Default)]
struct Poison {
    /// Runs in a row that did not end in time.
    strikes: u32,
    until: Option<Instant>,
}

impl RuleState {
    /// Which rule it is.
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// Whether nobody shall ask it at this instant.
    pub fn is_poisoned(&self, now: Instant) -> bool {
        self.lock().until.is_some_and(|until| now < until)
    }

    /// A run did not end in time. Returns for how long the rule is left alone from now on; `None` where it is already.
    pub fn strike(&self, now: Instant) -> Option<Duration> {
        let mut poison = self.lock();
        if poison.until.is_some_and(|until| now < until) {
            return None;
        }
        let rest = FIRST_REST.saturating_mul(1 << poison.strikes.min(16)).min(LONGEST_REST);
        poison.strikes += 1;
        poison.until = Some(now + rest);
        Some(rest)
    }

    /// A run ended in time.
    pub fn ended(&self) {
        let mut poison = self.lock();
        if poison.until.is_some() {
            *poison = Poison::default();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Poison> {
        // Each change is complete in itself.
        self.poison.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of all runs, and the state of each rule that anybody holds.
#[derive(Debug, Default)]
pub struct LaneCounts {
    results: [AtomicU64; LaneResult::ALL.len()],
    rules: Mutex<Vec<Weak<RuleState>>>,
}

impl LaneCounts {
    /// A run has come to this.
    pub fn count(&self, result: LaneResult) {
        self.results[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many runs came to this.
    pub fn counted(&self, result: LaneResult) -> u64 {
        self.results[result as usize].load(Ordering::Relaxed)
    }

    /// The state of a rule, the same for all that ask for the same version of it.
    pub fn rule(&self, id: RuleId, version: u64) -> Arc<RuleState> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|rule| rule.strong_count() > 0);
        let mut known = rules.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|rule| rule.id == id && rule.version == version) {
            return known;
        }
        let rule = Arc::new(RuleState { id, version, poison: Mutex::default() });
        rules.push(Arc::downgrade(&rule));
        rule
    }

    /// Every rule that anybody holds, and whether it is poisoned at this instant: in one of its versions, where it has several.
    pub fn poisoned(&self, now: Instant) -> BTreeMap<RuleId, bool> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut poisoned = BTreeMap::new();
        for rule in rules.iter().filter_map(Weak::upgrade) {
            *poisoned.entry(rule.id.clone()).or_default() |= rule.is_poisoned(now);
        }
        poisoned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RuleId {
        RuleId { dependency: "d".to_owned(), route: "r".to_owned(), backend: "v2" }
    }

    #[test]
    fn a_rule_is_left_alone_for_twice_as_long_each_time() {
        let (counts, mut now) = (LaneCounts::default(), Instant::now());
        let rule = counts.rule(id(), 1);
        assert!(!rule.is_poisoned(now));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let rest = Duration::from_secs(seconds);
            assert_eq!(rule.strike(now), Some(rest));
            assert_eq!(rule.strike(now), None, "runs that began before count once");
            assert!(rule.is_poisoned(now + rest.mul_f64(0.999)));
            now += rest;
            assert!(!rule.is_poisoned(now));
        }
        rule.ended();
        assert_eq!(rule.strike(now), Some(FIRST_REST));
    }

    #[test]
    fn a_new_version_of_a_rule_begins_anew() {
        let (counts, now) = (LaneCounts::default(), Instant::now());
        let old = counts.rule(id(), 1);
        old.strike(now);
        assert!(counts.rule(id(), 1).is_poisoned(now) && !counts.rule(id(), 2).is_poisoned(now));
        assert_eq!(counts.poisoned(now), BTreeMap::from([(id(), true)]));
        drop(old);
        assert_eq!(counts.poisoned(now), BTreeMap::new(), "nobody holds it any more");
    }
}
