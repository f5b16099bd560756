//! Entity tags (RFC 9110, section 8.8.3) of a backend whose answers are mapped: what a consumer gets is another representation
//! than what the backend sent, and another one again after the mapping has changed. So each tag goes out with a suffix that
//! stands for the mapping, and comes back without it.

use http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, header};

/// The suffix of one mapping.
pub(super) struct Suffix(String);

impl Suffix {
    /// Of the mapping with this hash.
    pub(super) fn of(hash: u64) -> Self {
        Self(format!(".m{hash:016x}"))
    }

    /// The tag of an answer, with the suffix; one that is none is taken out, since it could not be told from others.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        let Some(tag) = headers.remove(ETAG) else { return };
        let inner = tag.as_bytes().strip_suffix(b"\"").filter(|_| tags(tag.as_bytes()).len() == 1);
        let suffixed = inner.map(|inner| [inner, self.0.as_bytes(), b"\""].concat());
        headers.extend(suffixed.and_then(|tag| HeaderValue::from_bytes(&tag).ok()).map(|tag| (ETAG, tag)));
    }

    /// The conditions of a request as the backend knows them.
    ///
    /// A tag without the suffix is not of this mapping. In `If-None-Match` it is left out, for the backend might confirm what
    /// the consumer holds in another shape. In `If-Match` it stays, for without it the condition would be met.
    pub(super) fn take(&self, headers: &mut HeaderMap) {
        let ours = |tag: &[u8]| self.strip(tag);
        rewrite(headers, &IF_NONE_MATCH, |tag| if tag == b"*" { Some(tag.to_vec()) } else { ours(tag) });
        rewrite(headers, &IF_MATCH, |tag| Some(ours(tag).unwrap_or_else(|| tag.to_vec())));
        // A date says nothing of the mapping, and a range would be one of what the backend sends.
        for name in [header::IF_MODIFIED_SINCE, header::RANGE, header::IF_RANGE] {
            headers.remove(name);
        }
    }

    fn strip(&self, tag: &[u8]) -> Option<Vec<u8>> {
        let opaque = tag.strip_suffix(b"\"")?.strip_suffix(self.0.as_bytes())?;
        Some([opaque, b"\""].concat())
    }
}

fn rewrite(headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    if !headers.contains_key(name) {
        return;
    }
    let values = headers.get_all(name).iter();
    let kept: Vec<_> = values.flat_map(|value| tags(value.as_bytes())).filter_map(change).collect();
    headers.remove(name);
    let list = HeaderValue::from_bytes(&kept.join(&b", "[..]));
    headers.extend(list.ok().filter(|_| !kept.is_empty()).map(|list| (name.clone(), list)));
}

/// The tags of a list, or `*`, as written. An opaque tag may hold commas.
fn tags(list: &[u8]) -> Vec<&[u8]> {
    let (mut tags, mut rest) = (Vec::new(), list);
    loop {
        rest = rest.trim_ascii_start();
        if let Some(more) = rest.strip_prefix(b",") {
            rest = more;
            continue;
        }
        let opening = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
        let closing = rest.iter().skip(opening + 1).position(|byte| *byte == b'"').map(|at| opening + 1 + at);
        let end = match (&rest[..opening], closing) {
            (b"" | b"W/", Some(closing)) => closing + 1,
            // Not a tag: as far as the next one that may be.
            _ => rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len()),
        };
        if end == 0 {
            return tags;
        }
        tags.push(rest[..end].trim_ascii_end());
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn taken(lines: &[(HeaderName, &'static str)]) -> Vec<String> {
        let mut headers = headers(lines);
        Suffix("-1".to_owned()).take(&mut headers);
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn tags_go_out_with_the_suffix() {
        let table = [("\"a\"", Some("\"a-1\"")), ("W/\"a\"", Some("W/\"a-1\"")), ("\"\"", Some("\"-1\"")), ("a", None)];
        for (tag, expected) in table {
            let mut headers = headers(&[(ETAG, tag)]);
            Suffix("-1".to_owned()).put(&mut headers);
            assert_eq!(headers.get(ETAG).and_then(|tag| tag.to_str().ok()), expected, "{tag}");
        }
        assert_ne!(Suffix::of(1).0, Suffix::of(2).0);
    }

    #[test]
    fn conditions_come_back_without_it() {
        let list = "\"a-1\", W/\"b,c-1\",\"other\" , \"d-2\"";
        assert_eq!(taken(&[(IF_NONE_MATCH, list)]), ["if-none-match: \"a\", W/\"b,c\""]);
        assert_eq!(taken(&[(IF_MATCH, list)]), ["if-match: \"a\", W/\"b,c\", \"other\", \"d-2\""]);
        assert_eq!(taken(&[(IF_NONE_MATCH, "*"), (IF_MATCH, "*")]), ["if-none-match: *", "if-match: *"]);
        assert_eq!(taken(&[(IF_NONE_MATCH, "\"a\""), (IF_NONE_MATCH, "\"b-1\"")]), ["if-none-match: \"b\""]);
        assert!(taken(&[(IF_NONE_MATCH, "\"a\"")]).is_empty());
        assert!(taken(&[(IF_NONE_MATCH, "\"a-1")]).is_empty(), "no tag");
        assert_eq!(taken(&[(IF_MATCH, "nonsense")]), ["if-match: nonsense"]);
        assert!(taken(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"a-1\"")]).is_empty());
    }
}
