//! One backend as one worker sees it: its endpoints, their connections, and one call.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use super::body::Lease;
use super::endpoint::{Checkout, Endpoint};
use super::retry::{Again, Failed, Resend, Retries, Retrying};
use super::{AnswerBody, UpstreamError};
use crate::config::{BackendSpec, HostPolicy};
use crate::random::Random;
use crate::retry::Retry;

/// One backend as one worker sees it. Connections are never shared between workers, so nothing here is locked.
pub struct Upstream<B> {
    spec: BackendSpec,
    endpoints: Vec<Rc<Endpoint<B>>>,
    turn: Cell<usize>,
    retries: Option<Retries>,
    random: Random,
}

impl<B> Upstream<B>
where
    B: Resend + Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Connects to nobody yet.
    pub fn new(spec: BackendSpec) -> Self {
        let endpoints =
            spec.endpoints.iter().map(|endpoint| Rc::new(Endpoint::new(endpoint, spec.connect_timeout))).collect();
        let retries = spec.retry.clone().map(Retries::new);
        Self { spec, endpoints, turn: Cell::new(0), retries, random: Random::default() }
    }

    /// The settings it was made from.
    pub const fn spec(&self) -> &BackendSpec {
        &self.spec
    }

    /// Sends a request whose URI is a path and query, and waits for the head of the answer; once more where the
    /// configuration wants that, which `hear` is told of. The answer of a try that failed is dropped unread.
    ///
    /// A connection that had been idle may have been closed by its peer just now: a request that was not sent at all
    /// goes out again on another one, and so does a safe request without a body of which no answer came (RFC 9110,
    /// section 9.2.2; RFC 9112, section 9.3.1), once.
    ///
    /// # Errors
    /// As [`UpstreamError`] tells, of the last try; `Timeout` when `due` passes before the head is complete.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, and the backend sees its request cut off.
    pub async fn call(
        &self,
        request: Request<B>,
        due: Instant,
        hear: impl Fn(Retrying),
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        match self.retries.as_ref().filter(|retries| retries.policy.allows(request.method())) {
            Some(retries) => self.call_again(retries, request, due, hear).await,
            None => self.call_once(request, due).await,
        }
    }

    async fn call_again(
        &self,
        retries: &Retries,
        mut request: Request<B>,
        due: Instant,
        hear: impl Fn(Retrying),
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        retries.deposit();
        let mut tries = 1;
        loop {
            let again = (tries < retries.policy.attempts).then(|| Again::of(&request));
            let answer = self.call_once(request, retries.try_due(due)).await;
            let failed = Failed::of(&answer);
            if tries > 1 {
                hear(Retrying::Ended(if failed.is_some() { Retry::Failure } else { Retry::Success }));
            }
            let (Some(failed), Some(again)) = (failed, again) else { return answer };
            if tries == 1 {
                hear(Retrying::FirstFailed(failed.cause));
            }
            let Some(again) = again.filter(Again::is_whole) else {
                hear(Retrying::Ended(Retry::BodyGone));
                return answer;
            };
            let left = due.saturating_duration_since(Instant::now());
            match retries.pause(tries, &failed, left, self.random.next()) {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(reason) => {
                    hear(Retrying::Ended(reason));
                    return answer;
                }
            }
            drop(answer);
            request = again.request();
            tries += 1;
        }
    }

    async fn call_once(&self, request: Request<B>, due: Instant) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        let endpoint = self.choose();
        let mut lease = Lease::new(Rc::clone(endpoint));
        let request = self.address(request, endpoint);
        let (response, checkout) =
            timeout_at(due, exchange(endpoint, request)).await.map_err(|_| UpstreamError::Timeout)??;
        lease.sender = Some(checkout.sender);
        Ok(response.map(|incoming| AnswerBody::new(incoming, lease, self.spec.idle_timeout)))
    }

    /// Closes the connections that nobody used since `before`.
    pub fn reap(&self, before: std::time::Instant) {
        for endpoint in &self.endpoints {
            endpoint.reap(before);
        }
    }

    /// The less busy of two neighbours, whose place moves with each call.
    fn choose(&self) -> &Rc<Endpoint<B>> {
        let count = self.endpoints.len();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let (one, two) = (&self.endpoints[turn % count], &self.endpoints[turn.wrapping_add(1) % count]);
        if two.in_flight.get() < one.in_flight.get() { two } else { one }
    }

    fn address(&self, mut request: Request<B>, endpoint: &Endpoint<B>) -> Request<B> {
        if self.spec.host == HostPolicy::Endpoint || !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, endpoint.host.clone());
        }
        if !endpoint.base_path().is_empty() {
            let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            // Base path and path are both valid, and so is one behind the other.
            if let Ok(uri) = format!("{}{path}", endpoint.base_path()).parse::<Uri>() {
                *request.uri_mut() = uri;
            }
        }
        request
    }
}

async fn exchange<B>(
    endpoint: &Endpoint<B>,
    request: Request<B>,
) -> Result<(Response<hyper::body::Incoming>, Checkout<B>), UpstreamError>
where
    B: Resend + Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut checkout = endpoint.checkout().await?;
    let again = if checkout.reused { stale_again(&request) } else { None };
    let mut failed = match checkout.sender.try_send_request(request).await {
        Ok(response) => return Ok((response, checkout)),
        Err(failed) => failed,
    };
    let unsent = failed.take_message().filter(|_| checkout.reused);
    let error = failed.error();
    let stale = !(error.is_parse() || error.is_user() || error.is_timeout());
    let Some(request) = unsent.or_else(|| again.filter(|_| stale).map(Again::request)) else {
        return Err(broken(failed.into_error()));
    };
    let mut fresh = endpoint.connect().await?;
    let response = fresh.sender.send_request(request).await.map_err(broken)?;
    Ok((response, fresh))
}

/// What to send on another connection where the peer of an idle one turns out to have closed it meanwhile.
fn stale_again<B: Resend>(request: &Request<B>) -> Option<Again<B>> {
    (request.method().is_safe() && request.body().is_end_stream()).then(|| Again::of(request)).flatten()
}

fn broken(error: hyper::Error) -> UpstreamError {
    if error.is_user() { UpstreamError::Unsent(error) } else { UpstreamError::Broken(error) }
}
