//! The content of a message in its framing (RFC 9112, section 6).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::SizeHint;

use super::Fault;
use super::chunked::{Chunked, Next, Size};
use super::outbox::Outbox;
use super::trailers::may_trail;
use super::write::{end_head, write_line};

/// How the end of a message's content is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks, the last of which says so.
    Chunked,
    /// All that comes. Of answers only.
    UntilClose,
}

/// Content on its way in.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Over,
}

/// What was found in the bytes so far.
#[derive(Debug)]
pub enum Decoded {
    /// A piece of content, never empty.
    Data(Bytes),
    /// What comes after the content; nothing else does.
    Trailers(HeaderMap),
    /// More bytes are needed.
    More,
    /// The content is over; what is in the buffer belongs to something else.
    Over,
}

impl Decoder {
    /// At the begin of content.
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Empty | Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::begin()),
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Takes the next piece of content off the front of `buffer`.
    ///
    /// # Errors
    /// [`Fault::Chunk`], after which nothing of the buffer has a meaning. It is found again when asked again.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Fault> {
        match &mut self.0 {
            State::Over => Ok(Decoded::Over),
            _ if buffer.is_empty() => Ok(Decoded::More),
            State::UntilClose => Ok(Decoded::Data(buffer.split().freeze())),
            State::Length(left) => {
                let piece = take(buffer, left);
                if *left == 0 {
                    self.0 = State::Over;
                }
                Ok(Decoded::Data(piece))
            }
            State::Chunked(at) => match at.next(buffer)? {
                Next::More => Ok(Decoded::More),
                Next::Data(piece) => {
                    // The end is mostly there as well, and whoever asks for it first saves a look for more.
                    if at.is_over(buffer) {
                        self.0 = State::Over;
                    }
                    Ok(Decoded::Data(piece))
                }
                Next::Trailers(trailers) => {
                    self.0 = State::Over;
                    Ok(Decoded::Trailers(trailers))
                }
                Next::Over => {
                    self.0 = State::Over;
                    Ok(Decoded::Over)
                }
            },
        }
    }

    /// No more bytes will come.
    ///
    /// # Errors
    /// [`Fault::Cut`] where the content is not over by that.
    pub fn end_of_input(&mut self) -> Result<(), Fault> {
        match self.0 {
            State::Over | State::UntilClose => {
                self.0 = State::Over;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(Fault::Cut),
        }
    }

    /// Whether the content is over.
    pub const fn is_over(&self) -> bool {
        matches!(self.0, State::Over)
    }

    /// What is known of the rest.
    pub fn size_hint(&self) -> SizeHint {
        match self.0 {
            State::Over => SizeHint::with_exact(0),
            State::Length(left) => SizeHint::with_exact(left),
            State::Chunked(_) | State::UntilClose => SizeHint::default(),
        }
    }
}

/// Takes as much as there is of so many bytes.
pub(super) fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let taken = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    *left -= taken as u64;
    buffer.split_to(taken).freeze()
}

/// Content does not have the length that its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content is not as long as its head says")]
pub struct Mismatch;

/// Content on its way out.
#[derive(Debug)]
pub struct Encoder(Framing);

impl Encoder {
    /// At the begin of content.
    pub const fn new(framing: Framing) -> Self {
        Self(framing)
    }

    /// Appends a piece of content.
    ///
    /// # Errors
    /// Where there is more of it than there may be; nothing is appended then.
    pub fn data(&mut self, piece: Bytes, outbox: &mut Outbox) -> Result<(), Mismatch> {
        if piece.is_empty() {
            return Ok(());
        }
        match &mut self.0 {
            Framing::Empty => return Err(Mismatch),
            Framing::Length(left) => *left = left.checked_sub(piece.len() as u64).ok_or(Mismatch)?,
            Framing::UntilClose => {}
            Framing::Chunked => {
                outbox.tail().extend_from_slice(Size::of(piece.len()).line());
                outbox.push(piece);
                outbox.tail().extend_from_slice(b"\r\n");
                return Ok(());
            }
        }
        outbox.push(piece);
        Ok(())
    }

    /// Appends the end of the content.
    ///
    /// # Errors
    /// Where there is less of it than there should be.
    pub fn end(&mut self, outbox: &mut Outbox) -> Result<(), Mismatch> {
        match self.0 {
            Framing::Length(1..) => Err(Mismatch),
            Framing::Chunked => {
                outbox.tail().extend_from_slice(b"0\r\n\r\n");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Appends the end of the content with trailers. Only chunks have a place for them; elsewhere they are left out, and so are
    /// fields that frame, route or authenticate (RFC 9110, section 6.5.1).
    ///
    /// # Errors
    /// Those of [`end`](Self::end).
    pub fn trailers(&mut self, trailers: &HeaderMap, outbox: &mut Outbox) -> Result<(), Mismatch> {
        if self.0 != Framing::Chunked {
            return self.end(outbox);
        }
        let tail = outbox.tail();
        tail.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
            write_line(tail, name.as_str(), value.as_bytes());
        }
        end_head(tail);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
