//! Reads over whole JSON values that no place lies in: their grammar is checked in full, and nothing of them is kept.
//!
//! A value is told by its first byte. The containers around it are one bit each, so nesting takes next to no room, and no
//! stack: it has no limit.

#![expect(clippy::inline_always, reason = "a call per token costs more than most tokens")]

use super::token::{NotJson, Read, expect, key, literal, number, some_space, space, string};

/// Reads over one value, white space before it included; gives what follows.
pub(super) fn value(rest: &[u8]) -> Read<'_> {
    to_end(rest, Nesting { inner: Nesting::NONE, outer: &mut Vec::new() })
}

/// Reads over an array from where one of its elements has to be, up to and including its end.
pub(super) fn elements(rest: &[u8]) -> Read<'_> {
    let mut open = Nesting { inner: Nesting::NONE, outer: &mut Vec::new() };
    open.push(Kind::Array);
    to_end(rest, open)
}

/// Reads from where a value has to be until that value, and whatever is open around it, has ended.
///
/// What is common is asked first: strings, then numbers, white space late.
#[inline(never)]
fn to_end<'a>(mut rest: &'a [u8], mut open: Nesting<'_>) -> Read<'a> {
    loop {
        let (first, after) = rest.split_first().ok_or(NotJson)?;
        rest = if *first == b'"' {
            string(after)?
        } else if first.is_ascii_digit() {
            number(rest)?
        } else if *first == b'{' {
            open.push(Kind::Object);
            match space(after) {
                end @ [b'}', ..] => end,
                inside => {
                    rest = member(inside)?;
                    continue;
                }
            }
        } else if *first == b'[' {
            open.push(Kind::Array);
            match space(after) {
                end @ [b']', ..] => end,
                inside => {
                    rest = inside;
                    continue;
                }
            }
        } else if *first == b' ' {
            rest = after;
            continue;
        } else if *first < b' ' {
            rest = some_space(rest)?;
            continue;
        } else if *first == b'-' {
            number(after)?
        } else {
            literal(rest)?
        };
        rest = match next(rest, &mut open)? {
            Next::Value(rest) => rest,
            Next::Nothing(rest) => return Ok(rest),
        }
    }
}

/// What comes behind a value.
enum Next<'a> {
    /// The next one of a container that is open.
    Value(&'a [u8]),
    /// Nothing that was open: all of it has ended.
    Nothing(&'a [u8]),
}

/// Reads from behind a value over the ends of containers, to the next value.
#[inline(always)]
fn next<'a>(mut rest: &'a [u8], open: &mut Nesting<'_>) -> Result<Next<'a>, NotJson> {
    loop {
        match open.innermost() {
            Some(Kind::Object) => {
                // Both bytes at once.
                if let Some(after) = rest.strip_prefix(b",\"") {
                    return key(after).map(Next::Value);
                }
                match rest {
                    [b'}', after @ ..] => rest = open.pop(after),
                    [b',', after @ ..] => return member(after).map(Next::Value),
                    _ => rest = some_space(rest)?,
                }
            }
            Some(Kind::Array) => match rest {
                [b',', after @ ..] => return Ok(Next::Value(after)),
                [b']', after @ ..] => rest = open.pop(after),
                _ => rest = some_space(rest)?,
            },
            None => return Ok(Next::Nothing(rest)),
        }
    }
}

/// Reads over the key of a member and its colon.
#[inline(always)]
fn member(rest: &[u8]) -> Read<'_> {
    key(expect(b'"', rest)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
}

/// The containers that are open, one bit each.
struct Nesting<'v> {
    /// The innermost ones, last one lowest, below a bit that is set; [`Self::NONE`] only if nothing is open.
    inner: u64,
    /// Those around them, in words of 63. Lent, for only so is `inner` kept in a register.
    outer: &'v mut Vec<u64>,
}

impl Nesting<'_> {
    const NONE: u64 = 1;

    #[inline(always)]
    fn push(&mut self, kind: Kind) {
        if self.inner.leading_zeros() == 0 {
            self.inner = spill(self.inner, self.outer);
        }
        self.inner = self.inner << 1 | kind as u64;
    }

    /// Passes on what follows the end of the innermost one.
    #[inline(always)]
    fn pop<'a>(&mut self, after: &'a [u8]) -> &'a [u8] {
        self.inner >>= 1;
        if self.inner == Self::NONE {
            self.inner = refill(self.outer);
        }
        after
    }

    #[inline(always)]
    fn innermost(&self) -> Option<Kind> {
        match self.inner {
            inner if inner & 1 == 0 => Some(Kind::Object),
            Self::NONE => None,
            _ => Some(Kind::Array),
        }
    }
}

/// Out of line, as [`refill`] is: what happens once in 63 levels must not take registers from the rest.
#[cold]
#[inline(never)]
fn spill(inner: u64, outer: &mut Vec<u64>) -> u64 {
    outer.push(inner);
    Nesting::NONE
}

#[cold]
#[inline(never)]
fn refill(outer: &mut Vec<u64>) -> u64 {
    outer.pop().unwrap_or(Nesting::NONE)
}
