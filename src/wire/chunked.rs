//! Content in chunks (RFC 9112, section 7.1), read strictly: what other recipients could read differently is a fault.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::Fault;
use super::content::take;
use super::head;

/// Bytes of extensions that one content may have; they mean nothing to anybody.
const MOST_EXTENSIONS: u16 = 16 << 10;
/// Bytes of trailers.
const MOST_TRAILERS: usize = 16 << 10;

/// A place in content in chunks.
#[derive(Debug)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of extensions so far.
    extensions: u16,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// In the digits of a size; whether there was one.
    Size(u64, bool),
    /// Behind the digits, with space after them.
    Space(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// Behind the last chunk; so many bytes of trailers were looked at.
    Trailers(usize),
}

/// What comes next.
pub(super) enum Next {
    More,
    Data(Bytes),
    Trailers(HeaderMap),
    Over,
}

impl Chunked {
    pub(super) const fn begin() -> Self {
        Self { at: At::Size(0, false), extensions: 0 }
    }

    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Next, Fault> {
        self.frame(buffer)?;
        match &mut self.at {
            At::Trailers(_) => self.trailers(buffer),
            At::Data(left) if !buffer.is_empty() => {
                let piece = take(buffer, left);
                if *left == 0 {
                    self.at = At::DataCr;
                }
                Ok(Next::Data(piece))
            }
            _ => Ok(Next::More),
        }
    }

    /// Whether nothing but the end is left, and it is there: then it is taken as well.
    pub(super) fn is_over(&self, buffer: &mut BytesMut) -> bool {
        let is_over = matches!(self.at, At::DataCr) && buffer.starts_with(b"\r\n0\r\n\r\n");
        if is_over {
            buffer.advance(b"\r\n0\r\n\r\n".len());
        }
        is_over
    }

    /// Goes to the begin of what is in a chunk, or behind the last one, as far as there are bytes.
    fn frame(&mut self, buffer: &mut BytesMut) -> Result<(), Fault> {
        let mut taken = 0;
        for &byte in buffer.iter() {
            if matches!(self.at, At::Data(_) | At::Trailers(_)) {
                break;
            }
            self.at = self.step(byte)?;
            taken += 1;
        }
        buffer.advance(taken);
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<At, Fault> {
        Ok(match (self.at, byte) {
            (At::Size(size, any), _) => return after_size_byte(size, any, byte),
            (At::Extension(size) | At::Space(size), b'\r') => At::SizeLf(size),
            (At::Space(size), b' ' | b'\t') if self.extensions < MOST_EXTENSIONS => {
                self.extensions += 1;
                At::Space(size)
            }
            // What is neither space nor an extension could be more of the size to somebody else.
            (At::Space(size), b';') => At::Extension(size),
            (At::Extension(size), byte) if byte != b'\n' && self.extensions < MOST_EXTENSIONS => {
                self.extensions += 1;
                At::Extension(size)
            }
            (At::SizeLf(0), b'\n') => At::Trailers(0),
            (At::SizeLf(size), b'\n') => At::Data(size),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0, false),
            _ => return Err(Fault::Chunk),
        })
    }

    /// What is behind the last chunk: an empty line, or header lines before it.
    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Next, Fault> {
        let At::Trailers(seen) = &mut self.at else { return Ok(Next::More) };
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            return Ok(Next::Over);
        }
        match head::end_of_lines(buffer, seen, false).map_err(|_| Fault::Chunk)? {
            Some(length) if length <= MOST_TRAILERS => {
                let lines = buffer.split_to(length).freeze();
                head::lines(&lines).map(Next::Trailers).map_err(|_| Fault::Chunk)
            }
            None if buffer.len() <= MOST_TRAILERS => Ok(Next::More),
            _ => Err(Fault::Chunk),
        }
    }
}

fn after_size_byte(size: u64, any: bool, byte: u8) -> Result<At, Fault> {
    if let Some(digit) = char::from(byte).to_digit(16) {
        let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
        return size.map(|size| At::Size(size, true)).ok_or(Fault::Chunk);
    }
    match byte {
        b'\r' if any => Ok(At::SizeLf(size)),
        b' ' | b'\t' if any => Ok(At::Space(size)),
        b';' if any => Ok(At::Extension(size)),
        _ => Err(Fault::Chunk),
    }
}

/// The line before a chunk.
pub(super) struct Size {
    line: [u8; 18],
    from: usize,
}

impl Size {
    pub(super) fn of(mut size: usize) -> Self {
        let mut line = [b'\n'; 18];
        line[16] = b'\r';
        let mut from = 16;
        while from == 16 || size > 0 {
            from -= 1;
            line[from] = b"0123456789abcdef"[size % 16];
            size /= 16;
        }
        Self { line, from }
    }

    pub(super) fn line(&self) -> &[u8] {
        &self.line[self.from..]
    }
}
