//! gRPC: whether a call went well is in `grpc-status`, at the end of the answer, under a status of HTTP that is always 200
//! (gRPC over HTTP/2, "Responses").

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::settle::Score;
use crate::outcome::Cause;

/// Where the status stands: in the trailers, or in the head of an answer that has nothing else.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether an answer is one of gRPC: `application/grpc`, with or without a suffix such as `+proto`. Not gRPC-Web, whose
/// trailers are content.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| names_grpc(kind.as_bytes()))
}

/// Whether a content type is one of gRPC.
pub fn names_grpc(kind: &[u8]) -> bool {
    let rest = kind.get(16..).filter(|_| kind[..16].eq_ignore_ascii_case(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// What a status other than OK is worth; `None` for OK. An answer without a readable status is a fallback, cause
/// `decode`: the backend broke the protocol.
pub(super) fn judge(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Option<Score> {
    let status = trailers.and_then(|trailers| trailers.get(&STATUS)).or_else(|| headers.get(&STATUS));
    let code = status.and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    Some(match code {
        Some(0) => return None,
        // CANCELLED: the consumer took its call back.
        Some(1) => Score::Excluded(Cause::Aborted),
        // INVALID_ARGUMENT, FAILED_PRECONDITION and OUT_OF_RANGE blame the request, as do NOT_FOUND and ALREADY_EXISTS;
        // the statuses are those that google.rpc.Code names for HTTP.
        Some(3 | 9 | 11) => Score::ClientError(StatusCode::BAD_REQUEST),
        Some(5) => Score::ClientError(StatusCode::NOT_FOUND),
        Some(6) => Score::ClientError(StatusCode::CONFLICT),
        // PERMISSION_DENIED, UNAUTHENTICATED
        Some(7 | 16) => Score::Fallback(Cause::Auth),
        Some(_) => Score::Fallback(Cause::Status),
        None => Score::Fallback(Cause::Decode),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn status(code: &str) -> HeaderMap {
        HeaderMap::from_iter([(STATUS, HeaderValue::from_str(code).expect("valid"))])
    }

    #[test]
    fn every_status_has_its_worth() {
        let bad = Score::ClientError(StatusCode::BAD_REQUEST);
        let status_fallback = Score::Fallback(Cause::Status);
        for (codes, expected) in [
            (&["0", "00"][..], None),
            (&["1"], Some(Score::Excluded(Cause::Aborted))),
            (&["3", "9", "11"], Some(bad)),
            (&["5"], Some(Score::ClientError(StatusCode::NOT_FOUND))),
            (&["6"], Some(Score::ClientError(StatusCode::CONFLICT))),
            (&["7", "16"], Some(Score::Fallback(Cause::Auth))),
            (&["2", "4", "8", "10", "12", "13", "14", "15", "17", "999"], Some(status_fallback)),
            (&["", "x", "-1", "99999999999"], Some(Score::Fallback(Cause::Decode))),
        ] {
            for code in codes {
                assert_eq!(judge(&HeaderMap::new(), Some(&status(code))), expected, "in trailers: {code}");
                assert_eq!(judge(&status(code), None), expected, "in the head: {code}");
            }
        }
        assert_eq!(judge(&HeaderMap::new(), None), Some(Score::Fallback(Cause::Decode)));
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        let is = |kind: &'static str| {
            is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert!(["application/grpc", "application/grpc+proto", "Application/GRPC; charset=utf-8"].map(is) == [true; 3]);
        assert!(["application/grpc-web", "application/grpcx", "application/json", ""].map(is) == [false; 4]);
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
