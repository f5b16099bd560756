//! Would a second try have helped? Where no retry is configured, a few of V2's failed shadows are sent once more, only to
//! know: no consumer gets the answer, no hit rate and no gate hears of it. `lift` turns the counts into advice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use super::capture::Capture;
use super::leg::Leg;
use super::reshape;
use super::scoring::Complete;
use super::tee::LegBody;
use super::worker::Worker;
use crate::backend::Backend;
use crate::outcome::Cause;
use crate::score::{Score, TRIAL_BACKOFF};
use crate::upstream::Outgoing;

/// From one trial of a worker to the next: V2 gets two requests more per second and worker, at most.
const EACH: Duration = Duration::from_millis(500);
/// Heads are kept for a second try only this long after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// One worker's trials.
#[derive(Default)]
pub(super) struct Trials {
    /// A shadow failed not long ago.
    until: Cell<Option<Instant>>,
    /// When there may be another trial.
    next: Cell<Option<Instant>>,
}

impl Trials {
    /// A request to try again should it fail; `None` for nearly all: copying a head costs time.
    pub(super) fn keep(&self, leg: &Leg, outgoing: &Outgoing<LegBody>, now: Instant) -> Option<Box<Outgoing<LegBody>>> {
        let request = &outgoing.request;
        let is_time =
            self.until.get().is_some_and(|until| now < until) && self.next.get().is_none_or(|next| next <= now);
        let is_bare = request.method().is_safe() && request.body().is_end_stream();
        let wanted = is_time && is_bare && leg.backend == Backend::V2 && leg.upstream.spec().retry.is_none();
        wanted.then(|| {
            let mut kept = Request::new(LegBody::Empty);
            kept.method_mut().clone_from(request.method());
            kept.uri_mut().clone_from(request.uri());
            kept.headers_mut().clone_from(request.headers());
            Box::new(Outgoing { request: kept, spelling: outgoing.spelling.clone() })
        })
    }

    /// A shadow failed in a way that a retry might have cured; whether one is to find out, with `kept`.
    fn failed(&self, kept: bool, now: Instant) -> bool {
        self.until.set(Some(now + AFTER_FAILURE));
        if kept {
            self.next.set(Some(now + EACH));
        }
        kept
    }
}

/// Whether an answer may be another one a moment later: 502, 503, 504, as for retries.
pub(super) fn is_curable(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Tries once more what failed for `cause`, if a request was kept for that.
pub(super) async fn run(worker: &Worker, leg: &Leg, kept: Option<Box<Outgoing<LegBody>>>, cause: Cause) {
    let curable = matches!(cause, Cause::Connect | Cause::Reset | Cause::Timeout | Cause::Status);
    if !curable || !worker.trials().failed(kept.is_some(), Instant::now()) {
        return;
    }
    if let Some(outgoing) = kept {
        Box::pin(again(worker, leg, outgoing, cause)).await;
    }
}

async fn again(worker: &Worker, leg: &Leg, mut outgoing: Box<Outgoing<LegBody>>, cause: Cause) {
    tokio::time::sleep(TRIAL_BACKOFF).await;
    let begun = Instant::now();
    let asked = tokio::time::timeout(leg.timeout(), ask(worker, leg, &mut outgoing, begun)).await;
    let took = matches!(asked, Ok(Some(Score::Rich))).then(|| begun.elapsed());
    leg.pair.route().tally().trials.count(cause, took);
}

/// What the second answer is worth; `None` where there is none.
async fn ask(worker: &Worker, leg: &Leg, outgoing: &mut Outgoing<LegBody>, begun: Instant) -> Option<Score> {
    let due = begun + leg.timeout();
    let (head, mut body) = leg.upstream.call(outgoing, due.into(), &()).await.ok()?.into_parts();
    let head = leg.head(head.status, &head.headers, begun.elapsed());
    let mut capture = Capture::new(worker, &leg.pair);
    while let Some(frame) = body.frame().await {
        capture.frame(&frame.ok()?);
        capture.pieces()?;
    }
    let mut complete = Complete { pair: Rc::clone(&leg.pair), backend: leg.backend, head, capture };
    reshape::settle(worker, &mut complete).await.ok()?;
    Some(complete.judge(&worker.shared.lane).await?.score)
}
