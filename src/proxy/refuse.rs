//! Answers that crossfade gives itself, each with the side that is at fault (RFC 9209).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::backend::Backend;
use crate::upstream::UpstreamError;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// No dependency matches the request.
pub(super) fn unknown_dependency() -> Response<Full<Bytes>> {
    answer(StatusCode::NOT_FOUND, "destination_not_found", "no dependency is configured for this request")
}

/// More requests are being answered than `max_in_flight` allows.
pub(super) fn overloaded() -> Response<Full<Bytes>> {
    let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, "proxy_internal_response", "too many requests at once");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// A tunnel cannot be told from its answer.
pub(super) fn connect_method() -> Response<Full<Bytes>> {
    answer(StatusCode::NOT_IMPLEMENTED, "http_request_denied", "CONNECT is not served here")
}

/// The exchange panicked; only its own consumer notices.
pub(super) fn internal() -> Response<Full<Bytes>> {
    answer(StatusCode::INTERNAL_SERVER_ERROR, "proxy_internal_error", "an internal error")
}

/// The backend whose answer should have been served gave none.
pub(super) fn no_answer(backend: Backend, error: &UpstreamError) -> Response<Full<Bytes>> {
    answer(error.status(), error.proxy_status(), &format!("{backend}: {error}"))
}

fn answer(status: StatusCode, proxy_status: &str, text: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("crossfade: {text}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(value) = HeaderValue::try_from(format!("crossfade; error={proxy_status}")) {
        answer.headers_mut().insert(PROXY_STATUS, value);
    }
    answer
}
