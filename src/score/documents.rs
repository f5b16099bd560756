//! What of a body is JSON: one document, or one for each line.

use http::{HeaderMap, header};
use memchr::memchr_iter;

/// Lines of JSON, by the names they go by; none is registered.
const LINES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-lines",
];

/// A body as the JSON that is in it, without the byte order mark that some put before it (RFC 8259, section 8.1).
pub(super) enum Documents<'a> {
    /// The whole body is one document.
    One(&'a [u8]),
    /// Each line is one, but for blank ones.
    Lines(&'a [u8]),
}

impl<'a> Documents<'a> {
    /// As the headers say.
    pub(super) fn of(headers: &HeaderMap, body: &'a [u8]) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if are_lines(headers) { Self::Lines(body) } else { Self::One(body) }
    }

    /// Each document.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let (Self::One(body) | Self::Lines(body)) = *self;
        let splits = matches!(self, Self::Lines(_));
        let ends = memchr_iter(b'\n', if splits { body } else { &[] }).chain(std::iter::once(body.len()));
        let mut start = 0;
        let lines = ends.map(move |end| &body[std::mem::replace(&mut start, end + 1)..end]);
        lines.filter(move |line| !splits || !line.trim_ascii().is_empty())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

fn are_lines(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| names_lines(kind.as_bytes()))
}

/// Whether a content type says that each line is a document.
pub(super) fn names_lines(kind: &[u8]) -> bool {
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    LINES.iter().any(|lines| kind.eq_ignore_ascii_case(lines.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lines_are_told_by_their_content_type() {
        let kind = |kind| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let count = |headers: &HeaderMap, body: &str| Documents::of(headers, body.as_bytes()).iter().count();
        let lines = kind("Application/X-NDJSON; charset=utf-8");
        for (body, expected) in
            [("", 0), ("\n \r\n\t", 0), ("1", 1), ("1\n", 1), ("1\r\n\r\n2", 2), ("\u{feff}1\n2\n3", 3)]
        {
            assert_eq!(count(&lines, body), expected, "{body:?}");
            assert_eq!(count(&kind("application/json"), body), 1, "{body:?}");
        }
        assert_eq!(count(&HeaderMap::new(), "1\n2"), 1);
    }
}
