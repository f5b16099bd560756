//! Heads on their way out.

use bytes::BytesMut;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::Spelling;
use super::spelling::Names;

/// What a request's head says beside its headers.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a Method,
    /// What goes before the path; empty, or begins with a slash and does not end with one.
    pub base_path: &'a str,
    /// The target; its path and query are sent, in origin or in asterisk form (RFC 9112, section 3.2).
    pub uri: &'a Uri,
    /// Said in place of what the headers have for `Host`, or beside them where they have none.
    pub host: Option<&'a HeaderValue>,
}

/// Writes the whole head of a request in HTTP/1.1. Lines go out in the order of the map, each name as `spelling` has it, or
/// in lower case.
pub fn write_request(out: &mut BytesMut, line: RequestLine<'_>, headers: &HeaderMap, spelling: Option<&Spelling>) {
    let path = line.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    // The server as a whole has no place below a path (RFC 9110, section 9.3.7).
    let base = if path == "*" { "" } else { line.base_path };
    out.reserve(64 + base.len() + path.len() + size(headers));
    out.extend_from_slice(line.method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(base.as_bytes());
    out.extend_from_slice(if path.starts_with('?') { b"/" } else { b"" });
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = line.host.filter(|_| !headers.contains_key(HOST)) {
        write_line(out, HOST.as_str(), host.as_bytes());
    }
    let mut speller = Speller::new(spelling);
    for (name, value) in headers {
        let value = if *name == HOST { line.host.unwrap_or(value) } else { value };
        append(out, speller.spelled(name), value.as_bytes());
    }
    end_head(out);
}

/// Writes the status line and the header lines of an answer, as [`write_request`] does. More lines may follow, and the
/// [end](end_head) has to.
pub fn write_answer(
    out: &mut BytesMut,
    version: Version,
    status: StatusCode,
    headers: &HeaderMap,
    spelling: Option<&Spelling>,
) {
    out.reserve(128 + size(headers));
    out.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    let known = || status.canonical_reason().unwrap_or_default().as_bytes();
    out.extend_from_slice(spelling.and_then(|spelling| spelling.reason(status)).unwrap_or_else(known));
    out.extend_from_slice(b"\r\n");
    let mut speller = Speller::new(spelling);
    for (name, value) in headers {
        append(out, speller.spelled(name), value.as_bytes());
    }
}

/// Writes one header line.
pub fn write_line(out: &mut BytesMut, name: &str, value: &[u8]) {
    append(out, name.as_bytes(), value);
}

/// Writes the empty line that ends a head.
pub fn end_head(out: &mut BytesMut) {
    out.extend_from_slice(b"\r\n");
}

fn append(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The bytes that header lines will have, or nearly; to make room once.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Finds the spelling of names that are asked for in the order of a map: by first mention, a name's lines one after another.
struct Speller<'a> {
    names: Option<Names<'a>>,
    last: Option<(&'a HeaderName, usize)>,
}

impl<'a> Speller<'a> {
    fn new(spelling: Option<&'a Spelling>) -> Self {
        Self { names: spelling.map(Spelling::names), last: None }
    }

    fn spelled(&mut self, name: &'a HeaderName) -> &'a [u8] {
        let plain = name.as_str().as_bytes();
        let Some(names) = &mut self.names else { return plain };
        let nth = self.last.filter(|(last, _)| *last == name).map_or(0, |(_, nth)| nth + 1);
        self.last = Some((name, nth));
        names.spelled(name, nth).unwrap_or(plain)
    }
}

#[cfg(test)]
mod tests;
