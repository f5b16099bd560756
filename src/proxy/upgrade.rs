//! Requests that want to leave HTTP (RFC 9110, section 7.8).

use http::HeaderMap;
use http::header::{CONNECTION, UPGRADE};

/// Whether the request offers another protocol than `h2c`, which is never taken up: it would hide requests from us
/// (RFC 9113, appendix B, removed it).
pub(super) fn is_offered(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

/// Whether the offer is meant for this connection.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let names_upgrade = |value: &http::HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    is_offered(headers) && headers.get_all(CONNECTION).iter().any(names_upgrade)
}
