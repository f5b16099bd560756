//! One call to one backend, timed and counted.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Response, StatusCode};

use super::draft::Draft;
use super::fault;
use super::pair::Pair;
use super::scoring::{Head, may_stream};
use super::strict;
use super::tee::LegBody;
use super::upgrade;
use super::view::Target;
use crate::backend::Backend;
use crate::config::Fault;
use crate::score::is_grpc;
use crate::upstream::{AnswerBody, Upstream, UpstreamError};

/// One backend's part in one request.
pub(super) struct Leg {
    pub(super) pair: Rc<Pair>,
    pub(super) backend: Backend,
    pub(super) upstream: Rc<Upstream<LegBody>>,
    draft: Draft,
    body: LegBody,
    /// The request was conditional.
    conditional: bool,
    /// Of a drill.
    fault: Option<Fault>,
}

/// The head of an answer, its content still to come.
pub(super) struct Answering {
    pub(super) response: Response<AnswerBody<LegBody>>,
    pub(super) head: Head,
}

impl Leg {
    /// `None` only for a V1 that was removed.
    pub(super) fn new(target: &Target, pair: &Rc<Pair>, draft: Draft, body: LegBody) -> Option<Self> {
        let conditional = draft.is_conditional();
        let backend = draft.backend;
        let upstream = Rc::clone(target.upstream(backend)?);
        let drill = target.plan.drill.as_ref().filter(|_| backend == Backend::V2);
        let fault = drill.and_then(|drill| drill.strikes(pair.role(backend), Instant::now()));
        Some(Self { pair: Rc::clone(pair), backend, upstream, draft, body, conditional, fault })
    }

    /// The backend's `timeout`.
    pub(super) fn timeout(&self) -> Duration {
        self.upstream.spec().timeout
    }

    /// What the backend was offered to switch to, if anything.
    pub(super) const fn offer(&self) -> Option<&HeaderValue> {
        self.draft.offer()
    }

    /// Sends the request and waits for the head of the answer. The time it took is counted; a failure is scored.
    pub(super) async fn call(&mut self, due: Instant) -> Result<Answering, UpstreamError> {
        let begun = Instant::now();
        let retrying = |what| self.pair.retrying(self.backend, what);
        let body = std::mem::take(&mut self.body);
        let called = match fault::before(self.fault, due).await {
            Ok(()) => self.upstream.call(&mut self.draft, body, due.into(), retrying).await,
            Err(error) => Err(error),
        };
        let called = called.map(|answer| fault::after(self.fault, answer));
        let called = called.and_then(|response| asked_for(response, self.offer())).and_then(one_length);
        let latency = begun.elapsed();
        self.pair.route().tally().duration(self.backend, self.pair.role(self.backend), latency);
        called.map(|response| {
            let is_grpc = is_grpc(response.headers());
            let head = Head {
                method: self.draft.method.clone(),
                conditional: self.conditional,
                status: response.status(),
                headers: Head::headers(response.headers(), is_grpc),
                latency,
                may_stream: may_stream(response.headers(), is_grpc),
            };
            Answering { response, head }
        })
    }
}

/// Refuses an answer that does not say its length in one way.
fn one_length(mut response: Response<AnswerBody<LegBody>>) -> Result<Response<AnswerBody<LegBody>>, UpstreamError> {
    if strict::settle_length(response.headers_mut()) { Ok(response) } else { Err(UpstreamError::Ambiguous) }
}

/// Refuses an answer that changes the protocol when nobody asked for that, or to something else.
fn asked_for(
    response: Response<AnswerBody<LegBody>>,
    offer: Option<&HeaderValue>,
) -> Result<Response<AnswerBody<LegBody>>, UpstreamError> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let is_asked_for = || offer.is_some_and(|offer| upgrade::chosen(response.headers(), offer).is_some());
    if switches && !is_asked_for() { Err(UpstreamError::Unasked) } else { Ok(response) }
}
