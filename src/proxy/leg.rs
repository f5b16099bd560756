//! One call to one backend, timed and counted.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::interim::Listener;
use super::pair::Pair;
use super::scoring::{Head, nature};
use super::strict;
use super::tee::LegBody;
use super::upgrade;
use super::view::Target;
use super::{fault, head};
use crate::backend::Backend;
use crate::config::Fault;
use crate::score::{Mapping, Program};
use crate::upstream::{AnswerBody, Ear, Outgoing, Retrying, Upstream, UpstreamError};

/// One backend's part in one request.
pub(super) struct Leg {
    pub(super) pair: Rc<Pair>,
    pub(super) backend: Backend,
    pub(super) upstream: Rc<Upstream<LegBody>>,
    pub(super) method: Method,
    /// The request was conditional.
    pub(super) conditional: bool,
    /// What becomes of JSON content on its way to the backend.
    pub(super) program: Option<Program>,
    /// Where interim answers go; nowhere but from the primary.
    pub(super) listener: Listener,
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
    pub(super) fn new(
        target: &Target,
        pair: &Rc<Pair>,
        backend: Backend,
        method: &Method,
        conditional: bool,
    ) -> Option<Self> {
        let upstream = Rc::clone(target.upstream(backend)?);
        let drill = target.plan.drill.as_ref().filter(|_| backend == Backend::V2);
        let fault = drill.and_then(|drill| drill.strikes(pair.role(backend), Instant::now()));
        let program = target.dependency.backend(backend).and_then(|spec| spec.request.body.clone());
        let (pair, method, listener) = (Rc::clone(pair), method.clone(), Listener::default());
        Some(Self { pair, backend, upstream, method, conditional, program, listener, fault })
    }

    /// The backend's `timeout`.
    pub(super) fn timeout(&self) -> Duration {
        self.upstream.spec().timeout
    }

    /// What makes V1's shape of the backend's answers, where they need it.
    pub(super) fn mapping(&self) -> Option<&Arc<Mapping>> {
        self.pair.route().scorer(self.backend).mapping()
    }

    /// Whether an answer is in V2's shape.
    pub(super) fn maps(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.pair.route().scorer(self.backend).maps(&self.method, status, headers)
    }

    /// Sends the request and waits for the head of the answer. The time it took is counted; a failure is scored. Of the
    /// request nothing but its method is of use afterwards.
    pub(super) async fn call(
        &self,
        outgoing: &mut Outgoing<LegBody>,
        due: Instant,
    ) -> Result<Answering, UpstreamError> {
        let begun = Instant::now();
        let offer = head::all(outgoing.request.headers(), &UPGRADE).next().cloned();
        let called = match fault::before(self.fault, due).await {
            Ok(()) => self.upstream.call(outgoing, due.into(), self).await,
            Err(error) => Err(error),
        };
        let latency = begun.elapsed();
        self.pair.route().tally().duration(self.backend, self.pair.role(self.backend), latency);
        let mut response = fault::after(self.fault, called?);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && !is_asked_for(&response, offer.as_ref()) {
            return Err(UpstreamError::Unasked);
        }
        if !strict::settle_length(response.headers_mut()) {
            return Err(UpstreamError::Ambiguous);
        }
        let head = self.head(response.status(), response.headers(), latency);
        Ok(Answering { response, head })
    }

    /// What scoring has to know of an answer whose head came after `latency`.
    pub(super) fn head(&self, status: StatusCode, headers: &HeaderMap, latency: Duration) -> Head {
        let scorer = self.pair.route().scorer(self.backend);
        let (kind, may_stream) = nature(headers);
        Head {
            method: self.method.clone(),
            conditional: self.conditional,
            status,
            headers: Head::headers(headers, scorer, self.pair.allowed_headers()),
            kind,
            latency,
            may_stream,
            unmapped: self.maps(status, headers),
        }
    }
}

impl Ear for Leg {
    fn retrying(&self, what: Retrying) {
        self.pair.retrying(self.backend, what);
    }

    fn spares(&self, error: &UpstreamError) -> bool {
        self.pair.is_consumers(error)
    }

    fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        self.listener.hear(status, headers);
    }
}

/// Whether an answer that changes the protocol changes it to what somebody offered.
fn is_asked_for(response: &Response<AnswerBody<LegBody>>, offer: Option<&HeaderValue>) -> bool {
    offer.is_some_and(|offer| upgrade::chosen(response.headers(), offer).is_some())
}
