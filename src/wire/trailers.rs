//! What may come behind the content.

use http::HeaderName;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE,
    EXPECT, HOST, MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};

/// Fields that have no meaning, or a dangerous one, behind the content: framing, routing, authentication, and what says how to
/// read the message (RFC 9110, section 6.5.1).
const NEVER: [HeaderName; 21] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    MAX_FORWARDS,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    RANGE,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WWW_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
];

/// Whether a field has a place behind the content.
pub(super) fn may_trail(name: &HeaderName) -> bool {
    !NEVER.contains(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::HeaderValue;

    use crate::wire::{Encoder, Framing, Outbox};

    use super::*;

    #[test]
    fn what_frames_routes_or_opens_doors_is_no_trailer() {
        let checksum = HeaderName::from_static("x-checksum");
        let all = NEVER.into_iter().chain([checksum]);
        let trailers: HeaderMap = all.map(|name| (name, HeaderValue::from_static("x"))).collect();
        let mut outbox = Outbox::default();
        Encoder::new(Framing::Chunked).trailers(&trailers, &mut outbox).expect("nothing is owed");
        assert_eq!(outbox.first(), b"0\r\nx-checksum: x\r\n\r\n");
    }
}
