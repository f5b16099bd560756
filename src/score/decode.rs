//! Content decoding (RFC 9110, section 8.4) of the copy that is scored; the consumer gets the bytes as sent.
//!
//! Written for hostile bytes: the output has a cap, the number of codings is bounded, windows are bounded by the codings
//! themselves (32 KiB for deflate, 16 MiB for br by RFC 7932, 8 MiB for zstd by RFC 9659, where the output is the window), and a stream that breaks off
//! early or goes on after its end is an error.

mod brotli;
mod deflate;
mod zstd;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, header};

/// More codings than any server stacks; each one may multiply the work.
const MAX_CODINGS: usize = 4;

/// Why a body has no decoded form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// Not what `content-encoding` says, broken off, an unknown coding, or too many of them.
    Broken,
    /// More than the cap.
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Undoes the codings that the headers name, last one first. Neither the result nor what lies between two codings is
/// larger than `cap` bytes.
///
/// # Errors
/// See [`Undecodable`].
pub(super) fn decode<'a>(headers: &HeaderMap, body: Cow<'a, [u8]>, cap: usize) -> Result<Cow<'a, [u8]>, Undecodable> {
    let decoded =
        codings(headers)?.into_iter().rev().try_fold(body, |body, coding| undo(coding, &body, cap).map(Cow::Owned))?;
    if decoded.len() > cap { Err(Undecodable::TooLarge) } else { Ok(decoded) }
}

/// The content of an answer as it was meant: without its content codings; `None` where they cannot be undone, or more than
/// `cap` bytes come out.
pub fn decoded<'a>(headers: &HeaderMap, sent: &'a [Bytes], cap: usize) -> Option<Cow<'a, [u8]>> {
    let sent = match sent {
        [one] => Cow::Borrowed(&one[..]),
        several => Cow::Owned(several.concat()),
    };
    decode(headers, sent, cap).ok()
}

/// The codings in the order in which they were applied, without `identity`.
fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Undecodable> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let list = value.to_str().map_err(|_| Undecodable::Broken)?;
        for name in list.split(',').map(str::trim) {
            codings.extend(named(name)?);
            if codings.len() > MAX_CODINGS {
                return Err(Undecodable::Broken);
            }
        }
    }
    Ok(codings)
}

/// Names are case-insensitive; empty list elements are ignored (RFC 9110, section 5.6.1.2).
fn named(name: &str) -> Result<Option<Coding>, Undecodable> {
    let known = [
        ("gzip", Some(Coding::Gzip)),
        ("br", Some(Coding::Brotli)),
        ("zstd", Some(Coding::Zstd)),
        ("deflate", Some(Coding::Deflate)),
        ("x-gzip", Some(Coding::Gzip)),
        ("identity", None),
        ("", None),
    ];
    let coding = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    coding.map(|(_, coding)| coding).ok_or(Undecodable::Broken)
}

fn undo(coding: Coding, body: &[u8], cap: usize) -> Result<Vec<u8>, Undecodable> {
    let mut output = Output::new(cap);
    match coding {
        Coding::Gzip => deflate::gzip(body, &mut output)?,
        Coding::Deflate => deflate::deflate(body, &mut output)?,
        Coding::Brotli => brotli::brotli(body, &mut output)?,
        Coding::Zstd => zstd::zstd(body, &mut output)?,
    }
    Ok(output.bytes)
}

/// Decoded bytes, never more than the cap, in a buffer that never has more capacity than the cap.
#[derive(Debug)]
struct Output {
    bytes: Vec<u8>,
    cap: usize,
}

impl Output {
    const fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), cap }
    }

    /// Makes room for `more` bytes, doubling as a `Vec` does, but only up to the cap.
    fn reserve(&mut self, more: usize) -> Result<(), Undecodable> {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted > self.cap {
            return Err(Undecodable::TooLarge);
        }
        if wanted > self.bytes.capacity() {
            let doubled = wanted.max(self.bytes.capacity() * 2).min(self.cap);
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Undecodable> {
        self.reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
