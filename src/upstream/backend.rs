//! One backend as one worker sees it: its endpoints, their connections, and one call.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use tokio::time::timeout_at;

use super::body::Lease;
use super::endpoint::{Checkout, Endpoint};
use super::{AnswerBody, UpstreamError};
use crate::config::{BackendSpec, HostPolicy};

/// One backend as one worker sees it. Connections are never shared between workers, so nothing here is locked.
pub struct Upstream<B> {
    spec: BackendSpec,
    endpoints: Vec<Rc<Endpoint<B>>>,
    turn: Cell<usize>,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + Default + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Connects to nobody yet.
    pub fn new(spec: BackendSpec) -> Self {
        let endpoints =
            spec.endpoints.iter().map(|endpoint| Rc::new(Endpoint::new(endpoint, spec.connect_timeout))).collect();
        Self { spec, endpoints, turn: Cell::new(0) }
    }

    /// The settings it was made from.
    pub const fn spec(&self) -> &BackendSpec {
        &self.spec
    }

    /// Sends a request whose URI is a path and query, and waits for the head of the answer.
    ///
    /// A connection that had been idle may have been closed by its peer just now: a request that was not sent at all
    /// goes out again on another one, and so does a safe request without a body of which no answer came (RFC 9110,
    /// section 9.2.2; RFC 9112, section 9.3.1), once.
    ///
    /// # Errors
    /// As [`UpstreamError`] tells; `Timeout` when `due` passes before the head is complete.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, and the backend sees its request cut off.
    pub async fn call(
        &self,
        request: Request<B>,
        due: tokio::time::Instant,
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        let endpoint = self.choose();
        let mut lease = Lease::new(Rc::clone(endpoint));
        let request = self.address(request, endpoint);
        let (response, checkout) =
            timeout_at(due, exchange(endpoint, request)).await.map_err(|_| UpstreamError::Timeout)??;
        lease.sender = Some(checkout.sender);
        Ok(response.map(|incoming| AnswerBody::new(incoming, lease, self.spec.idle_timeout)))
    }

    /// Closes the connections that nobody used since `before`.
    pub fn reap(&self, before: Instant) {
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

/// What a request without a body can be made from once more.
struct Again {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: http::Extensions,
}

impl Again {
    /// `None` when sending twice could do something twice, or the body is gone with the first try.
    fn of<B: Body>(request: &Request<B>) -> Option<Self> {
        (request.method().is_safe() && request.body().is_end_stream()).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
        })
    }

    fn request<B: Default>(self) -> Request<B> {
        let mut request = Request::new(B::default());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        *request.extensions_mut() = self.extensions;
        request
    }
}

async fn exchange<B>(
    endpoint: &Endpoint<B>,
    request: Request<B>,
) -> Result<(Response<hyper::body::Incoming>, Checkout<B>), UpstreamError>
where
    B: Body<Data = Bytes> + Default + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut checkout = endpoint.checkout().await?;
    let again = if checkout.reused { Again::of(&request) } else { None };
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

fn broken(error: hyper::Error) -> UpstreamError {
    if error.is_user() { UpstreamError::Unsent(error) } else { UpstreamError::Broken(error) }
}
