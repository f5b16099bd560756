//! Heads on their way through: what belongs to one connection stays there (RFC 9110, section 7.6.1), the rest is passed on in
//! the order it came in.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, GetAll, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
    VIA,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, Version, request};

use super::strict::is_for_everybody;
use super::tee::LegBody;
use super::{trace, upgrade};
use crate::backend::Role;
pub(super) use crate::config::retain_headers as retain;
use crate::config::{BackendSpec, Route};

/// Marks a request that is made only to be scored.
pub(super) const ROLE: HeaderName = HeaderName::from_static("crossfade-role");

/// Headers that concern one connection whether `Connection` names them or not. `HTTP2-Settings` belongs to an upgrade that is
/// never passed on.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    TE,
    UPGRADE,
];

/// Takes out what belongs to the connection that an answer came on, its framing included.
pub(super) fn strip_answer(headers: &mut HeaderMap) {
    strip(headers, |name| *name == TRANSFER_ENCODING);
}

/// Takes out what belongs to a connection. A name in `Connection` that concerns everybody is not the connection's: in a
/// request it is refused before, in an answer it is passed over.
fn strip(headers: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    let nominated: Vec<HeaderName> = all(headers, &CONNECTION).flat_map(nominated).collect();
    retain(headers, |name| !HOP_BY_HOP.contains(name) && !nominated.contains(name) && !also(name));
}

fn nominated(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.filter(|name| !is_for_everybody(name)).filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// Whether a header is there. Heads have few headers: to look at each is cheaper than one hash.
pub(super) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|known| known == name)
}

/// The values of one header.
type Values<'a> = std::iter::Flatten<std::option::IntoIter<GetAll<'a, HeaderValue>>>;

/// The values of a header; at next to no cost where there are none, as it mostly is.
pub(super) fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Values<'a> {
    has(headers, name).then(|| headers.get_all(name)).into_iter().flatten()
}

/// The head of a consumer's request, ready to be sent on; both legs start from it.
pub(super) fn forwardable(mut head: request::Parts, has_content: bool) -> request::Parts {
    let offer = (upgrade::is_asked_for(&head) && !has_content).then(|| upgrade::offer(&head.headers)).flatten();
    let trailers = wants_trailers(&head.headers);
    strip(&mut head.headers, |_| false);
    if trailers {
        // Trailers are passed on, so this much is true of us as well; gRPC servers insist on it.
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(&mut head);
    frame(&mut head.headers, has_content);
    if !has_content || head.version < Version::HTTP_11 {
        // Of no meaning there (RFC 9110, section 10.1.1).
        retain(&mut head.headers, |name| *name != EXPECT);
    }
    if let Some(offer) = offer {
        upgrade::name(&mut head.headers, offer);
    }
    let version = std::mem::replace(&mut head.version, Version::HTTP_11);
    head.headers.append(VIA, via(version));
    if let (Some(authority), false) = (head.uri.authority(), head.headers.contains_key(HOST)) {
        // An authority is a valid header value.
        head.headers.extend(HeaderValue::from_str(authority.as_str()).ok().map(|host| (HOST, host)));
    }
    head.uri = target(&head.method, &head.uri);
    head
}

/// This proxy in `Via` (RFC 9110, section 7.6.3), by the version of what it received.
pub(super) fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 crossfade",
        Version::HTTP_2 => "2 crossfade",
        Version::HTTP_3 => "3 crossfade",
        _ => "1.1 crossfade",
    })
}

/// The target in origin form, byte for byte as it came (RFC 9112, section 3.2.1).
fn target(method: &Method, uri: &Uri) -> Uri {
    let root = if *method == Method::OPTIONS && uri.path() == "*" { "*" } else { "/" };
    Uri::from(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static(root)))
}

/// Whether `TE` names trailers (RFC 9110, section 10.1.4).
fn wants_trailers(headers: &HeaderMap) -> bool {
    let mut codings = all(headers, &TE).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
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

/// Says the length of the content once and in one way; without a word about it there would be none (RFC 9112, section 6.3).
fn frame(headers: &mut HeaderMap, has_content: bool) {
    if let Some(length) = all(headers, &CONTENT_LENGTH).next() {
        let canonical = length.as_bytes().first() != Some(&b'0') || length.len() == 1;
        let number = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        if let (false, Some(number)) = (canonical, number) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(number));
        }
    } else if has_content {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The request for one backend; `span` is what a trace knows this call by.
pub(super) fn leg(
    mut head: request::Parts,
    body: LegBody,
    (spec, route): (&BackendSpec, &Route),
    role: Role,
    span: u64,
) -> Request<LegBody> {
    trace::step(&mut head.headers, span);
    spec.request.apply(&mut head, route);
    if role != Role::Primary {
        head.headers.insert(ROLE, HeaderValue::from_static(role.as_str()));
    }
    Request::from_parts(head, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let (mut head, ()) = Request::builder().uri("/a?b").body(()).expect("valid").into_parts();
        for (name, value) in lines {
            head.headers.append(*name, HeaderValue::from_static(value));
        }
        let head = forwardable(head, false);
        head.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn what_goes_leaves_the_rest_in_order() {
        let lines = [("host", "a"), ("connection", "x, keep-alive"), ("b", "1"), ("x", "2"), ("c", "3"), ("b", "4")];
        assert_eq!(forwarded(&lines), ["host=a", "b=1", "b=4", "c=3", "via=1.1 crossfade"]);
        assert_eq!(forwarded(&[("te", "trailers"), ("via", "2 x")]), ["via=2 x", "via=1.1 crossfade", "te=trailers"]);
    }

    #[test]
    fn an_answer_keeps_what_its_connection_has_no_right_to() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "set-cookie, x"), ("set-cookie", "a"), ("x", "1"), ("keep-alive", "1")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_answer(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["set-cookie"]);
    }

    #[test]
    fn targets_are_in_origin_form() {
        let of = |method, uri: &str| target(&method, &uri.parse().expect("a URI")).to_string();
        assert_eq!(of(Method::GET, "http://a?b"), "/?b");
        assert_eq!(of(Method::GET, "http://a"), "/");
        assert_eq!(of(Method::GET, "//b/../c?d=%zz"), "//b/../c?d=%zz");
        assert_eq!(of(Method::OPTIONS, "*"), "*");
    }
}
