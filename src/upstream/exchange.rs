//! One request to one endpoint, on whatever connection there is.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body::Body;

use super::body::{Lease, Source};
use super::endpoint::{Checkout, Endpoint, Sender};
use super::error::{BoxError, Breakage};
use super::http1::{Call, Connection, Line, Sending};
use super::http2::Stream;
use super::outgoing::{Ear, Outgoing};
use super::retry::Resend;
use super::{AnswerBody, UpstreamError};
use crate::config::HostPolicy;
use crate::wire::Spelling;

/// The head of an answer, where its content comes from, and how the head was spelled.
pub(super) struct Answered<B> {
    pub(super) head: Response<Source<B>>,
    spelling: Option<Spelling>,
}

impl<B> Answered<B>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// The answer as it is passed on.
    pub(super) fn lent(self, lease: Lease<B>, idle_timeout: Duration) -> Response<AnswerBody<B>> {
        let (status, spelling) = (self.head.status(), self.spelling);
        self.head.map(|source| AnswerBody::new(status, source, spelling, lease, idle_timeout))
    }
}

/// How a request is sent.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) host: HostPolicy,
    /// Its head may be wanted for another try.
    pub(super) keeps_head: bool,
}

impl How {
    /// Whether the endpoint's own host is said.
    fn says_host<B>(self, request: &Request<B>) -> bool {
        self.host == HostPolicy::Endpoint || !request.headers().contains_key(HOST)
    }
}

/// A failure, and what of the request can go out again.
struct Missed<B> {
    error: UpstreamError,
    again: Again<B>,
}

enum Again<B> {
    No,
    /// As it was begun.
    Begun(Sending<B>),
    /// From its head on.
    Whole,
}

/// Sends a request, and waits for the head of its answer. Where a connection that had been idle was closed by its peer, and
/// the request may be sent again, it is sent on a new one. `is_whole` becomes whether all of the request is still there.
pub(super) async fn exchange<B>(
    endpoint: &Endpoint<B>,
    outgoing: &mut Outgoing<B>,
    how: How,
    (ear, is_whole): (&impl Ear, &Cell<bool>),
) -> Result<Answered<B>, UpstreamError>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let checkout = endpoint.checkout().await?;
    exchange_on(checkout, endpoint, outgoing, how, (ear, is_whole)).await
}

/// The same, on this connection at first.
pub(super) async fn exchange_on<B>(
    mut checkout: Checkout<B>,
    endpoint: &Endpoint<B>,
    outgoing: &mut Outgoing<B>,
    how: How,
    (ear, is_whole): (&impl Ear, &Cell<bool>),
) -> Result<Answered<B>, UpstreamError>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut begun = None;
    is_whole.set(false);
    loop {
        let Checkout { sender, reused } = checkout;
        let called = match (sender, begun) {
            (Sender::Http1(connection), begun) => {
                let sending = begun.unwrap_or_else(|| begin(endpoint, outgoing, how));
                over_http1(connection, sending, outgoing.request.method(), ear).await
            }
            // In a box, so that HTTP/1.1 does not carry its state.
            (Sender::Http2(stream), None) => Box::pin(over_http2(stream, endpoint, outgoing, how, reused)).await,
            (Sender::Http2(_), Some(_)) => return Err(Breakage::Cut.into()),
        };
        begun = match called {
            Ok(answered) => return Ok(answered),
            Err(Missed { error, again }) => match again {
                Again::Begun(sending) if reused && is_stale(&error) => Some(sending),
                Again::Whole => None,
                Again::No | Again::Begun(_) => return Err(error),
            },
        };
        checkout = match endpoint.connect().await {
            Ok(fresh) => fresh,
            Err(error) => {
                // What content there was went into what was begun, for this endpoint.
                is_whole.set(how.keeps_head && begun.as_ref().is_none_or(Sending::is_repeatable));
                return Err(error);
            }
        };
    }
}

/// Whether the peer may just have closed a connection that had been idle.
fn is_stale(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Broken(breakage) if !breakage.is_parse())
}

/// Writes down a request in HTTP/1.1.
fn begin<B>(endpoint: &Endpoint<B>, outgoing: &mut Outgoing<B>, how: How) -> Sending<B>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let host = how.says_host(&outgoing.request).then_some(&endpoint.host);
    let sending = Sending::new(outgoing, Line { base_path: endpoint.base_path(), host });
    if !how.keeps_head {
        outgoing.drop_head();
    }
    sending
}

async fn over_http1<B>(
    connection: Box<Connection>,
    sending: Sending<B>,
    asked: &Method,
    ear: &impl Ear,
) -> Result<Answered<B>, Missed<B>>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut call = Call::new(connection, sending);
    match call.head(asked, ear).await {
        Ok(answer) => {
            let source = call.read(&answer).early().map_or_else(Source::Http1, Source::Early);
            Ok(Answered { head: Response::from_parts(answer.head, source), spelling: Some(answer.spelling) })
        }
        Err(error) => Err(Missed { error, again: call.again().map_or(Again::No, Again::Begun) }),
    }
}

/// `reused`: the connection may have been closed meanwhile, so the head is kept.
async fn over_http2<B>(
    stream: Stream<B>,
    endpoint: &Endpoint<B>,
    outgoing: &mut Outgoing<B>,
    how: How,
    reused: bool,
) -> Result<Answered<B>, Missed<B>>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut request = take(&mut outgoing.request, how.keeps_head || reused);
    let is_repeatable = request.method().is_safe() && request.body().is_end_stream();
    address(&mut request, endpoint, how);
    let mut failed = match stream.sender().try_send_request(stream.convert(request)).await {
        Ok(response) => {
            let head = response.map(|content| Source::Http2 { content, _place: stream });
            return Ok(Answered { head, spelling: None });
        }
        Err(failed) => failed,
    };
    let error = failed.error();
    let is_stale = !(error.is_parse() || error.is_user() || error.is_timeout());
    let unsent = failed.take_message();
    let again = if reused && (unsent.is_some() || (is_repeatable && is_stale)) { Again::Whole } else { Again::No };
    if let Some(unsent) = unsent {
        *outgoing.request.body_mut() = unsent.into_body();
    }
    Err(Missed { error: UpstreamError::from_http2(failed.into_error()), again })
}

/// The request, its body always and its head unless that is kept.
fn take<B: Default>(request: &mut Request<B>, keeps_head: bool) -> Request<B> {
    if !keeps_head {
        return std::mem::take(request);
    }
    let mut taken = Request::new(std::mem::take(request.body_mut()));
    taken.method_mut().clone_from(request.method());
    taken.uri_mut().clone_from(request.uri());
    taken.headers_mut().clone_from(request.headers());
    taken
}

/// Makes the endpoint's host and base path part of the head.
fn address<B>(request: &mut Request<B>, endpoint: &Endpoint<B>, how: How) {
    if how.says_host(request) {
        request.headers_mut().insert(HOST, endpoint.host.clone());
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    if !endpoint.base_path().is_empty() && path != "*" {
        // Base path and path are both valid, and so is one behind the other.
        if let Ok(uri) = format!("{}{path}", endpoint.base_path()).parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
}
