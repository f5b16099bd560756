//! Which of several endpoints gets a call: of two drawn at random, the one with less work waiting for the caller.
//!
//! Two choices leave no endpoint far behind the others (Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing", 2001). Work is the average time to an answer times the calls that would wait: the peak EWMA of Finagle and
//! tower, which believes bad news at once and good news slowly. A failure counts as an answer that took the whole timeout,
//! since an endpoint that fails fast would otherwise look like the best one and draw all calls.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::{Failure, Health, Use};
use crate::condition::Condition;
use crate::random::Random;

/// Time in which the past loses all but 1/e of its weight: Finagle's and tower's default.
const DECAY_S: f64 = 10.0;

/// The average time to an answer of one endpoint, as one worker sees it.
pub(super) struct PeakEwma {
    seconds: Cell<f64>,
    at: Cell<Instant>,
}

impl PeakEwma {
    /// Nothing is known, which is taken for the best: each endpoint is tried soon.
    pub(super) const fn new(now: Instant) -> Self {
        Self { seconds: Cell::new(0.0), at: Cell::new(now) }
    }

    /// An answer came after `latency`. A longer one than the average becomes the average.
    pub(super) fn observe(&self, latency: Duration, now: Instant) {
        let (latency, kept) = (latency.as_secs_f64(), self.age(now));
        let before = self.seconds.get();
        self.seconds.set(if latency > before { latency } else { before * kept + latency * (1.0 - kept) });
    }

    /// No answer came, or none of use: as bad as one after `timeout`. It is averaged in and no peak, so that an endpoint
    /// with one failure in a thousand is not shunned for a minute.
    pub(super) fn punish(&self, timeout: Duration, now: Instant) {
        let kept = self.age(now);
        self.seconds.set(self.seconds.get() * kept + timeout.as_secs_f64() * (1.0 - kept));
    }

    /// What was learned before holds no more.
    fn restart(&self, now: Instant) {
        self.seconds.set(0.0);
        self.at.set(now);
    }

    /// What one more call would wait for, beside `in_flight` others.
    pub(super) fn load(&self, in_flight: usize, now: Instant) -> f64 {
        let kept = self.kept(now);
        // Where nothing is known yet, calls alone are compared, each as if it took a microsecond.
        (self.seconds.get() * kept).max(1e-6) * (in_flight + 1) as f64
    }

    fn kept(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.at.get()).as_secs_f64() / DECAY_S).exp()
    }

    fn age(&self, now: Instant) -> f64 {
        let kept = self.kept(now);
        self.at.set(now);
        kept
    }
}

/// What one worker knows of the endpoints of one backend, and whom it calls therefore.
pub(super) struct Balancer {
    standings: Vec<Standing>,
    /// What a failure is as bad as.
    timeout: Duration,
    random: Random,
}

/// Which endpoint gets a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) at: usize,
    /// It was left out, and this call tells whether that goes on.
    pub(super) trial: bool,
}

struct Standing {
    ewma: PeakEwma,
    health: Health,
}

impl Balancer {
    /// One for each condition, at least one.
    pub(super) fn new(conditions: Vec<Arc<Condition>>, timeout: Duration) -> Self {
        let now = Instant::now();
        let standing = |condition| Standing { ewma: PeakEwma::new(now), health: Health::new(condition) };
        Self { standings: conditions.into_iter().map(standing).collect(), timeout, random: Random::default() }
    }

    /// Whether there is anything to choose.
    pub(super) const fn is_choice(&self) -> bool {
        self.standings.len() > 1
    }

    /// The endpoint for the next call. `in_flight` tells how many calls an endpoint has; `avoid` is not taken where
    /// there is another one.
    pub(super) fn choose(&self, in_flight: impl Fn(usize) -> usize, avoid: Option<usize>, now: Instant) -> Choice {
        let all = self.standings.len();
        if all == 1 {
            return Choice::default();
        }
        let well = self.standings.iter().filter(|it| it.health.is_well()).count();
        if well < all
            && let Some(at) = self.standings.iter().position(|it| it.health.usable(now) == Use::OneTrial)
        {
            self.standings[at].health.begin_trial();
            return Choice { at, trial: true };
        }
        // With more than half of them left out, none is.
        let ignored = well * 2 < all;
        let may = |at: usize| (ignored || self.standings[at].health.is_well()) && avoid != Some(at);
        let at = match (0..all).filter(|at| may(*at)).count() {
            0 => avoid.unwrap_or(0),
            1 => (0..all).find(|at| may(*at)).unwrap_or(0),
            several => {
                let (one, two) = two_of(several, &self.random);
                let nth = |n| if several == all { n } else { (0..all).filter(|at| may(*at)).nth(n).unwrap_or(0) };
                self.lighter(nth(one), nth(two), &in_flight, now)
            }
        };
        Choice { at, trial: false }
    }

    fn lighter(&self, one: usize, two: usize, in_flight: impl Fn(usize) -> usize, now: Instant) -> usize {
        let load = |at: usize| self.standings[at].ewma.load(in_flight(at), now);
        if load(two) < load(one) { two } else { one }
    }

    /// An endpoint answered; `latency` is known where there is a choice.
    pub(super) fn answered(&self, at: usize, latency: Option<Duration>) {
        let standing = &self.standings[at];
        let is_back = standing.health.succeeded();
        if let Some(latency) = latency {
            let now = Instant::now();
            if is_back {
                standing.ewma.restart(now);
            }
            standing.ewma.observe(latency, now);
        }
    }

    /// An endpoint did not answer, or only to say that it cannot; `how` badly.
    pub(super) fn failed(&self, choice: Choice, how: Failure) {
        let (standing, now) = (&self.standings[choice.at], Instant::now());
        let how = if choice.trial { Failure::Certain } else { how };
        standing.health.failed(how, now, self.random.next());
        standing.ewma.punish(self.timeout, now);
    }

    /// A call ended without telling anything of its endpoint.
    pub(super) fn forget(&self, choice: Choice) {
        if choice.trial {
            self.standings[choice.at].health.forget_trial();
        }
    }

    /// What the process knows of one endpoint.
    pub(super) fn condition(&self, at: usize) -> &Arc<Condition> {
        self.standings[at].health.condition()
    }

    /// Any number.
    pub(super) fn random(&self) -> u64 {
        self.random.next()
    }
}

/// Two different numbers below `count`, which is at least 2, each pair as likely as the others.
pub(super) fn two_of(count: usize, random: &Random) -> (usize, usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let (one, two) = (random.below(count), random.below(count - 1));
    (one as usize, (two + u32::from(two >= one)) as usize)
}

#[cfg(test)]
mod tests {
    use super::super::health::{FAILURES, FIRST};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bad_news_is_believed_at_once_and_good_news_slowly() {
        let begin = Instant::now();
        let ewma = PeakEwma::new(begin);
        ewma.observe(10 * MS, begin);
        ewma.observe(500 * MS, begin + MS);
        assert!((ewma.load(0, begin + MS) - 0.5).abs() < 1e-9);
        ewma.observe(10 * MS, begin + 2 * MS);
        assert!(ewma.load(0, begin + 2 * MS) > 0.49);
        let later = begin + Duration::from_secs(60);
        ewma.observe(10 * MS, later);
        assert!(ewma.load(0, later) < 0.02, "a minute is a long time");
    }

    #[test]
    fn calls_that_wait_count_as_much_as_time() {
        let now = Instant::now();
        let (slow, fast) = (PeakEwma::new(now), PeakEwma::new(now));
        slow.observe(40 * MS, now);
        fast.observe(10 * MS, now);
        assert!(fast.load(2, now) < slow.load(0, now));
        assert!(fast.load(4, now) > slow.load(0, now));
    }

    #[test]
    fn a_fast_failure_is_not_fast() {
        let begin = Instant::now();
        let (failing, working) = (PeakEwma::new(begin), PeakEwma::new(begin));
        for call in 1..=20 {
            let now = begin + call * 10 * MS;
            failing.punish(Duration::from_secs(5), now);
            working.observe(20 * MS, now);
        }
        let now = begin + 210 * MS;
        assert!(failing.load(0, now) > 4.0 * working.load(0, now));
    }

    fn balancer(endpoints: usize) -> Balancer {
        Balancer::new((0..endpoints).map(|_| Arc::default()).collect(), Duration::from_secs(5))
    }

    /// How often each endpoint is chosen in a thousand calls.
    fn chosen(balancer: &Balancer, avoid: Option<usize>, now: Instant) -> Vec<usize> {
        let mut counts = vec![0; balancer.standings.len()];
        (0..1000).for_each(|_| counts[balancer.choose(|_| 0, avoid, now).at] += 1);
        counts
    }

    fn fail(balancer: &Balancer, at: usize) {
        (0..FAILURES).for_each(|_| balancer.failed(Choice { at, trial: false }, Failure::Possible));
    }

    #[test]
    fn equal_endpoints_get_equal_shares() {
        for count in chosen(&balancer(4), None, Instant::now()) {
            assert!((150..350).contains(&count), "{count} of 1000");
        }
    }

    #[test]
    fn the_busier_and_the_slower_of_two_is_not_chosen() {
        let (balancer, now) = (balancer(2), Instant::now());
        (0..100).for_each(|_| assert_eq!(balancer.choose(|at| [3, 1][at], None, now).at, 1));
        balancer.answered(1, Some(200 * MS));
        balancer.answered(0, Some(20 * MS));
        assert_eq!(chosen(&balancer, None, Instant::now()), [1000, 0]);
    }

    #[test]
    fn what_is_left_out_gets_nothing_but_a_trial() {
        let balancer = balancer(3);
        fail(&balancer, 1);
        let now = Instant::now();
        assert_eq!(chosen(&balancer, None, now)[1], 0);
        let later = now + FIRST;
        assert_eq!(chosen(&balancer, None, later)[1], 1, "one trial, and its end is not known yet");
        balancer.answered(1, Some(MS));
        balancer.answered(0, Some(2 * MS));
        assert!(balancer.standings[1].health.is_well());
        assert!(chosen(&balancer, None, Instant::now())[1] > 0, "old failures are forgiven");
    }

    #[test]
    fn with_more_than_half_left_out_all_are_used() {
        let balancer = balancer(4);
        fail(&balancer, 0);
        fail(&balancer, 1);
        let counts = chosen(&balancer, None, Instant::now());
        assert_eq!((counts[0], counts[1]), (0, 0), "half of them may be left out");
        fail(&balancer, 2);
        fail(&balancer, 3);
        let counts = chosen(&balancer, None, Instant::now());
        assert!(counts[0] + counts[1] > 0, "never all of them: {counts:?}");
    }

    #[test]
    fn a_check_leaves_out_and_takes_back() {
        let balancer = balancer(2);
        balancer.condition(0).set_failing(true);
        assert_eq!(chosen(&balancer, None, Instant::now()), [0, 1000]);
        balancer.condition(0).set_failing(false);
        assert!(chosen(&balancer, None, Instant::now())[0] > 0);
    }

    #[test]
    fn the_one_to_avoid_is_avoided_where_there_is_another() {
        assert_eq!(chosen(&balancer(1), Some(0), Instant::now()), [1000]);
        assert_eq!(chosen(&balancer(2), Some(0), Instant::now()), [0, 1000]);
        assert_eq!(chosen(&balancer(3), Some(2), Instant::now())[2], 0);
        let two = balancer(2);
        fail(&two, 1);
        assert_eq!(chosen(&two, Some(0), Instant::now()), [1000, 0], "rather again than somebody who is left out");
    }

    #[test]
    fn two_are_always_two_and_every_pair_comes() {
        let random = Random::default();
        let mut seen = [[false; 4]; 4];
        for _ in 0..2000 {
            let (one, two) = two_of(4, &random);
            seen[one][two] = true;
        }
        for (one, row) in seen.iter().enumerate() {
            for (two, seen) in row.iter().enumerate() {
                assert_eq!(*seen, one != two, "{one} and {two}");
            }
        }
    }
}
