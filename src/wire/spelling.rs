//! How a sender spelled a head. Names are the same in upper and in lower case, but not to every consumer and every backend.

use bytes::Bytes;
use http::{HeaderName, StatusCode};

/// The head as it came, for the spelling of its names and of its reason phrase; nothing else is read from it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Spelling(Bytes);

impl Spelling {
    pub(super) const fn of(head: Bytes) -> Self {
        Self(head)
    }

    pub(super) fn lines(&self) -> Lines<'_> {
        // The first line is no header.
        let rest = first_line(&self.0).map_or(&[][..], |(_, rest)| rest);
        Lines { rest, next: None, passed: 0 }
    }

    /// The reason phrase of an answer with this status.
    pub(super) fn reason(&self, status: StatusCode) -> Option<&[u8]> {
        let (line, _) = first_line(&self.0)?;
        let rest = line.get("HTTP/1.1 ".len()..)?.strip_prefix(status.as_str().as_bytes())?;
        Some(rest.strip_prefix(b" ").unwrap_or(rest))
    }
}

/// The names in a head, in order. They are asked for in nearly the same order.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// The name on the line before `rest`, where it is not used yet.
    next: Option<&'a [u8]>,
    /// A bit for each name that was passed over, and that may be asked for later.
    passed: u64,
}

impl<'a> Lines<'a> {
    fn advance(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = first_line(self.rest)?;
        let name = name_of(line)?;
        self.rest = rest;
        self.next = Some(name);
        self.next
    }

    /// The spelling of a name's next line, if that is the next line of all; `again` where the name's line before was the last
    /// one asked for.
    pub(super) fn expect(&mut self, name: &HeaderName, again: bool) -> Option<&'a [u8]> {
        let next = self.next.or_else(|| self.advance())?;
        let is_first = again || self.passed & bit(next) == 0;
        let is_it = is_first && next.eq_ignore_ascii_case(name.as_str().as_bytes());
        is_it.then(|| {
            self.next = None;
            next
        })
    }

    /// The spelling of the `nth` line of a name, wherever it is; the lines after it are expected next.
    pub(super) fn find(mut self, name: &HeaderName, nth: usize) -> Option<(&'a [u8], Self)> {
        let mut left = nth;
        while let Some(next) = self.advance() {
            if next.eq_ignore_ascii_case(name.as_str().as_bytes()) {
                if left == 0 {
                    self.next = None;
                    return Some((next, self));
                }
                left -= 1;
            }
            self.passed |= bit(next);
        }
        None
    }
}

/// Few names of one head share a bit, and those that do are only looked for once more.
fn bit(name: &[u8]) -> u64 {
    let (first, last) = (name.first().unwrap_or(&0), name.last().unwrap_or(&0));
    let mixed = (first.to_ascii_lowercase() as usize) * 7 + (last.to_ascii_lowercase() as usize) * 3 + name.len();
    1 << (mixed % 64)
}

fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// The name on a header line; the empty line has none. Space before the colon is passed over (RFC 9112, section 5.1).
fn name_of(line: &[u8]) -> Option<&[u8]> {
    Some(line[..memchr::memchr(b':', line)?].trim_ascii_end())
}
