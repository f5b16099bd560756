//! Heads on their way through: what belongs to one connection stays there (RFC 9110, section 7.6.1), the rest is passed on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Uri, Version, request};

use super::tee::LegBody;
use crate::backend::Role;
use crate::config::{BackendSpec, RequestMapping, Route};

/// Marks a request that is made only to be scored.
pub(super) const ROLE: HeaderName = HeaderName::from_static("crossfade-role");

/// Headers that concern one connection whether `Connection` names them or not.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes out what belongs to the connection that a head came on.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers.get_all(CONNECTION).iter().flat_map(nominated).collect();
    for name in HOP_BY_HOP.iter().chain(&nominated) {
        if headers.contains_key(name) {
            headers.remove(name);
        }
    }
}

/// The names a `Connection` header lists, without those that nobody may take out of a message.
fn nominated(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.filter_map(|name| HeaderName::from_bytes(name).ok()).filter(|name| !is_needed(name))
}

fn is_needed(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host" | "content-length" | "content-encoding" | "content-type" | "cookie" | "authorization"
    )
}

/// The head of a consumer's request, ready to be sent on; both legs start from it.
pub(super) fn forwardable(mut head: request::Parts, has_content: bool) -> request::Parts {
    let trailers = wants_trailers(&head.headers);
    strip_hop_by_hop(&mut head.headers);
    if trailers {
        // Trailers are passed on, so this much is true of us as well; gRPC servers insist on it.
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(&mut head);
    frame(&mut head.headers, has_content);
    // The consumer was told to continue as soon as its body was asked for.
    head.headers.remove(EXPECT);
    head.version = Version::HTTP_11;
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(path);
    head
}

/// Whether `TE` names trailers (RFC 9110, section 10.1.4).
fn wants_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// HTTP/2 may send a cookie in crumbs, which HTTP/1.1 has in one line (RFC 9113, section 8.2.3).
fn join_cookies(head: &mut request::Parts) {
    if head.version != Version::HTTP_2 || head.headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = head.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        head.headers.insert(COOKIE, whole);
    }
}

/// Says the length of the content once and in one way. Without a word about it, hyper would take a GET to have none.
fn frame(headers: &mut HeaderMap, has_content: bool) {
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        let canonical = length.as_bytes().first() != Some(&b'0') || length.len() == 1;
        let number = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        if let (false, Some(number)) = (canonical, number) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(number));
        }
    } else if has_content {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The request for one backend.
pub(super) fn leg(
    mut head: request::Parts,
    body: LegBody,
    spec: &BackendSpec,
    route: &Route,
    role: Role,
) -> Request<LegBody> {
    map(&mut head, &spec.request, route);
    if role != Role::Primary {
        head.headers.insert(ROLE, HeaderValue::from_static(role.as_str()));
    }
    Request::from_parts(head, body)
}

fn map(head: &mut request::Parts, mapping: &RequestMapping, route: &Route) {
    for name in &mapping.remove {
        head.headers.remove(name);
    }
    for (name, source) in &mapping.set {
        head.headers.insert(name, source.value().clone());
    }
    let Some(template) = &mapping.path else { return };
    let captures = route.path.as_ref().and_then(|pattern| pattern.matches(head.uri.path())).unwrap_or_default();
    let mapped = template.render(head.uri.path(), head.uri.query(), &captures);
    // A template of valid pieces around valid pieces is a valid path; were it not, the request stays as it is.
    if let Ok(uri) = mapped.parse::<Uri>() {
        head.uri = uri;
    }
}
