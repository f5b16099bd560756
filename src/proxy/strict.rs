//! What a parsed request has to be before anybody acts on it: one reading, the same to everyone, or none.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, request};

use super::{head, upgrade};
use crate::refusal::Refusal;

/// Checks the head of a request; `has_content` says whether content follows.
///
/// # Errors
/// Why it has to be refused, and its connection closed (RFC 9112, sections 3.2 and 11).
pub(super) fn check(head: &request::Parts, has_content: bool, is_secure: bool) -> Result<(), Refusal> {
    if let Some(seen_on_the_wire) = head.extensions.get::<Refusal>() {
        return Err(*seen_on_the_wire);
    }
    if head.method == Method::CONNECT {
        return Err(Refusal::Method);
    }
    check_values(head)?;
    check_target(head, is_secure)?;
    check_authority(head)?;
    check_nominations(&head.headers)?;
    check_framing(head, has_content)?;
    check_expectation(head)?;
    check_upgrade(&head.headers, has_content)
}

/// A value in HTTP/2 has no space around it (RFC 9113, section 8.2.1): HTTP/1.1 would take that off, and so change it. There
/// the parser has done so already.
fn check_values(head: &request::Parts) -> Result<(), Refusal> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_padded = |value: &HeaderValue| is_space(value.as_bytes().first()) || is_space(value.as_bytes().last());
    if head.version >= Version::HTTP_2 && head.headers.values().any(is_padded) {
        return Err(Refusal::Syntax);
    }
    Ok(())
}

/// The four forms of a target, and which methods have them (RFC 9112, section 3.2). The scheme of an absolute target is that
/// of this port: `https` wants a secured connection (RFC 9110, section 7.4).
fn check_target(head: &request::Parts, is_secure: bool) -> Result<(), Refusal> {
    let uri = &head.uri;
    let path = uri.path_and_query().ok_or(Refusal::Target)?.as_str();
    let fits = match path.as_bytes().first() {
        Some(b'*') => path == "*" && head.method == Method::OPTIONS,
        Some(b'/') => true,
        Some(b'?') => uri.authority().is_some(),
        _ => false,
    };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && !uri.path().contains('\\');
    if fits && plain && is_our_scheme(uri, is_secure || head.version >= Version::HTTP_2) {
        Ok(())
    } else {
        Err(Refusal::Target)
    }
}

/// In HTTP/2 the scheme is what a gateway in front of us was asked by, which may have secured the connection itself.
fn is_our_scheme(uri: &Uri, may_be_secure: bool) -> bool {
    let Some(scheme) = uri.scheme() else { return true };
    *scheme == Scheme::HTTP || (*scheme == Scheme::HTTPS && may_be_secure)
}

/// One host, a possible one, and the same one wherever it is said.
fn check_authority(head: &request::Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let optional = head.version != Version::HTTP_11;
    let fits = match (host, second, head.uri.authority()) {
        (_, Some(_), _) => false,
        (Some(host), None, None) => is_authority(host.as_bytes()),
        (Some(host), None, Some(target)) => is_authority(target.as_str().as_bytes()) && is_same(host, target),
        (None, None, Some(target)) => optional && is_authority(target.as_str().as_bytes()),
        (None, None, None) => head.version < Version::HTTP_11,
    };
    if fits { Ok(()) } else { Err(Refusal::Authority) }
}

fn is_same(host: &HeaderValue, target: &Authority) -> bool {
    host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes())
}

/// Host and optional port, without user information (RFC 3986, section 3.2; RFC 9110, sections 4.2.4 and 7.2). What a registered
/// name may hold beside letters, digits, `-`, `.`, `_` and `~` is left out: nobody has such a name.
fn is_authority(bytes: &[u8]) -> bool {
    let host_end = match bytes.first() {
        Some(b'[') => bytes.iter().position(|byte| *byte == b']').map(|end| end + 1),
        _ => Some(bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len())),
    };
    let Some((host, port)) = host_end.map(|end| bytes.split_at(end)) else { return false };
    is_host(host) && is_port(port)
}

fn is_host(host: &[u8]) -> bool {
    if let Some(literal) = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        return std::str::from_utf8(literal).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    }
    // A label before each dot, and one at the end or nothing.
    let mut last = b'.';
    let is_plain = host.iter().all(|&byte| {
        let before = std::mem::replace(&mut last, byte);
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && before != b'.')
    });
    is_plain && (1..=255).contains(&host.len())
}

/// Nothing, or a colon and a number; the number may be absent (RFC 3986, section 3.2.3).
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else { return port.is_empty() };
    // Five digits at most, so that the sum cannot overflow.
    let number = digits.iter().take(5).fold(0_u32, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')));
    let is_number = digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    is_number && (digits.is_empty() || (1..=u32::from(u16::MAX)).contains(&number))
}

/// `Connection` takes fields out of a message, so it must not name one that others rely on: the framing, the host, who is
/// asking, and where the request has been (RFC 9110, section 7.6.1).
fn check_nominations(headers: &HeaderMap) -> Result<(), Refusal> {
    for value in head::all(headers, &CONNECTION) {
        let mut names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if names.any(|name| !is_option(name) || is_for_everybody(name)) {
            return Err(Refusal::Nominated);
        }
    }
    Ok(())
}

/// A token (RFC 9110, section 5.6.2), or nothing: lists may have empty elements (section 5.6.1).
fn is_option(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether a field concerns whoever gets the message, and not the connection it came on.
pub(super) fn is_for_everybody(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 4] = [b"content-", b"x-forwarded-", b"crossfade-", b"sec-websocket-"];
    const NAMES: [&[u8]; 21] = [
        b"accept",
        b"authorization",
        b"cache-control",
        b"connection",
        b"cookie",
        b"date",
        b"expect",
        b"forwarded",
        b"host",
        b"if-match",
        b"if-none-match",
        b"location",
        b"max-forwards",
        b"origin",
        b"range",
        b"set-cookie",
        b"traceparent",
        b"tracestate",
        b"transfer-encoding",
        b"vary",
        b"via",
    ];
    let is_one = |known: &&[u8]| name.eq_ignore_ascii_case(known);
    let begins = |prefix: &&[u8]| name.len() > prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
    NAMES.iter().any(is_one) || PREFIXES.iter().any(begins)
}

/// The length is said once, and in one way; a TRACE has no content (RFC 9110, section 9.3.8).
fn check_framing(head: &request::Parts, has_content: bool) -> Result<(), Refusal> {
    let lengths = head::all(&head.headers, &CONTENT_LENGTH).count();
    let mut codings = head::all(&head.headers, &TRANSFER_ENCODING);
    let (coding, second) = (codings.next(), codings.next());
    if second.is_some() || lengths > 1 || (coding.is_some() && lengths > 0) {
        return Err(Refusal::Framing);
    }
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Refusal::TransferCoding);
    }
    if head.method == Method::TRACE && has_content { Err(Refusal::Framing) } else { Ok(()) }
}

/// Whether an answer says its length in one way; the same number said several times is one (RFC 9112, section 6.3), and stays
/// once. The answer was read by its transfer coding, or by the number.
pub(super) fn settle_length(headers: &mut HeaderMap) -> bool {
    let mut codings = head::all(headers, &TRANSFER_ENCODING);
    match (codings.next(), codings.next(), head::has(headers, &CONTENT_LENGTH)) {
        (Some(coding), None, false) => return coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), ..) => return false,
        (None, ..) => {}
    }
    let mut lengths = head::all(headers, &CONTENT_LENGTH);
    let Some(length) = lengths.next() else { return true };
    let first = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if lengths.next().is_some() || first != length.as_bytes() || first.starts_with(b"0") {
        let number = std::str::from_utf8(first).ok().and_then(|text| text.parse::<u64>().ok());
        let Some(number) = number else { return false };
        headers.insert(CONTENT_LENGTH, HeaderValue::from(number));
    }
    true
}

fn check_expectation(head: &request::Parts) -> Result<(), Refusal> {
    // RFC 9110, section 10.1.1: from HTTP/1.0 it is ignored.
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let met = head.version < Version::HTTP_11 || head::all(&head.headers, &EXPECT).all(known);
    if met { Ok(()) } else { Err(Refusal::Expectation) }
}

/// Bytes behind a request with content could be the next request or the first of another protocol. `h2c` is left out: clients
/// offer it with any request, it is never taken up, and so what follows is HTTP/1.
fn check_upgrade(headers: &HeaderMap, has_content: bool) -> Result<(), Refusal> {
    if has_content && upgrade::is_offered(headers) { Err(Refusal::Upgrade) } else { Ok(()) }
}
