//! HTTP/2 with consumers: its limits, its executor, and its requests in the form that HTTP/1.1 gives them.

use std::future::Future;

use h2::Reason;
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Uri};
use hyper::server::conn::http2::Builder;

use super::connection::HeadLimits;
use crate::refusal::Refusal;

/// Its name in ALPN.
pub(super) const ALPN: &[u8] = b"h2";

/// What one request may send before somebody takes it, and what all of one connection may: what Envoy advises at an
/// edge. The windows bound the memory that a connection can claim.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of one answer that wait for the connection.
const SEND_BUFFER: usize = 64 << 10;
/// Requests that were taken back before they were even looked at (CVE-2023-44487); the rest are counted with the
/// connection's activity.
const PENDING_RESETS: usize = 20;
/// Resets that the consumer makes us send (CVE-2025-8671).
const LOCAL_RESETS: usize = 100;

/// Runs what a connection starts on the worker's own thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Without pings of ours: the sweep ends what is idle, and whoever takes nothing of an answer.
pub(super) fn server(limits: HeadLimits) -> Builder<Local> {
    let mut builder = Builder::new(Local);
    builder
        .auto_date_header(true)
        .max_concurrent_streams(u32::try_from(limits.streams).unwrap_or(u32::MAX))
        .max_header_list_size(u32::try_from(limits.bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS);
    builder
}

/// Why we ended a connection, when it was for what was sent on it.
pub(super) fn refusal(error: &hyper::Error) -> Option<Refusal> {
    let cause = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match cause.reason().filter(|_| !cause.is_remote())? {
        Reason::NO_ERROR => None,
        Reason::ENHANCE_YOUR_CALM => Some(Refusal::Flood),
        _ => Some(Refusal::Syntax),
    }
}

/// The request with its authority as `Host` and its path alone as target, as HTTP/1.1 sends it (RFC 9113, section
/// 8.3.1). Where a `Host` says otherwise, both stay for whoever decides about requests with two readings.
pub(super) fn origin_form<B>(mut request: Request<B>) -> Request<B> {
    let Some(authority) = request.uri().authority() else { return request };
    if request.method() == Method::CONNECT {
        return request;
    }
    match request.headers().get(HOST) {
        Some(host) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => return request,
        Some(_) => {}
        None => {
            let host = HeaderValue::from_str(authority.as_str()).expect("an authority is a valid header value");
            request.headers_mut().insert(HOST, host);
        }
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(uri: &str, host: Option<&str>) -> (String, Option<String>) {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let request = origin_form(request.body(()).expect("valid"));
        let host = request.headers().get(HOST).map(|host| host.to_str().expect("text").to_owned());
        (request.uri().to_string(), host)
    }

    #[test]
    fn the_authority_becomes_the_host_and_two_readings_stay_two() {
        let host = |text: &str| Some(text.to_owned());
        assert_eq!(converted("http://a.b:1/c?d", None), ("/c?d".to_owned(), host("a.b:1")));
        assert_eq!(converted("http://a.b/c", Some("A.b")), ("/c".to_owned(), host("A.b")));
        assert_eq!(converted("http://a.b/c", Some("x")), ("http://a.b/c".to_owned(), host("x")));
        assert_eq!(converted("/c", Some("x")), ("/c".to_owned(), host("x")));
    }
}
