//! Requests that may end here: TRACE and OPTIONS with `Max-Forwards` (RFC 9110, section 7.6.2).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, MAX_FORWARDS, USER_AGENT, VIA};
use http::{HeaderMap, HeaderValue, Method, Response, Version, request};
use http_body_util::Full;

use crate::refusal::Refusal;

/// Headers that a TRACE which ends here shows again: where the request has been, and nothing that could be a secret.
const SHOWN: [HeaderName; 4] = [HOST, USER_AGENT, VIA, MAX_FORWARDS];

/// Counts a hop; `Some` is the answer of a request that must not go any further.
///
/// # Errors
/// When the number of hops is no number.
pub(super) fn step(head: &mut request::Parts) -> Result<Option<Response<Full<Bytes>>>, Refusal> {
    if !matches!(head.method, Method::TRACE | Method::OPTIONS) {
        return Ok(None);
    }
    match left(&head.headers)? {
        None => Ok(None),
        Some(0) => Ok(Some(last(head))),
        Some(left) => {
            head.headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Ok(None)
        }
    }
}

/// More than fits into a number is as good as the largest one.
fn left(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut values = headers.get_all(MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    match (digits, values.next()) {
        (Some(digits), None) => Ok(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => Err(Refusal::MaxForwards),
    }
}

/// The answer of the last recipient (RFC 9110, sections 9.3.7 and 9.3.8).
fn last(head: &request::Parts) -> Response<Full<Bytes>> {
    if head.method == Method::OPTIONS {
        return Response::new(Full::default());
    }
    let version = if head.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut text = format!("TRACE {} {version}\r\n", head.uri).into_bytes();
    for name in SHOWN {
        for value in head.headers.get_all(&name) {
            text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    text.extend_from_slice(b"\r\n");
    let mut answer = Response::new(Full::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    answer
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn stepped(method: Method, hops: &[&'static str]) -> (Result<Option<u16>, Refusal>, Option<String>) {
        let (mut head, ()) = Request::builder().method(method).uri("/a").body(()).expect("valid").into_parts();
        for value in hops {
            head.headers.append(MAX_FORWARDS, HeaderValue::from_static(value));
        }
        let answer = step(&mut head).map(|answer| answer.map(|answer| answer.status().as_u16()));
        (answer, head.headers.get(MAX_FORWARDS).map(|value| value.to_str().expect("text").to_owned()))
    }

    #[test]
    fn hops_are_counted_down_and_end() {
        assert_eq!(stepped(Method::TRACE, &["3"]), (Ok(None), Some("2".to_owned())));
        assert_eq!(stepped(Method::OPTIONS, &["0"]), (Ok(Some(200)), Some("0".to_owned())));
        assert_eq!(stepped(Method::OPTIONS, &[]), (Ok(None), None));
        assert_eq!(stepped(Method::GET, &["0"]), (Ok(None), Some("0".to_owned())), "of no meaning there");
        let most = (u64::MAX - 1).to_string();
        assert_eq!(stepped(Method::TRACE, &["99999999999999999999999"]), (Ok(None), Some(most)));
        for bad in [&["x"][..], &["-1"], &["1", "1"], &[""]] {
            assert_eq!(stepped(Method::OPTIONS, bad).0, Err(Refusal::MaxForwards), "{bad:?}");
        }
    }
}
