//! What a request is sent with, whichever version of HTTP the connection speaks.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, TE};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};

use super::http2::Stream;

/// A connection, or a place on one, that is ready for one request.
pub(super) enum Sender<B> {
    /// A connection of its own.
    Http1(http1::SendRequest<B>),
    /// A place on a shared one.
    Http2(Stream<B>),
}

impl<B> Sender<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
{
    /// Sends a request whose target is a path, with its authority as `Host`, and waits for the head of the answer.
    ///
    /// # Errors
    /// With the request where nothing of it was sent.
    pub(super) async fn try_send_request(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(for_http1(request)).await,
            Self::Http2(stream) => stream.sender().try_send_request(stream.convert(request)).await,
        }
    }

    /// As [`try_send_request`](Self::try_send_request), for the last try.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn send_request(&mut self, request: Request<B>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => sender.send_request(for_http1(request)).await,
            Self::Http2(stream) => stream.sender().send_request(stream.convert(request)).await,
        }
    }
}

/// Takes back what was done for HTTP/2 where the request comes from there, and names `TE` as what it is in HTTP/1.1: for
/// this connection alone (RFC 9110, section 10.1.4).
fn for_http1<B>(mut request: Request<B>) -> Request<B> {
    if request.headers().keys().any(|name| *name == TE) {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("TE"));
    }
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).expect("an authority is a valid header value");
        request.headers_mut().insert(HOST, host);
        if let Some(path) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = Uri::from(path);
        }
    }
    *request.version_mut() = Version::HTTP_11;
    request
}
