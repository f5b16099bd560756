//! The tokens of JSON (RFC 8259), read over: each function takes what is left of a document, and gives what follows.
//!
//! Strings, digits and indentation are read eight bytes at a time, as the bytes of a word.

#![expect(clippy::inline_always, reason = "a call per token costs more than most tokens")]

/// These bytes are no JSON document. Says nothing of what is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::score) struct NotJson;

/// What is left of a document.
pub(super) type Read<'a> = Result<&'a [u8], NotJson>;

/// Reads over white space (section 2), if there is any.
#[inline(always)]
pub(super) fn space(rest: &[u8]) -> &[u8] {
    match rest {
        [b' ' | b'\n' | b'\r' | b'\t', after @ ..] => more_space(after),
        _ => rest,
    }
}

/// Reads over white space that has to be there.
#[inline(never)]
pub(super) fn some_space(rest: &[u8]) -> Read<'_> {
    match rest {
        [b' ' | b'\n' | b'\r' | b'\t', after @ ..] => Ok(more_space(after)),
        _ => Err(NotJson),
    }
}

/// Indentation is mostly spaces, and long.
fn more_space(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = to_byte(rest, |word| word ^ each(b' '), |byte| byte != b' ');
        match rest {
            [b'\n' | b'\r' | b'\t', after @ ..] => rest = after,
            _ => return rest,
        }
    }
}

/// Reads over a byte that has to be there, and over white space before it.
#[inline(always)]
pub(super) fn expect(byte: u8, rest: &[u8]) -> Read<'_> {
    match rest {
        [first, after @ ..] if *first == byte => Ok(after),
        _ => match space(rest) {
            [first, after @ ..] if *first == byte => Ok(after),
            _ => Err(NotJson),
        },
    }
}

/// Reads over `null`, `true` or `false` (section 3).
pub(super) fn literal(rest: &[u8]) -> Read<'_> {
    let names: [&[u8]; 3] = [b"null", b"true", b"false"];
    names.into_iter().find_map(|name| rest.strip_prefix(name)).ok_or(NotJson)
}

/// Reads over a number (section 6) from behind its sign.
#[inline(always)]
pub(super) fn number(rest: &[u8]) -> Read<'_> {
    let rest = match rest {
        // Whatever follows a value, it is no digit.
        [b'0', after @ ..] => after,
        _ => digits(rest)?,
    };
    let rest = match rest {
        [b'.', after @ ..] => digits(after)?,
        _ => rest,
    };
    match rest {
        [b'e' | b'E', after @ ..] => exponent(after),
        _ => Ok(rest),
    }
}

#[cold]
#[inline(never)]
fn exponent(rest: &[u8]) -> Read<'_> {
    match rest {
        [b'+' | b'-', after @ ..] => digits(after),
        _ => digits(rest),
    }
}

/// Reads over digits, one at least.
#[inline(always)]
fn digits(rest: &[u8]) -> Read<'_> {
    match rest {
        [b'0'..=b'9', ..] => Ok(to_byte(rest, non_digits, |byte| !byte.is_ascii_digit())),
        _ => Err(NotJson),
    }
}

/// Reads over a string (section 7) from behind its first quotation mark, up to and including its last one. Its bytes are
/// checked for UTF-8 elsewhere, and that surrogates come in pairs is not asked.
#[inline(always)]
pub(super) fn string(rest: &[u8]) -> Read<'_> {
    match to_mark(rest) {
        [b'"', after @ ..] => Ok(after),
        mark => string_from_mark(mark),
    }
}

/// The same, and over the colon behind it.
#[inline(always)]
pub(super) fn key(rest: &[u8]) -> Read<'_> {
    let mark = to_mark(rest);
    // Both bytes at once.
    match mark.strip_prefix(b"\":") {
        Some(after) => Ok(after),
        None => expect(b':', string_from_mark(mark)?),
    }
}

/// Reads over what is left of a string, from where [`to_mark`] ended.
#[inline(never)]
pub(super) fn string_from_mark(mut rest: &[u8]) -> Read<'_> {
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Ok(after),
            [b'\\', after @ ..] => to_mark(escape(after)?),
            _ => return Err(NotJson),
        }
    }
}

/// Reads on within a string, up to the next quotation mark, backslash or control character.
#[inline(always)]
pub(super) fn to_mark(rest: &[u8]) -> &[u8] {
    to_byte(rest, marks, |byte| matches!(byte, b'"' | b'\\' | ..0x20))
}

fn escape(rest: &[u8]) -> Read<'_> {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => Ok(after),
        [b'u', a, b, c, d, after @ ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => Ok(after),
        _ => Err(NotJson),
    }
}

/// Reads up to the first byte that `is_found`, or the end. `find` looks for it among eight at once: the lowest bit that it sets
/// lies in that byte, and it sets none if there is no such byte.
#[inline(always)]
fn to_byte(mut rest: &[u8], find: impl Fn(u64) -> u64, is_found: impl Fn(u8) -> bool) -> &[u8] {
    while let Some(eight) = rest.first_chunk() {
        let found = find(u64::from_le_bytes(*eight));
        if found != 0 {
            return &rest[found.trailing_zeros() as usize / 8..];
        }
        rest = &rest[8..];
    }
    last_to_byte(rest, is_found)
}

#[cold]
#[inline(never)]
fn last_to_byte(rest: &[u8], is_found: impl Fn(u8) -> bool) -> &[u8] {
    let end = rest.iter().position(|byte| is_found(*byte));
    &rest[end.unwrap_or(rest.len())..]
}

/// A word of which each byte is this one.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Finds quotation marks, backslashes and control characters.
///
/// A byte that is less than what is subtracted gets its highest bit, and borrows from the byte above it: the lowest bit is
/// right, those above it may not be (Mycroft's test for a zero byte, 1987). Xored with 2, the quotation mark is 0x20, control
/// characters stay below that, and nothing else comes there.
#[inline(always)]
const fn marks(word: u64) -> u64 {
    let backslashes = (word ^ each(b'\\')).wrapping_sub(each(1));
    let others = (word ^ each(0x02)).wrapping_sub(each(0x21));
    (backslashes | others) & !word & each(0x80)
}

/// Finds what is no digit: xored with `0`, it is ten or more, and so has its highest bit, or gets it from an addition. What is
/// carried changes only the bytes above.
#[inline(always)]
const fn non_digits(word: u64) -> u64 {
    let values = word ^ each(b'0');
    (values.wrapping_add(each(0x80 - 10)) | values) & each(0x80)
}
