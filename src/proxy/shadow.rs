//! The leg that no consumer waits for: called, collected, scored, dropped.

use std::rc::Rc;
use std::time::Instant;

use http::response;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::capture::Capture;
use super::leg::{Answering, Leg};
use super::pair::Pair;
use super::recast::recast;
use super::reshape;
use super::scoring::Complete;
use super::tee::{CopyFate, LegBody};
use super::trial;
use super::worker::Worker;
use crate::outcome::Cause;
use crate::score::{MappingFault, Score};
use crate::skip::Skip;
use crate::upstream::{AnswerBody, Outgoing, UpstreamError};
use crate::wire::Spelling;

/// A whole answer of a shadow, scored: its head as it came, and its content as far as it was kept.
pub(super) struct Collected {
    pub(super) head: response::Parts,
    /// Of the head.
    pub(super) spelling: Option<Spelling>,
    pub(super) complete: Complete,
}

/// A shadow that is about to be called.
pub(super) struct Shadow {
    pub(super) leg: Leg,
    pub(super) outgoing: Outgoing<LegBody>,
    /// Whether the copy of the body arrived, where there is one.
    pub(super) fate: Option<CopyFate>,
}

impl Shadow {
    /// Calls it in a task of its own, which goes on when the consumer is done. A rescue may want to hear the answer.
    pub(super) fn start(self, worker: &Rc<Worker>, begun: Instant, listener: Option<oneshot::Sender<Collected>>) {
        let presence = Presence::new(worker, &self.leg);
        let due = begun + self.leg.timeout();
        let kept = worker.trials().keep(&self.leg, &self.outgoing, begun);
        let mut running = Running { shadow: self, presence, due, kept, listener, streams: false };
        // In a box: tasks are moved about while they are made and when they end.
        tokio::task::spawn_local(Box::pin(async move { running.run().await }));
    }
}

/// A shadow in its task.
struct Running {
    shadow: Shadow,
    presence: Presence,
    due: Instant,
    /// To be sent once more, only to know.
    kept: Option<Box<Outgoing<LegBody>>>,
    listener: Option<oneshot::Sender<Collected>>,
    /// The answer has begun, and may go on for ever.
    streams: bool,
}

impl Running {
    /// Shadows that wait are many, so what few of them come to is in boxes.
    async fn run(&mut self) {
        let called = self.collect().await;
        let (worker, Shadow { leg, fate, .. }) = (&self.presence.worker, &self.shadow);
        let failed = match called {
            Ok(collected) => {
                let failed = trial::is_curable(collected.head.status).then_some(Cause::Status);
                let listener = self.listener.take();
                if listener.is_some() || collected.complete.head.unmapped {
                    Box::pin(hand_over(worker, collected, listener)).await;
                } else {
                    worker.score_soon(collected.complete);
                }
                failed
            }
            // Its head came in time, and nobody can say that more should have come.
            Err(UpstreamError::Timeout) if self.streams => {
                leg.pair.skip(Skip::NotMirrorable);
                None
            }
            Err(error) => fail(leg, fate.as_ref(), &error),
        };
        if let Some(cause) = failed {
            trial::run(worker, leg, self.kept.take(), cause).await;
        }
    }

    async fn collect(&mut self) -> Result<Collected, UpstreamError> {
        let Shadow { leg, outgoing, .. } = &mut self.shadow;
        recast(&self.presence.worker, leg, &mut outgoing.request, self.due).await?;
        let Answering { response, head } = leg.call(outgoing, self.due).await?;
        self.streams = head.may_stream;
        let (parts, mut body) = response.into_parts();
        let spelling = body.spelling();
        let mut capture = Capture::new(&self.presence.worker, &leg.pair);
        let read = read(&mut body, &mut capture);
        tokio::time::timeout_at(self.due.into(), read).await.unwrap_or(Err(UpstreamError::Timeout))?;
        let complete = Complete { pair: Rc::clone(&leg.pair), backend: leg.backend, head, capture };
        Ok(Collected { head: parts, spelling, complete })
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
async fn hand_over(worker: &Worker, mut collected: Collected, listener: Option<oneshot::Sender<Collected>>) {
    let complete = &mut collected.complete;
    if let Err(error) = reshape::settle(worker, complete).await {
        complete.pair.score(complete.backend, complete.pair.blame(&error));
        return;
    }
    let Some(listener) = listener else {
        worker.score_soon(collected.complete);
        return;
    };
    collected.complete.settle(&worker.shared.lane).await;
    let _ = listener.send(collected);
}

/// Counts a shadow without an answer; the cause, where that is its backend's.
fn fail(leg: &Leg, fate: Option<&CopyFate>, error: &UpstreamError) -> Option<Cause> {
    match fate.and_then(CopyFate::cut) {
        Some(reason) => leg.pair.skip(reason),
        // Its copy waits for the consumer, as the primary does.
        None if fate.is_some() && leg.pair.is_consumers(error) => leg.pair.skip(Skip::Aborted),
        None => match error {
            UpstreamError::Unfit(MappingFault::TooLarge) => leg.pair.skip(Skip::BodyTooLarge),
            UpstreamError::Unfit(_) => leg.pair.skip(Skip::Unmappable),
            error if error.is_ours() => leg.pair.score(leg.backend, Score::Excluded(error.cause())),
            error => {
                leg.pair.score(leg.backend, Score::Fallback(error.cause()));
                return Some(error.cause());
            }
        },
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function makes without making one.
    const fn made<'a, F>(_: &impl Fn(&'a mut Running) -> F) -> usize {
        size_of::<F>()
    }

    /// The room of an allocator's next size is a megabyte for those that may wait at once.
    #[test]
    fn a_shadow_that_waits_is_small() {
        let size = size_of::<Running>() + made(&Running::run);
        assert!(size <= 2560, "{size} bytes");
    }
}
