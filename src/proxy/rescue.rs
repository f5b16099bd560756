//! The held head: where V2 is the primary and V1 its shadow, nobody sees V2's answer before it is scored, and where it is a
//! fallback, V1's rich answer takes its place.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use http::{Response, response};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::leg::Answering;
use super::pair::Pair;
use super::reshape;
use super::scoring::Complete;
use super::shadow::Collected;
use super::tee::LegBody;
use super::worker::Worker;
use crate::backend::Backend;
use crate::outcome::{Cause, Outcome};
use crate::upstream::{AnswerBody, UpstreamError};
use crate::wire::Spelling;

/// An answer that was read before it is served.
pub(super) struct Held {
    pub(super) head: response::Parts,
    /// Of the head.
    pub(super) spelling: Option<Spelling>,
    pub(super) content: VecDeque<Frame<Bytes>>,
    /// What is left of an answer that is larger than can be scored; it is served unscored.
    pub(super) rest: Option<(AnswerBody<LegBody>, Complete)>,
}

/// Which answer the consumer gets.
pub(super) enum Choice {
    /// V2's, rich or not.
    V2(Result<Held, UpstreamError>),
    /// V1's, since V2's is a fallback.
    V1(Held, Cause),
}

/// Reads V2's answer, scores it, and chooses. Waits for V1 no longer than V2 was given.
pub(super) async fn choose(
    called: Result<(Answering, Complete), UpstreamError>,
    pair: &Pair,
    v1: oneshot::Receiver<Collected>,
    (worker, due): (&Worker, Instant),
) -> Choice {
    let held = match called {
        Ok((answering, complete)) => hold(answering.response, complete, worker, due).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &held {
        pair.score(Backend::V2, pair.blame(error));
    }
    if matches!(&held, Ok(held) if held.rest.is_some()) || pair.outcome(Backend::V2) == Some(Outcome::Rich) {
        return Choice::V2(held);
    }
    let Ok(Ok(collected)) = tokio::time::timeout_at(due.into(), v1).await else { return Choice::V2(held) };
    let lost = match pair.outcome(Backend::V2) {
        Some(Outcome::Fallback(cause)) => Some(cause),
        // Something could not be mapped: no fault of V2's, but there is no answer that the consumer could have.
        Some(Outcome::Excluded(cause)) if held.as_ref().is_err_and(UpstreamError::is_ours) => Some(cause),
        _ => None,
    };
    match (pair.outcome(Backend::V1), lost, whole(collected)) {
        (Some(Outcome::Rich), Some(cause), Some(rich)) => Choice::V1(rich, cause),
        _ => Choice::V2(held),
    }
}

fn whole(collected: Collected) -> Option<Held> {
    let capture = &collected.complete.capture;
    let trailers = capture.trailers().cloned().map(Frame::trailers);
    let content = capture.pieces()?.iter().cloned().map(Frame::data).chain(trailers).collect();
    Some(Held { head: collected.head, spelling: collected.spelling, content, rest: None })
}

/// Reads an answer to its end and scores it, as far as it can be scored.
async fn hold(
    response: Response<AnswerBody<LegBody>>,
    mut complete: Complete,
    worker: &Worker,
    due: Instant,
) -> Result<Held, UpstreamError> {
    if complete.head.unmapped {
        let (held, complete) = reshape::read(response, complete, worker, Some(due)).await?;
        settle_by(&complete, worker, due).await;
        return Ok(held);
    }
    let (head, mut body) = response.into_parts();
    let spelling = body.spelling();
    let mut content = VecDeque::new();
    // A stream is served as it comes: its end may wait for a consumer that has seen its head.
    if complete.head.may_stream {
        return Ok(Held { head, spelling, content, rest: Some((body, complete)) });
    }
    loop {
        let frame = tokio::time::timeout_at(due.into(), body.frame()).await.map_err(|_| UpstreamError::Timeout)?;
        let Some(frame) = frame else { break };
        let frame = frame?;
        complete.capture.frame(&frame);
        content.push_back(frame);
        if complete.capture.pieces().is_none() {
            return Ok(Held { head, spelling, content, rest: Some((body, complete)) });
        }
    }
    settle_by(&complete, worker, due).await;
    Ok(Held { head, spelling, content, rest: None })
}

/// Scores an answer. Where that takes longer than V2 was given, it stays unscored, and is served.
async fn settle_by(complete: &Complete, worker: &Worker, due: Instant) {
    if tokio::time::timeout_at(due.into(), complete.settle(&worker.shared.lane)).await.is_err() {
        complete.give_up();
    }
}
