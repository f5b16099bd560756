//! The two legs of one request, from call to outcome.
//!
//! A leg's outcome is counted as soon as it is known. A client error is known only when the other leg is: both may agree
//! that the request was wrong. The gate hears of every call to V2 at its start, so that answers that are late are
//! pending and not absent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use http::HeaderName;

use super::sampling::{self, Sampling};
use super::view::{RouteView, View};
use crate::backend::{Backend, Role};
use crate::config::Limits;
use crate::outcome::{Cause, Outcome};
use crate::score::{Beside, Failed, Finding, Flaws, Score, settle};
use crate::skip::Skip;
use crate::upstream::{Retrying, UpstreamError};

/// The legs of one request.
pub(super) struct Pair {
    /// The revision of this request, from its start to the end of its last leg.
    view: Rc<View>,
    route: Rc<RouteView>,
    primary: Backend,
    /// The tick in which the request began.
    started: u64,
    /// An `exclude` rule matched the request: whatever comes back is in no hit rate.
    excluded: bool,
    legs: RefCell<[Leg; 2]>,
    /// What is wrong with each answer that was scored.
    flaws: Cell<[Flaws; 2]>,
    /// V2's fallback is counted with its flaws, or there is none.
    is_told: Cell<bool>,
    /// Whose answer the consumer gets; `None` while that is not decided.
    served: Cell<Option<Backend>>,
    /// The answer is there, and waits for a consumer that reads slowly.
    consumer_is_slow: Cell<bool>,
    /// Whoever reads the request waits for the consumer to send more of it.
    owes_content: Cell<bool>,
    /// V2's answer has begun well, and may go on for ever.
    streams: Cell<bool>,
    /// The gate no longer waits for V2's outcome, or never did.
    withdrawn: Cell<bool>,
    /// Sent by hand: in no hit rate, and nothing that the gate hears of.
    probe: bool,
    /// Why the first try failed, where there may have been others.
    first_failed: Cell<[Option<Cause>; 2]>,
    /// What is worth a second look.
    sampling: Sampling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    NotCalled,
    Pending,
    Scored(Score),
    Counted(Outcome),
}

impl Pair {
    /// Both legs, or the primary alone. Whose answer is served is still to be [decided](Self::serve).
    pub(super) fn new(
        view: Rc<View>,
        route: Rc<RouteView>,
        primary: Backend,
        with_shadow: bool,
        started: u64,
        excluded: bool,
    ) -> Rc<Self> {
        let pair = Self::begun(view, route, primary, started, (excluded, false));
        if with_shadow {
            pair.legs.borrow_mut()[primary.other() as usize] = Leg::Pending;
        }
        if pair.legs.borrow()[Backend::V2 as usize] == Leg::Pending {
            pair.route.tally().cohort(started).started += 1;
        }
        Rc::new(pair)
    }

    /// A request that somebody sends to one backend by hand.
    pub(super) fn probe(
        view: Rc<View>,
        route: Rc<RouteView>,
        backend: Backend,
        started: u64,
        excluded: bool,
    ) -> Rc<Self> {
        Rc::new(Self::begun(view, route, backend, started, (excluded, true)))
    }

    /// The primary is called, and nobody else.
    fn begun(
        view: Rc<View>,
        route: Rc<RouteView>,
        primary: Backend,
        started: u64,
        (excluded, probe): (bool, bool),
    ) -> Self {
        let mut legs = [Leg::NotCalled; 2];
        legs[primary as usize] = Leg::Pending;
        Self {
            view,
            route,
            primary,
            started,
            excluded,
            legs: RefCell::new(legs),
            flaws: Cell::default(),
            is_told: Cell::new(false),
            served: Cell::new(None),
            consumer_is_slow: Cell::new(false),
            owes_content: Cell::new(false),
            streams: Cell::new(false),
            withdrawn: Cell::new(probe),
            probe,
            first_failed: Cell::new([None; 2]),
            sampling: Sampling::default(),
        }
    }

    /// What is worth a second look.
    pub(super) const fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The revision of this request.
    pub(super) const fn view(&self) -> &Rc<View> {
        &self.view
    }

    /// Headers whose values samples may show.
    pub(super) fn allowed_headers(&self) -> &[HeaderName] {
        &self.view.live.deployment.study.allow_headers
    }

    /// The limits of this request's revision.
    pub(super) fn limits(&self) -> &Limits {
        &self.view.live.deployment.limits
    }

    /// The route whose rules both answers are held against.
    pub(super) const fn route(&self) -> &Rc<RouteView> {
        &self.route
    }

    /// Whose answer the consumer gets.
    pub(super) const fn primary(&self) -> Backend {
        self.primary
    }

    /// The role of a backend in this request.
    pub(super) fn role(&self, backend: Backend) -> Role {
        if self.probe {
            Role::Probe
        } else if backend == self.primary {
            Role::Primary
        } else {
            Role::Shadow
        }
    }

    /// A backend is asked once more, or would have been.
    pub(super) fn retrying(&self, backend: Backend, what: Retrying) {
        match what {
            Retrying::FirstFailed(cause) => {
                let mut first = self.first_failed.get();
                first[backend as usize] = Some(cause);
                self.first_failed.set(first);
            }
            Retrying::Ended(result) => self.route.tally().retry(backend, result),
        }
    }

    /// Whether it is decided whose answer the consumer gets.
    pub(super) const fn is_served(&self) -> bool {
        self.served.get().is_some()
    }

    /// The consumer gets this backend's answer, or the failure to get one.
    pub(super) fn serve(&self, backend: Backend) {
        self.served.set(Some(backend));
        if let Some(outcome) = self.outcome(backend).filter(|_| !self.probe) {
            self.route.tally().served(outcome);
        }
    }

    /// Whether the consumer keeps everybody waiting for more of its request.
    pub(super) fn consumer_owes_content(&self, owes: bool) {
        self.owes_content.set(owes);
    }

    /// Whether a failure is the consumer's: it sent no content, or not in time.
    pub(super) fn is_consumers(&self, error: &UpstreamError) -> bool {
        match error {
            UpstreamError::Unsent(_) => true,
            UpstreamError::Timeout => self.owes_content.get(),
            _ => false,
        }
    }

    /// What a failure is worth.
    pub(super) fn blame(&self, error: &UpstreamError) -> Score {
        match error {
            error if self.is_consumers(error) => Score::Excluded(Cause::Aborted),
            error if error.is_ours() => Score::Excluded(error.cause()),
            error => Score::Fallback(error.cause()),
        }
    }

    /// Whether the primary's answer is held up by its consumer, and not by the backend.
    pub(super) fn consumer_is_slow(&self, slow: bool) {
        self.consumer_is_slow.set(slow);
    }

    /// V2's answer, the primary's, has begun well and may go on for ever.
    pub(super) fn streams(&self) {
        self.streams.set(true);
    }

    /// V2's deadline has passed. Where its answer waits for the consumer, or may be a stream, that is no evidence against
    /// V2: the gate is told to wait no longer, instead of counting a fallback.
    pub(super) fn deadline(&self) {
        let pending = self.legs.borrow()[Backend::V2 as usize] == Leg::Pending;
        if pending && (self.consumer_is_slow.get() || self.streams.get()) && !self.withdrawn.replace(true) {
            self.route.tally().cohort(self.started).withdrawn += 1;
        }
    }

    /// One answer is scored. Counts what is known now: this leg, the other one if it waited for this, and the pair.
    pub(super) fn score(&self, backend: Backend, finding: impl Into<Finding>) {
        if self.legs.borrow()[backend as usize] != Leg::Pending {
            return;
        }
        let finding = if self.excluded { Score::Excluded(Cause::Rule).into() } else { finding.into() };
        self.legs.borrow_mut()[backend as usize] = Leg::Scored(finding.score);
        let mut flaws = self.flaws.get();
        flaws[backend as usize] = finding.flaws;
        self.flaws.set(flaws);
        self.count_what_is_known();
    }

    /// An answer is not scored, for no fault of its own: it enters no hit rate, and V2's counts as not covered, so that
    /// nothing is promoted on what is left.
    pub(super) fn unscored(&self, backend: Backend, score: Score) {
        if self.legs.borrow()[backend as usize] != Leg::Pending {
            return;
        }
        if backend == Backend::V2 && !self.withdrawn.get() {
            self.route.tally().cohort(self.started).shed += 1;
        }
        self.score(backend, score);
    }

    /// The shadow that the stage wants was never begun.
    pub(super) fn skipped_at_once(&self, reason: Skip) {
        let mut tally = self.route.tally();
        tally.skip(reason);
        tally.cohort(self.started).shed += u32::from(reason.is_shed());
    }

    /// The shadow will not be scored, by no fault of its backend.
    pub(super) fn skip(&self, reason: Skip) {
        let shadow = self.primary.other();
        if self.legs.borrow()[shadow as usize] != Leg::Pending {
            return;
        }
        self.legs.borrow_mut()[shadow as usize] = Leg::NotCalled;
        let mut tally = self.route.tally();
        tally.skip(reason);
        let cohort = tally.cohort(self.started);
        cohort.withdrawn += u32::from(shadow == Backend::V2);
        cohort.shed += u32::from(reason.is_shed());
        drop(tally);
        self.count_what_is_known();
    }

    /// The outcome of one leg, once it is known.
    pub(super) fn outcome(&self, backend: Backend) -> Option<Outcome> {
        match self.legs.borrow()[backend as usize] {
            Leg::Counted(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn count_what_is_known(&self) {
        let before = *self.legs.borrow();
        let scores = before.map(Leg::score);
        let (v1, v2) = settle(scores[0], scores[1]);
        for (backend, outcome) in Backend::ALL.into_iter().zip([v1, v2]) {
            let Leg::Scored(score) = before[backend as usize] else { continue };
            let waits = matches!(score, Score::ClientError(_)) && before[backend.other() as usize] == Leg::Pending;
            if let Some(outcome) = outcome.filter(|_| !waits) {
                self.count(backend, outcome);
            }
        }
        let after = *self.legs.borrow();
        if let ([Leg::Counted(v1), Leg::Counted(v2)], true) = (after, before != after) {
            self.count_pair(v1, v2);
        }
        self.tell_failure(after);
    }

    /// Counts V2's fallback with all that is wrong with it, once it is known how V1 fared.
    fn tell_failure(&self, [v1, v2]: [Leg; 2]) {
        let v1 = match v1 {
            Leg::Pending | Leg::Scored(_) => return,
            Leg::NotCalled | Leg::Counted(Outcome::Excluded(_)) => Beside::Nothing,
            Leg::Counted(Outcome::Rich) => Beside::Rich,
            Leg::Counted(Outcome::Fallback(cause)) => Beside::Fallback(self.flaws(Backend::V1, cause)),
        };
        let Leg::Counted(Outcome::Fallback(cause)) = v2 else { return };
        if !self.probe && !self.is_told.replace(true) {
            let flaws = self.flaws(Backend::V2, cause);
            self.route.tally().failures.count(Failed { flaws, v1 }, 1);
        }
    }

    /// What is wrong with a fallback: what was found, or that the other backend proves it wrong.
    pub(super) fn flaws(&self, backend: Backend, cause: Cause) -> Flaws {
        let found = self.flaws.get()[backend as usize];
        if found.is_empty() { Flaws::only(cause as usize) } else { found }
    }

    fn count(&self, backend: Backend, outcome: Outcome) {
        self.legs.borrow_mut()[backend as usize] = Leg::Counted(outcome);
        let mut tally = self.route.tally();
        tally.outcome(backend, self.role(backend), outcome);
        if self.probe {
            return;
        }
        tally.first_try(backend, self.first_try(backend, outcome));
        if self.served.get() == Some(backend) {
            tally.served(outcome);
        }
        if self.withdrawn.get() {
            return;
        }
        let cohort = tally.cohort(self.started);
        match (backend, outcome.scored()) {
            (Backend::V1, Some(true)) => cohort.v1_rich += 1,
            (Backend::V1, Some(false)) => cohort.v1_fallback += 1,
            (Backend::V1, None) => {}
            (Backend::V2, Some(true)) => cohort.rich += 1,
            (Backend::V2, Some(false)) => cohort.fallback += 1,
            (Backend::V2, None) => cohort.withdrawn += 1,
        }
    }

    /// What the outcome would have been without retries.
    fn first_try(&self, backend: Backend, outcome: Outcome) -> Outcome {
        match (outcome, self.first_failed.get()[backend as usize]) {
            (Outcome::Rich | Outcome::Fallback(_), Some(cause)) => Outcome::Fallback(cause),
            (outcome, _) => outcome,
        }
    }

    fn count_pair(&self, v1: Outcome, v2: Outcome) {
        let (Some(v1), Some(v2)) = (v1.scored(), v2.scored()) else { return };
        let mut tally = self.route.tally();
        tally.pair(v1, v2);
        if self.withdrawn.get() {
            return;
        }
        let cohort = tally.cohort(self.started);
        match (v1, v2) {
            (false, true) => cohort.v2_better += 1,
            (true, false) => cohort.v2_worse += 1,
            _ => cohort.concordant += 1,
        }
    }
}

/// Both legs are done, and whoever waited for them as well.
impl Drop for Pair {
    fn drop(&mut self) {
        if !self.probe {
            sampling::hand_over(self);
        }
    }
}

impl Leg {
    /// The score as far as [`settle`] is concerned; an outcome counts as the score it came from.
    const fn score(self) -> Option<Score> {
        match self {
            Self::NotCalled | Self::Pending => None,
            Self::Scored(score) => Some(score),
            Self::Counted(Outcome::Rich) => Some(Score::Rich),
            Self::Counted(Outcome::Fallback(cause)) => Some(Score::Fallback(cause)),
            Self::Counted(Outcome::Excluded(cause)) => Some(Score::Excluded(cause)),
        }
    }
}
