//! One trace through both legs: each has a span of its own (W3C Trace Context, section 3).
//!
//! A trace is continued and never begun: without a valid `traceparent` of the consumer, whatever is there is passed on
//! untouched. `tracestate` is passed on as it is, for nothing is said there in our name.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use super::head;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What the consumer says of the trace that its request belongs to, if it says one thing.
pub(super) fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = head::all(headers, &TRACEPARENT);
    values.next().filter(|_| values.next().is_none())
}

/// The identifier of the trace, 32 hexadecimal digits, if the parent is valid.
pub(super) fn id(parent: &HeaderValue) -> Option<String> {
    parse(parent.as_bytes()).map(|(trace, _)| trace.to_owned())
}

/// Names the leg as the parent of whatever its backend does.
pub(super) fn step(headers: &mut HeaderMap, span: u64) {
    let Some(value) = parent(headers) else { return };
    if let Some(child) = child(value.as_bytes(), span).and_then(|child| HeaderValue::from_str(&child).ok()) {
        headers.insert(TRACEPARENT, child);
    }
}

/// The same trace and flags with another parent, in version 00: the one that is understood here.
fn child(parent: &[u8], span: u64) -> Option<String> {
    // An identifier of zero is none.
    parse(parent).map(|(trace, flags)| format!("00-{trace}-{:016x}-{flags}", span.max(1)))
}

/// Trace and flags of a valid parent.
fn parse(parent: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(parent).ok()?;
    let (version, rest) = (text.get(..2)?, text.get(55..)?);
    let known = if version == "00" { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
    let mut parts = text.get(..55)?.split('-');
    let (version, trace, old, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    let is_some = |part: &str| part.bytes().any(|byte| byte != b'0');
    let shaped = is_hex(version, 2) && is_hex(trace, 32) && is_hex(old, 16) && is_hex(flags, 2);
    let valid = known && shaped && version != "ff" && is_some(trace) && is_some(old);
    valid.then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_with_the_legs_own_span() {
        let given = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ff-01";
        assert_eq!(child(given, 255).as_deref(), Some(expected));
        let newer = b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(child(newer, 255).as_deref(), Some(expected));
        assert!(child(given, 0).is_some_and(|it| it.contains("-0000000000000001-")));
    }

    #[test]
    fn what_is_no_trace_is_left_alone() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert_eq!(child(text.as_bytes(), 1), None, "{text}");
        }
    }
}
