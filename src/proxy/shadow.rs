//! The leg that no consumer waits for: called, collected, scored, dropped.

use std::rc::Rc;
use std::time::Instant;

use http::response;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::capture::Capture;
use super::leg::{Answering, Leg};
use super::pair::Pair;
use super::scoring::Complete;
use super::tee::{CopyFate, LegBody};
use super::worker::Worker;
use crate::score::Score;
use crate::skip::Skip;
use crate::upstream::{AnswerBody, UpstreamError};

/// A whole answer of a shadow, scored: its head as it came, and its content as far as it was kept.
pub(super) struct Collected {
    pub(super) head: response::Parts,
    pub(super) complete: Complete,
}

/// A shadow that is about to be called.
pub(super) struct Shadow {
    pub(super) leg: Leg,
    /// Whether the copy of the body arrived, where there is one.
    pub(super) fate: Option<CopyFate>,
}

impl Shadow {
    /// Calls it in a task of its own, which goes on when the consumer is done. A rescue may want to hear the answer.
    pub(super) fn start(mut self, worker: &Rc<Worker>, begun: Instant, listener: Option<oneshot::Sender<Collected>>) {
        let presence = Presence::new(worker, &self.leg);
        let due = begun + self.leg.timeout();
        // In a box: tasks are moved about while they are made and when they end.
        tokio::task::spawn_local(Box::pin(async move {
            match self.leg.call(due).await {
                Ok(answering) => self.collect(&presence.worker, answering, due, listener).await,
                Err(error) => fail(&self.leg, self.fate.as_ref(), &error),
            }
            drop(presence);
        }));
    }

    /// Reads the answer to its end.
    async fn collect(
        &self,
        worker: &Worker,
        Answering { response, head }: Answering,
        due: Instant,
        listener: Option<oneshot::Sender<Collected>>,
    ) {
        let (parts, mut body) = response.into_parts();
        let mut capture = Capture::new(worker, &self.leg.pair);
        match tokio::time::timeout_at(due.into(), read(&mut body, &mut capture)).await {
            Ok(Ok(())) => {
                let complete = Complete { pair: Rc::clone(&self.leg.pair), backend: self.leg.backend, head, capture };
                hand_over(worker, Collected { head: parts, complete }, listener);
            }
            Ok(Err(error)) => fail(&self.leg, self.fate.as_ref(), &error),
            // Its head came in time, and nobody can say that more should have come.
            Err(_) if head.may_stream => self.leg.pair.skip(Skip::NotMirrorable),
            Err(_) => fail(&self.leg, self.fate.as_ref(), &UpstreamError::Timeout),
        }
    }
}

/// What cannot be kept cannot be scored, so there is nothing to wait for.
async fn read(body: &mut AnswerBody<LegBody>, capture: &mut Capture) -> Result<(), UpstreamError> {
    while let Some(frame) = body.frame().await {
        capture.frame(&frame?);
        if capture.pieces().is_none() {
            break;
        }
    }
    Ok(())
}

/// Scores the answer, at once where somebody may be waiting for it; whether anybody still does makes no difference.
fn hand_over(worker: &Worker, collected: Collected, listener: Option<oneshot::Sender<Collected>>) {
    let Some(listener) = listener else {
        worker.score_soon(collected.complete);
        return;
    };
    let complete = &collected.complete;
    complete.pair.score(complete.backend, complete.score());
    let _ = listener.send(collected);
}

fn fail(leg: &Leg, fate: Option<&CopyFate>, error: &UpstreamError) {
    match fate.and_then(CopyFate::cut) {
        Some(reason) => leg.pair.skip(reason),
        // Its copy waits for the consumer, as the primary does.
        None if fate.is_some() && leg.pair.is_consumers(error) => leg.pair.skip(Skip::Aborted),
        None => leg.pair.score(leg.backend, Score::Fallback(error.cause())),
    }
}

/// A shadow under way; counted out however it ends.
struct Presence {
    worker: Rc<Worker>,
    pair: Rc<Pair>,
}

impl Presence {
    fn new(worker: &Rc<Worker>, leg: &Leg) -> Self {
        leg.pair.route().tally().shadow_in_flight += 1;
        worker.shadow_began();
        Self { worker: Rc::clone(worker), pair: Rc::clone(&leg.pair) }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.pair.route().tally().shadow_in_flight -= 1;
        self.worker.shadow_ended();
    }
}
