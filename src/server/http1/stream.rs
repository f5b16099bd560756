//! A stream with what was read from it and not used yet, and what is to be written to it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::server::stream::Readable;
use crate::wire::{Decoder, Framing, Outbox};

/// Room for a read: at first, and once there was more to read than that.
const ROOM: usize = 8 << 10;
const MORE_ROOM: usize = 64 << 10;
/// Bytes behind a request that are read before it is answered.
const MOST_AHEAD: usize = 64 << 10;
/// Slices of one write.
const SLICES: usize = 16;

/// What HTTP/1 needs of a stream.
pub(in crate::server) trait Stream: AsyncRead + AsyncWrite + Readable + Unpin {}

impl<T: AsyncRead + AsyncWrite + Readable + Unpin> Stream for T {}

/// A stream, and its bytes on both ways.
pub(super) struct Wire<T: ?Sized> {
    /// Read, and not used. Without memory while the connection is idle.
    pub(super) input: BytesMut,
    /// How much of it was searched for the end of a head.
    pub(super) seen: usize,
    /// Bytes that the next read has room for.
    room: usize,
    /// Nothing more will come.
    pub(super) ended: bool,
    /// Of the content of the request under way.
    pub(super) decoder: Decoder,
    /// The consumer waits to be told that its content is wanted.
    pub(super) expects: bool,
    pub(super) output: Outbox,
    pub(super) stream: T,
}

impl<T> Wire<T> {
    pub(super) fn new(stream: T, ahead: BytesMut) -> Self {
        Self {
            input: ahead,
            seen: 0,
            room: ROOM,
            ended: false,
            decoder: Decoder::new(Framing::Empty),
            expects: false,
            output: Outbox::default(),
            stream,
        }
    }
}

impl<T: Stream + ?Sized> Wire<T> {
    /// Reads once, and says how many bytes came; 0 at the end of the stream. There is no buffer before there is something to
    /// read.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        if self.input.capacity() - self.input.len() < self.room / 4 {
            ready!(self.stream.poll_readable(cx))?;
            self.input.reserve(self.room);
        }
        let spare = self.input.capacity() - self.input.len();
        let polled = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match polled {
            Poll::Ready(Ok(0)) => self.ended = true,
            Poll::Ready(Ok(count)) if count == spare => self.room = MORE_ROOM,
            Poll::Pending if self.input.is_empty() => self.input = BytesMut::new(),
            _ => {}
        }
        polled
    }

    /// Reads what comes behind a request, up to a limit, for an error or the end.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.ended && self.input.len() < MOST_AHEAD {
            match self.poll_fill(cx) {
                Poll::Ready(read) => read?,
                Poll::Pending => break,
            };
        }
        Ok(())
    }

    /// Writes everything.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.output.slices(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = if count == 1 {
                stream.poll_write(cx, self.output.first())
            } else {
                stream.poll_write_vectored(cx, &slices[..count])
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends what is written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Gives back the memory of buffers that hold nothing.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output.release();
        }
    }

    /// A request is over: the next one begins with little room again.
    pub(super) fn renew(&mut self) {
        self.room = ROOM;
        self.rest();
    }
}
