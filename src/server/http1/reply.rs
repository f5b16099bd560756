//! The head of an answer in HTTP/1: what frames its content, and whether the connection goes on behind it.

use std::fmt::Write;

use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request, response};

use crate::config::retain_headers;
use crate::server::date;
use crate::wire::{Framing, Parsed, Spelling, end_head, write_answer, write_line};

/// What of a request matters to its answer.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that a request says or not")]
pub(super) struct Asked {
    version: Version,
    is_head: bool,
    /// The consumer means to keep the connection.
    persistent: bool,
    /// The consumer reads trailers.
    pub(super) trailers: bool,
    /// The consumer waits to be told that its content is wanted.
    pub(super) expects: bool,
}

impl Asked {
    /// Of a request that is none.
    pub(super) const NOTHING: Self =
        Self { version: Version::HTTP_11, is_head: false, persistent: false, trailers: false, expects: false };

    pub(super) fn of(parsed: &Parsed<request::Parts>) -> Self {
        let head = &parsed.head;
        let (mut trailers, mut expects) = (false, false);
        for (name, value) in &head.headers {
            trailers |= *name == TE && has_option(value, b"trailers");
            expects |= *name == EXPECT && value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        }
        Self {
            version: head.version,
            is_head: head.method == Method::HEAD,
            persistent: parsed.persistent,
            trailers: trailers && head.version == Version::HTTP_11,
            expects: expects && head.version == Version::HTTP_11,
        }
    }
}

/// What may come behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    Next,
    Nothing,
    /// Another protocol.
    Another,
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) framing: Framing,
    pub(super) after: After,
    /// A length that the head does not say yet.
    length: Option<u64>,
    /// What is still to be said in `Connection`.
    connection: Option<&'static str>,
    has_date: bool,
}

impl Reply {
    /// To an answer whose content has `size` bytes, where that is known; `is_last` where the connection has to end.
    ///
    /// Takes out of the head what must not be said (RFC 9110, section 8.6; RFC 9112, section 6.1).
    pub(super) fn new(asked: Asked, head: &mut response::Parts, size: Option<u64>, is_last: bool) -> Self {
        let mut said = Said::read(&head.headers);
        if said.has_coding {
            retain_headers(&mut head.headers, |name| *name != TRANSFER_ENCODING);
        }
        let status = head.status;
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            if said.has_length {
                retain_headers(&mut head.headers, |name| *name != CONTENT_LENGTH);
            }
            said.length = None;
        }
        let (framing, length) = match (said.length, size) {
            _ if asked.is_head || has_no_content(status) => (Framing::Empty, None),
            (Some(length), _) => (Framing::Length(length), None),
            (None, Some(size)) => (Framing::Length(size), Some(size)),
            (None, None) if asked.version == Version::HTTP_11 => (Framing::Chunked, None),
            (None, None) => (Framing::UntilClose, None),
        };
        let persists = asked.persistent && !said.close && !is_last && framing != Framing::UntilClose;
        let connection = match asked.version {
            _ if status == StatusCode::SWITCHING_PROTOCOLS => None,
            Version::HTTP_11 => (!persists && !said.close).then_some("close"),
            _ => (persists && !said.keep_alive).then_some("keep-alive"),
        };
        let after = match persists {
            _ if status == StatusCode::SWITCHING_PROTOCOLS => After::Another,
            true => After::Next,
            false => After::Nothing,
        };
        Self { framing, after, length, connection, has_date: said.has_date }
    }

    /// Writes the whole head.
    pub(super) fn write(self, out: &mut BytesMut, asked: Asked, head: &response::Parts, spelling: Option<&Spelling>) {
        write_answer(out, asked.version, head.status, &head.headers, spelling);
        if let Some(length) = self.length {
            // Writing to memory cannot fail.
            let _ = write!(out, "{CONTENT_LENGTH}: {length}\r\n");
        }
        if self.framing == Framing::Chunked {
            write_line(out, TRANSFER_ENCODING.as_str(), b"chunked");
        }
        if let Some(connection) = self.connection {
            write_line(out, CONNECTION.as_str(), connection.as_bytes());
        }
        if !self.has_date {
            date::with_now(|now| write_line(out, DATE.as_str(), now));
        }
        end_head(out);
    }
}

/// What an answer's headers say that matters to its connection.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that a head says or not")]
struct Said {
    has_length: bool,
    length: Option<u64>,
    has_coding: bool,
    has_date: bool,
    close: bool,
    keep_alive: bool,
}

impl Said {
    fn read(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            if *name == CONTENT_LENGTH {
                said.has_length = true;
                said.length = value.to_str().ok().and_then(|text| text.parse().ok());
            } else if *name == TRANSFER_ENCODING {
                said.has_coding = true;
            } else if *name == DATE {
                said.has_date = true;
            } else if *name == CONNECTION {
                said.close |= has_option(value, b"close");
                said.keep_alive |= has_option(value, b"keep-alive");
            }
        }
        said
    }
}

/// Whether an answer with this status has content (RFC 9112, section 6.3).
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a list names an option, in upper or in lower case.
fn has_option(list: &HeaderValue, option: &[u8]) -> bool {
    list.as_bytes().split(|byte| *byte == b',').any(|named| named.trim_ascii().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests;
