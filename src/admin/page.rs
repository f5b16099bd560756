//! The live page: three files in the binary, no script or font from anywhere else.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

/// Nothing but our own files, and nobody may frame the page.
const POLICY: &str = "default-src 'self'; img-src data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asset {
    kind: &'static str,
    content: &'static str,
}

/// The page itself.
pub(super) const INDEX: Asset = Asset { kind: "text/html; charset=utf-8", content: include_str!("page/index.html") };
/// Its looks.
pub(super) const STYLE: Asset = Asset { kind: "text/css; charset=utf-8", content: include_str!("page/page.css") };
/// What follows the status.
pub(super) const SCRIPT: Asset =
    Asset { kind: "text/javascript; charset=utf-8", content: include_str!("page/page.js") };

impl Asset {
    /// The file, or 304 where the browser has it (RFC 9110, section 13.1.2).
    pub(super) fn answer(self, request: &HeaderMap) -> Response {
        let tag = format!("\"{:016x}\"", xxh3_64(self.content.as_bytes()));
        let known = request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut answer = if known { StatusCode::NOT_MODIFIED.into_response() } else { self.content.into_response() };
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        answer
    }
}
