//! One connection in HTTP/1.1, idle or with an exchange on it.

use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::{Method, response};

use super::stream::Stream;
use crate::wire::{Decoded, Decoder, Fault, Parsed, take_answer};

/// Bytes of an answer's head; twice what Envoy takes.
const MOST_HEAD: usize = 128 << 10;
/// Room for what is read first: nearly every head, and most answers.
const FIRST_ROOM: usize = 8 << 10;
/// Room for content that comes faster than it is read.
const MOST_ROOM: usize = 64 << 10;

/// A connection in HTTP/1.1. It holds no memory for reading before there is something to read, and none while it is idle.
pub(in crate::upstream) struct Connection {
    pub(super) stream: Stream,
    pub(super) buffer: BytesMut,
    /// How much of the buffer was searched for the end of a head.
    seen: usize,
    room: usize,
    /// When it was used last.
    since: Instant,
    /// From when on it takes no new requests.
    until: Instant,
}

impl Connection {
    pub(in crate::upstream) fn new(stream: Stream, until: Instant) -> Self {
        Self { stream, buffer: BytesMut::new(), seen: 0, room: FIRST_ROOM, since: Instant::now(), until }
    }

    /// Whether it can take another request at all, with what its last exchange left; `now` is when that ended.
    pub(in crate::upstream) fn rest(&mut self, now: Instant) -> bool {
        // What follows an answer belongs to nobody.
        let is_clean = self.buffer.is_empty();
        (self.buffer, self.room, self.since) = (BytesMut::new(), FIRST_ROOM, now);
        is_clean && now < self.until
    }

    /// Whether an idle connection is still open and its peer silent.
    pub(in crate::upstream) fn is_quiet(&mut self) -> bool {
        self.stream.is_quiet()
    }

    /// Whether an idle connection is kept: neither too old nor unused for `longest`, and [quiet](Self::is_quiet).
    pub(in crate::upstream) fn is_kept(&mut self, now: Instant, longest: Duration) -> bool {
        now.saturating_duration_since(self.since) <= longest && now < self.until && self.is_quiet()
    }

    /// The head of an answer to a request of this method, if it is whole.
    pub(super) fn take_head(&mut self, asked: &Method) -> Result<Option<Parsed<response::Parts>>, Fault> {
        if self.buffer.is_empty() { Ok(None) } else { take_answer(&mut self.buffer, &mut self.seen, MOST_HEAD, asked) }
    }

    /// The next piece of content, as far as it was read.
    pub(super) fn take_content(&mut self, decoder: &mut Decoder) -> Result<Decoded, Fault> {
        decoder.decode(&mut self.buffer)
    }

    /// Reads more; 0 is the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_fill(&mut self.buffer, self.room, cx);
        if matches!(polled, Poll::Ready(Ok(_))) && self.buffer.len() == self.buffer.capacity() {
            self.room = (self.room * 2).min(MOST_ROOM);
        }
        polled
    }
}
