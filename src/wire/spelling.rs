//! How a sender spelled a head. Names are the same in upper and in lower case, but not to every consumer and every backend.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use httparse::Header;

/// The names in a head, and the reason phrase of an answer, as they came. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Spelling(Option<Rc<Spelled>>);

#[derive(Debug)]
struct Spelled {
    head: Bytes,
    /// Where the names are, in order.
    names: Vec<Range<u32>>,
}

impl Spelling {
    /// Of a head, and its lines as they were found in it.
    pub(super) fn of(head: Bytes, lines: &[Header<'_>]) -> Self {
        let begin = |name: &str| (name.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize) as u32;
        let range = |line: &Header<'_>| begin(line.name)..begin(line.name) + line.name.len() as u32;
        let names = lines.iter().map(range).collect();
        Self(Some(Rc::new(Spelled { head, names })))
    }

    pub(super) fn names(&self) -> Names<'_> {
        Names { spelled: self.0.as_deref(), at: 0, passed: 0, all: None }
    }

    /// The reason phrase of an answer with this status.
    pub(super) fn reason(&self, status: StatusCode) -> Option<&[u8]> {
        let head = &self.0.as_ref()?.head;
        let line = head[..memchr::memchr(b'\n', head)?].trim_ascii_end();
        let rest = line.get("HTTP/1.1 ".len()..)?.strip_prefix(status.as_str().as_bytes())?;
        Some(rest.strip_prefix(b" ").unwrap_or(rest))
    }
}

impl Spelled {
    fn name(&self, at: usize) -> Option<&[u8]> {
        self.names.get(at).and_then(|name| self.head.get(name.start as usize..name.end as usize))
    }
}

/// The names in a head. They are asked for in nearly the same order.
pub(super) struct Names<'a> {
    spelled: Option<&'a Spelled>,
    /// The name that is expected next.
    at: usize,
    /// A bit for each name before that one, where some were passed over and may be asked for later.
    passed: u64,
    /// A bit for each name of all, once that was of interest.
    all: Option<u64>,
}

impl<'a> Names<'a> {
    /// The spelling on the `nth` line of a name. After a name's line come those of the same name that are left, if they are
    /// asked for at all.
    pub(super) fn spelled(&mut self, name: &HeaderName, nth: usize) -> Option<&'a [u8]> {
        let spelled = self.spelled?;
        let Some(next) = spelled.name(self.at) else {
            // All were asked for, and none was passed over: this one was added.
            return if self.passed == 0 && nth == 0 { None } else { self.find(name, nth) };
        };
        let is_first = nth > 0 || self.passed == 0 || self.passed & bit(next) == 0;
        if is_first && next.eq_ignore_ascii_case(name.as_str().as_bytes()) {
            self.at += 1;
            return Some(next);
        }
        self.find(name, nth)
    }

    /// Looks for it from the begin.
    fn find(&mut self, name: &HeaderName, nth: usize) -> Option<&'a [u8]> {
        let (spelled, wanted) = (self.spelled?, name.as_str().as_bytes());
        if self.all.is_some_and(|all| all & bit(wanted) == 0) {
            return None;
        }
        let (mut left, mut passed) = (nth, 0);
        for at in 0..spelled.names.len() {
            let next = spelled.name(at)?;
            if next.eq_ignore_ascii_case(wanted) {
                if left == 0 {
                    (self.at, self.passed) = (at + 1, passed);
                    return Some(next);
                }
                left -= 1;
            }
            passed |= bit(next);
        }
        self.all = Some(passed);
        None
    }
}

/// Few names of one head share a bit, and those that do are only looked for once more.
fn bit(name: &[u8]) -> u64 {
    let (first, last) = (name.first().unwrap_or(&0), name.last().unwrap_or(&0));
    let mixed = (first.to_ascii_lowercase() as usize) * 7 + (last.to_ascii_lowercase() as usize) * 3 + name.len();
    1 << (mixed % 64)
}
