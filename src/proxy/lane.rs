//! The lane: where rules run that may take a while. Two threads of their own for the whole process, so that no event loop
//! ever waits for a rule.
//!
//! A job has `rule_timeout` to begin and as long again to end; whoever waits is told at once when either is over. A thread
//! whose job has not ended by then counts as lost and gets a replacement, up to a few; it comes back when its job does end.
//! The rule is *poisoned* then: nobody runs it again for a second, and twice as long each time it happens again.
//!
//! Nothing is unbounded: jobs that wait, threads, and threads that are lost. Threads begin with the first job, so that a
//! process without such rules has none.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::score::JQ_STACK;
use crate::telemetry::{LaneCounts, LaneResult, RuleState};

/// Threads that run jobs: with two, a job that takes long does not hold up everybody. Rules are to take no more of a
/// machine than that.
const THREADS: usize = 2;
/// Lost threads that get a replacement; beyond that the lane works with fewer.
const MOST_LOST: usize = 4;
/// Jobs that wait. Each of them is at most `rule_timeout` old, and what it holds is counted in `shadow_memory`.
const MOST_WAITING: usize = 256;

/// Why a job has no answer: nobody's fault but the rule's, and no evidence about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotRun {
    /// It panicked.
    #[error("it panicked")]
    Panic,
    /// It did not end in time.
    #[error("it did not end in time")]
    Deadline,
    /// It did not begin in time, or too many are waiting already.
    #[error("too many jobs are waiting")]
    Busy,
    /// The rule has been slow lately.
    #[error("the rule is poisoned")]
    Poisoned,
}

impl NotRun {
    const fn result(self) -> LaneResult {
        match self {
            Self::Panic => LaneResult::Panic,
            Self::Deadline => LaneResult::Deadline,
            Self::Busy => LaneResult::Busy,
            Self::Poisoned => LaneResult::Poisoned,
        }
    }
}

/// The lane of a process. Its threads end when it is dropped, each after the job that it is at.
pub(super) struct Lane(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    work: Condvar,
    counts: Arc<LaneCounts>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    /// Threads that are not lost.
    threads: usize,
    lost: usize,
    next: u64,
    closed: bool,
}

struct Job {
    number: u64,
    rule: Option<Arc<RuleState>>,
    longest: Duration,
    /// Dropped unsent when the job is given up before it began.
    begun: oneshot::Sender<()>,
    work: Box<dyn FnOnce() + Send>,
}

struct Running {
    number: u64,
    rule: Option<Arc<RuleState>>,
    due: Instant,
    lost: bool,
}

/// A job that somebody waits for; taken out of the queue when nobody does any more.
struct Ticket<'a> {
    inner: &'a Inner,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let number = self.number;
        let mut state = self.inner.lock();
        let at = state.waiting.iter().position(|job| job.number == number);
        let given_up = at.and_then(|at| state.waiting.remove(at));
        drop(state);
        // What the job holds is dropped outside of the lock.
        drop(given_up);
    }
}

impl Lane {
    /// No threads yet.
    pub(super) fn new(counts: Arc<LaneCounts>) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), work: Condvar::new(), counts }))
    }

    /// The counters that this lane counts into, with the state of each rule.
    pub(super) fn counts(&self) -> &Arc<LaneCounts> {
        &self.0.counts
    }

    /// Runs a job, of a rule that can be poisoned where one is given: at most `longest` until it begins, and as long until it ends.
    ///
    /// # Errors
    /// See [`NotRun`].
    ///
    /// # Cancel safety
    /// A job that has not begun is given up; one that has runs to its end, unheard.
    pub(super) async fn run<'r, T: Send + 'static>(
        &self,
        rule: impl Into<Option<&'r Arc<RuleState>>>,
        longest: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let ended = self.wait(rule.into(), longest, job).await;
        self.0.counts.count(ended.as_ref().map_or_else(|not_run| not_run.result(), |_| LaneResult::Done));
        ended
    }

    async fn wait<T: Send + 'static>(
        &self,
        rule: Option<&Arc<RuleState>>,
        longest: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let (begun, begins) = oneshot::channel();
        let (done, ends) = oneshot::channel();
        let work = Box::new(move || {
            // What the job leaves behind is the answer alone, and that is not sent when it panics.
            let answer = catch_unwind(AssertUnwindSafe(job)).map_err(drop);
            // Nobody waits any more when this fails.
            let _ = done.send(answer);
        });
        let number = self.push(rule, longest, begun, work)?;
        let _ticket = Ticket { inner: &self.0, number };
        timeout(longest, begins).await.map_err(|_| NotRun::Busy)?.map_err(|_| NotRun::Busy)?;
        let Ok(answer) = timeout(longest, ends).await else {
            self.0.find_lost(Instant::now());
            return Err(NotRun::Deadline);
        };
        answer.map_err(|_| NotRun::Panic)?.map_err(|()| NotRun::Panic)
    }

    fn push(
        &self,
        rule: Option<&Arc<RuleState>>,
        longest: Duration,
        begun: oneshot::Sender<()>,
        work: Box<dyn FnOnce() + Send>,
    ) -> Result<u64, NotRun> {
        let now = Instant::now();
        if rule.is_some_and(|rule| rule.is_poisoned(now)) {
            return Err(NotRun::Poisoned);
        }
        self.0.find_lost(now);
        let mut state = self.0.lock();
        if state.waiting.len() >= MOST_WAITING {
            return Err(NotRun::Busy);
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(Job { number, rule: rule.map(Arc::clone), longest, begun, work });
        let all_busy =
            state.running.iter().filter(|running| !running.lost).count() + state.waiting.len() > state.threads;
        if all_busy && state.threads < THREADS {
            self.0.spawn(&mut state);
        }
        drop(state);
        self.0.work.notify_one();
        Ok(number)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
        self.0.work.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No job runs under the lock, and each change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, state: &mut State) {
        let inner = Arc::clone(self);
        let thread = std::thread::Builder::new().name("rules".to_owned()).stack_size(JQ_STACK);
        match thread.spawn(move || inner.serve()) {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::error!(%error, threads = state.threads, "no further thread for rules"),
        }
    }

    /// What a thread does all its life.
    fn serve(&self) {
        while let Some(job) = self.next() {
            let number = job.number;
            // Whoever waited may have left.
            let _ = job.begun.send(());
            (job.work)();
            if !self.ended(number) {
                break;
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                let due = Instant::now() + job.longest;
                state.running.push(Running { number: job.number, rule: job.rule.clone(), due, lost: false });
                return Some(job);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job has ended. Whether its thread goes on: not one that was lost and replaced.
    fn ended(&self, number: u64) -> bool {
        let mut state = self.lock();
        let at = state.running.iter().position(|running| running.number == number);
        let running = state.running.swap_remove(at.expect("a thread enters its job before it runs it"));
        if !running.lost {
            drop(state);
            if let Some(rule) = running.rule.filter(|_| Instant::now() < running.due) {
                rule.ended();
            }
            return true;
        }
        state.lost -= 1;
        let has_place = state.threads < THREADS;
        state.threads += usize::from(has_place);
        has_place
    }

    /// Marks the threads whose jobs should have ended, and poisons their rules.
    fn find_lost(self: &Arc<Self>, now: Instant) {
        let mut state = self.lock();
        let State { running, threads, lost, .. } = &mut *state;
        for late in running.iter_mut().filter(|running| !running.lost && running.due <= now) {
            let struck = late.rule.as_ref().and_then(|rule| Some((rule.id(), rule.strike(now)?)));
            if let Some((id, rest)) = struck {
                tracing::warn!(
                    dependency = id.dependency, route = id.route, backend = id.backend, rest = ?rest,
                    "a rule did not end within rule_timeout, and is left alone for a while"
                );
            }
            if *lost < MOST_LOST {
                late.lost = true;
                *lost += 1;
                *threads -= 1;
            }
        }
        let missing = state.waiting.len().min(THREADS.saturating_sub(state.threads));
        for _ in 0..missing {
            self.spawn(&mut state);
        }
    }
}

#[cfg(test)]
mod tests;
