//! Heads on their way in.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, request, response,
};
use httparse::{Header, ParserConfig, Status};

use super::content::Framing;
use super::{Fault, Spelling};

/// Lines that a proxy adds to a request and to an answer, about. With room for them, names are hashed once; with more room than
/// that, a head is no small allocation any more.
const ADDED_TO_REQUEST: usize = 5;
const ADDED_TO_ANSWER: usize = 2;
/// Lines that a head may have.
const MOST_LINES: usize = 100;

/// A head, and what it says of what follows.
#[derive(Debug)]
pub struct Parsed<H> {
    /// The head; its headers are as they came.
    pub head: H,
    /// How the end of the content is known.
    pub framing: Framing,
    /// How the sender spelled it.
    pub spelling: Spelling,
    /// Whether the sender means to keep the connection, by its version and `Connection` (RFC 9112, section 9.3).
    pub persistent: bool,
}

/// Takes the head of a request off the front of `buffer`, and empty lines before it; `None` where it is not whole yet.
///
/// `seen` is how much of the buffer was searched before: 0 at first, then what the last call left there. A head has up to
/// `most` bytes.
///
/// # Errors
/// Why it has to be refused, and its connection closed (RFC 9112, section 11): as soon as that is certain, and again when
/// asked again.
pub fn take_request(
    buffer: &mut BytesMut,
    seen: &mut usize,
    most: usize,
) -> Result<Option<Parsed<request::Parts>>, Fault> {
    let Some(head) = take(buffer, seen, most, OF_REQUEST)? else { return Ok(None) };
    let mut lines = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_LINES];
    let mut request = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, &head, &mut lines);
    whole(parsed, &head)?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).ok_or(Fault::Syntax)?;
    parts.uri = target(request.path.unwrap_or_default(), &head)?;
    parts.version = version(request.version);
    parts.headers.reserve(request.headers.len() + ADDED_TO_REQUEST);
    let said = Said::read(request.headers, &head, &mut parts.headers)?;
    let framing = said.framing_of_request(parts.version)?;
    let persistent = said.is_persistent(parts.version);
    Ok(Some(Parsed { head: parts, framing, spelling: Spelling::of(head.clone(), request.headers), persistent }))
}

/// Takes the head of an answer to a request of the method `asked` off the front of `buffer`, as [`take_request`] does. Interim
/// answers are answers like others here, without content. A bare LF ends a line as well (RFC 9112, section 2.2).
///
/// # Errors
/// Why nobody can tell what was answered. Whether an answer says its length in one way only is for whoever passes it on.
pub fn take_answer(
    buffer: &mut BytesMut,
    seen: &mut usize,
    most: usize,
    asked: &Method,
) -> Result<Option<Parsed<response::Parts>>, Fault> {
    let Some(head) = take(buffer, seen, most, OF_ANSWER)? else { return Ok(None) };
    let mut lines = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_LINES];
    let mut answer = httparse::Response::new(&mut []);
    let mut parser = ParserConfig::default();
    // A recipient takes it off instead of refusing the answer (RFC 9112, section 5.1).
    parser.allow_spaces_after_header_name_in_responses(true);
    whole(parser.parse_response_with_uninit_headers(&mut answer, &head, &mut lines), &head)?;
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = answer.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Fault::Syntax)?;
    parts.version = version(answer.version);
    parts.headers.reserve(answer.headers.len() + ADDED_TO_ANSWER);
    let said = Said::read(answer.headers, &head, &mut parts.headers)?;
    let framing = said.framing_of_answer(&parts, asked)?;
    let persistent = said.is_persistent(parts.version) && framing != Framing::UntilClose;
    Ok(Some(Parsed { head: parts, framing, spelling: Spelling::of(head.clone(), answer.headers), persistent }))
}

/// Lines of headers with the empty line behind them, and nothing else.
pub(super) fn lines(bytes: &Bytes) -> Result<HeaderMap, Fault> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    match httparse::parse_headers(bytes, &mut lines) {
        Ok(Status::Complete((length, lines))) if length == bytes.len() => {
            let mut headers = HeaderMap::with_capacity(lines.len());
            Said::read(lines, bytes, &mut headers).map(|_| headers)
        }
        _ => Err(Fault::Syntax),
    }
}

/// What is known of a head before it is read.
#[derive(Clone, Copy)]
struct Kind {
    /// What it begins with.
    begin: &'static [u8],
    /// Whether a bare LF ends a line.
    bare_lf: bool,
}

const OF_REQUEST: Kind = Kind { begin: b"", bare_lf: false };
const OF_ANSWER: Kind = Kind { begin: b"HTTP/1.", bare_lf: true };

/// Takes the bytes of one head, its empty line included.
fn take(buffer: &mut BytesMut, seen: &mut usize, most: usize, kind: Kind) -> Result<Option<Bytes>, Fault> {
    if *seen == 0 {
        // Empty lines before a message mean nothing (RFC 9112, section 2.2).
        while buffer.starts_with(b"\r\n") {
            buffer.advance(2);
        }
    }
    if buffer[..] == b"\r"[..] {
        return Ok(None);
    }
    let begun = buffer.len().min(kind.begin.len());
    if buffer[..begun] != kind.begin[..begun] {
        return Err(Fault::Syntax);
    }
    match end_of_lines(buffer, seen, kind.bare_lf)? {
        Some(length) if length <= most => {
            *seen = 0;
            // A copy: heads are kept for as long as an exchange lasts, and would keep all that was read with them.
            let head = Bytes::copy_from_slice(&buffer[..length]);
            buffer.advance(length);
            Ok(Some(head))
        }
        None if buffer.len() <= most => Ok(None),
        _ => Err(Fault::HeadSize),
    }
}

/// The length of lines up to the first empty one, and with it. Each of them ends with CR LF, or with a `bare_lf`.
pub(super) fn end_of_lines(bytes: &[u8], seen: &mut usize, bare_lf: bool) -> Result<Option<usize>, Fault> {
    for at in memchr::memchr_iter(b'\n', &bytes[*seen..]).map(|at| *seen + at) {
        match bytes[..at] {
            [.., b'\n', b'\r'] => return Ok(Some(at + 1)),
            [.., b'\r'] => {}
            [.., b'\n'] if bare_lf => return Ok(Some(at + 1)),
            _ if bare_lf => {}
            // Found again, for the search has not gone on.
            _ => return Err(Fault::LineEnd),
        }
    }
    *seen = bytes.len();
    Ok(None)
}

/// The head was found to be whole, so the parser has to agree.
fn whole(parsed: httparse::Result<usize>, head: &[u8]) -> Result<(), Fault> {
    match parsed {
        Ok(Status::Complete(length)) if length == head.len() => Ok(()),
        Ok(_) => Err(Fault::Syntax),
        Err(error) => Err(explain(error, head)),
    }
}

/// What exactly is wrong with a head that the parser refused.
#[cold]
fn explain(error: httparse::Error, head: &[u8]) -> Fault {
    let lines = memchr::memchr_iter(b'\n', head).count();
    let is_folded = || memchr::memchr_iter(b'\n', head).any(|at| matches!(head.get(at + 1), Some(b' ' | b'\t')));
    match error {
        httparse::Error::TooManyHeaders => Fault::HeadSize,
        _ if memchr::memchr_iter(b'\r', head).count() > lines => Fault::LineEnd,
        _ if is_folded() => Fault::ObsFold,
        _ => Fault::Syntax,
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// The target as it came. A fragment has no place in it (RFC 9112, section 3.2), and would be cut off.
fn target(path: &str, head: &Bytes) -> Result<Uri, Fault> {
    if memchr::memchr(b'#', path.as_bytes()).is_some() {
        return Err(Fault::Target);
    }
    Uri::from_maybe_shared(head.slice_ref(path.as_bytes())).map_err(|_| Fault::Target)
}

/// What the lines of a head say about the message itself.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    lengths: u32,
    /// A length is no number, or there are two of them.
    is_ambiguous: bool,
    codings: u32,
    chunked: u32,
    /// The last coding is `chunked`.
    ends_chunked: bool,
    /// What `Connection` says of its end; to close it goes before all else.
    keeps: Option<bool>,
}

impl Said {
    /// Reads all lines into a map.
    fn read(lines: &[Header<'_>], head: &Bytes, headers: &mut HeaderMap) -> Result<Self, Fault> {
        let mut said = Self::default();
        for line in lines {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Fault::Syntax)?;
            if name == CONTENT_LENGTH {
                said.read_length(line.value);
            } else if name == TRANSFER_ENCODING {
                said.read_coding(line.value);
            } else if name == CONNECTION {
                said.read_connection(line.value);
            }
            let value = HeaderValue::from_maybe_shared(head.slice_ref(line.value)).map_err(|_| Fault::Syntax)?;
            headers.try_append(name, value).map_err(|_| Fault::HeadSize)?;
        }
        Ok(said)
    }

    fn read_length(&mut self, value: &[u8]) {
        self.lengths += 1;
        for number in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(number).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            self.is_ambiguous |= number.is_none() || self.length.is_some_and(|known| Some(known) != number);
            self.length = self.length.or(number);
        }
        // A list of equal lengths is one length for an answer, and one too many for a request.
        self.lengths += u32::from(memchr::memchr(b',', value).is_some());
    }

    fn read_coding(&mut self, value: &[u8]) {
        for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.ends_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked += u32::from(self.ends_chunked);
            self.codings += 1;
            self.is_ambiguous |= value.is_empty();
        }
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keeps = Some(false);
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps = self.keeps.or(Some(true));
            }
        }
    }

    /// One reading or none (RFC 9112, sections 6.1 and 6.3).
    fn framing_of_request(&self, version: Version) -> Result<Framing, Fault> {
        if self.is_ambiguous || self.lengths > 1 || self.chunked > 1 || (self.lengths > 0 && self.codings > 0) {
            return Err(Fault::Framing);
        }
        match (self.codings, self.chunked) {
            (0, _) => Ok(self.length.filter(|length| *length > 0).map_or(Framing::Empty, Framing::Length)),
            (1, 1) if version == Version::HTTP_10 => Err(Fault::Framing),
            (1, 1) => Ok(Framing::Chunked),
            _ => Err(Fault::TransferCoding),
        }
    }

    fn framing_of_answer(&self, answer: &response::Parts, asked: &Method) -> Result<Framing, Fault> {
        let status = answer.status;
        if *asked == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        {
            return Ok(Framing::Empty);
        }
        match (self.codings, self.length) {
            (1.., _) if answer.version == Version::HTTP_10 => Err(Fault::Framing),
            (1.., _) if self.ends_chunked => Ok(Framing::Chunked),
            (1.., _) | (0, None) if !self.is_ambiguous => Ok(Framing::UntilClose),
            (0, Some(length)) if !self.is_ambiguous => Ok(Framing::Length(length)),
            _ => Err(Fault::Framing),
        }
    }

    fn is_persistent(&self, version: Version) -> bool {
        self.keeps.unwrap_or(version == Version::HTTP_11)
    }
}

#[cfg(test)]
mod tests;
