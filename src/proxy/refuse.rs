//! Answers that crossfade gives itself, each with the side that is at fault (RFC 9209).

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Version};
use http_body_util::Full;

use crate::backend::Backend;
use crate::refusal::Refusal;
use crate::upstream::UpstreamError;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What is not served, and why. After a request that may have had another end than we think, the connection closes.
pub(super) fn refused(reason: Refusal, version: Version) -> Response<Full<Bytes>> {
    let (error, closes) = match reason {
        Refusal::NoDependency => ("destination_not_found", false),
        Refusal::Overload => ("proxy_internal_response", false),
        Refusal::ProbeToken | Refusal::ProbeBackend => ("http_request_denied", false),
        Refusal::Method => ("http_request_denied", true),
        _ => ("http_request_error", true),
    };
    let mut answer = answer(reason.status(), error, reason.text());
    if reason == Refusal::Overload {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if closes && version < Version::HTTP_2 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// No dependency has a backend for the request.
pub(super) fn no_backend() -> Response<Full<Bytes>> {
    answer(StatusCode::NOT_FOUND, "destination_not_found", Refusal::NoDependency.text())
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
