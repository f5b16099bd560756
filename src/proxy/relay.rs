//! The answer on its way to the consumer: passed on piece by piece, with a copy for scoring behind it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::account::Account;
use super::scoring::Complete;
use super::tee::LegBody;
use super::worker::{Admission, Worker};
use crate::outcome::Cause;
use crate::score::Score;
use crate::upstream::{AnswerBody, UpstreamError};

/// The content of what a consumer gets.
pub(super) enum ServedBody {
    /// crossfade's own words.
    Own(Full<Bytes>),
    /// A backend's answer.
    Relay(Box<Relay>),
}

/// A backend's answer under way.
pub(super) struct Relay {
    /// What was read before the consumer may see it.
    held: VecDeque<Frame<Bytes>>,
    /// What is still to come.
    rest: Option<AnswerBody<LegBody>>,
    size_hint: SizeHint,
    /// Until the content is complete and on its way to scoring; absent where it was scored before it was served.
    unscored: Option<Complete>,
    open: Option<(Account, Admission)>,
    status: StatusCode,
    worker: Rc<Worker>,
}

impl Relay {
    /// Passes on an answer as it comes, and scores it when it is complete.
    pub(super) fn streaming(
        rest: AnswerBody<LegBody>,
        unscored: Complete,
        open: (Account, Admission),
        worker: Rc<Worker>,
    ) -> Self {
        let (size_hint, status) = (rest.size_hint(), unscored.head.status);
        let mut relay = Self {
            held: VecDeque::new(),
            rest: Some(rest),
            size_hint,
            unscored: Some(unscored),
            open: Some(open),
            status,
            worker,
        };
        relay.finish_at_the_end();
        relay
    }

    /// Passes on what was held until it was scored, and whatever is still to come.
    pub(super) fn held(
        held: VecDeque<Frame<Bytes>>,
        rest: Option<(AnswerBody<LegBody>, Complete)>,
        status: StatusCode,
        open: (Account, Admission),
        worker: Rc<Worker>,
    ) -> Self {
        let (rest, unscored) = rest.unzip();
        let known: u64 = held.iter().filter_map(Frame::data_ref).map(|piece| piece.len() as u64).sum();
        let size_hint =
            rest.as_ref().map_or_else(|| SizeHint::with_exact(known), |rest| plus(known, &rest.size_hint()));
        let mut relay = Self { held, rest, size_hint, unscored, open: Some(open), status, worker };
        relay.finish_at_the_end();
        relay
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        if let Some(frame) = self.held.pop_front() {
            self.finish_at_the_end();
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(rest).poll_frame(cx);
        self.tell_who_waits(polled.is_pending());
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.copy(frame);
                if frame.is_trailers() {
                    // Nothing comes after them, and not everybody asks.
                    self.rest = None;
                }
            }
            Poll::Ready(Some(Err(error))) => self.fail(error),
            Poll::Ready(None) => self.rest = None,
            Poll::Pending => {}
        }
        self.finish_at_the_end();
        polled
    }

    /// When the backend made us wait last, it is the backend that is slow; otherwise whoever does not ask for more.
    fn tell_who_waits(&self, for_backend: bool) {
        if let Some(unscored) = &self.unscored {
            unscored.pair.consumer_is_slow(!for_backend);
        }
    }

    fn copy(&mut self, frame: &Frame<Bytes>) {
        if let Some(unscored) = &mut self.unscored {
            unscored.capture.frame(frame);
        }
    }

    fn fail(&mut self, error: &UpstreamError) {
        if let Some(unscored) = self.unscored.take() {
            tracing::debug!(backend = %unscored.backend, %error, "an answer broke off");
            unscored.pair.score(unscored.backend, unscored.pair.blame(error));
        }
        self.open = None;
    }

    fn is_end(&self) -> bool {
        self.held.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn finish_at_the_end(&mut self) {
        if !self.is_end() {
            return;
        }
        if let Some(complete) = self.unscored.take() {
            self.worker.score_soon(complete);
        }
        if let Some((account, _admission)) = self.open.take() {
            account.close(self.status);
        }
    }
}

/// The consumer left before the answer was complete, or it is complete and nothing is left to do.
impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(unscored) = self.unscored.take() {
            unscored.pair.score(unscored.backend, Score::Excluded(Cause::Aborted));
        }
    }
}

fn plus(known: u64, rest: &SizeHint) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(known + rest.lower());
    if let Some(upper) = rest.upper() {
        sum.set_upper(known + upper);
    }
    sum
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self.get_mut() {
            Self::Own(own) => Pin::new(own).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Relay(relay) => relay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(own) => own.is_end_stream(),
            Self::Relay(relay) => relay.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(own) => own.size_hint(),
            Self::Relay(relay) => relay.size_hint,
        }
    }
}
