//! Streams below HTTP: one that tells what it does, and one whose first bytes were read to learn what is spoken on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connections::Witness;
use crate::refusal::Refusal;

/// A stream that can be waited for without a buffer to read into.
pub(super) trait Readable {
    /// Ready when a read would not have to wait: there are bytes, or the end, or an error. May be ready for nothing.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Readable for TlsStream<Observed> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_fill_buf(cx).map_ok(|_| ())
    }
}

/// A stream that tells what it does. TLS stands above it, so that the bytes of a handshake are seen as well.
pub(super) struct Observed {
    pub(super) stream: TcpStream,
    pub(super) witness: Witness,
}

impl AsyncRead for Observed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.witness.read_some();
        }
        polled
    }
}

impl AsyncWrite for Observed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.witness.wrote(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.witness.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How a connection in HTTP/2 begins (RFC 9113, section 3.4). No request in HTTP/1.1 does: `PRI` is reserved.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The type of the frame that has to follow, and its flag that must not be set (RFC 9113, section 6.5).
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
/// The preface, and of the frame after it length, type and flags.
const FIRST: usize = PREFACE.len() + 5;

/// A stream of which some bytes were read ahead.
pub(super) struct Prefaced {
    stream: Observed,
    first: [u8; FIRST],
    /// What of `first` was read ahead, and is still to be read again.
    from: usize,
    to: usize,
}

impl Prefaced {
    /// Reads until it is clear whether HTTP/2 is spoken, and not a byte more than its preface and the head of the frame after
    /// it.
    ///
    /// # Errors
    /// Those of the stream, and `InvalidData` where the first frame is not SETTINGS (RFC 9113, section 3.4).
    pub(super) async fn read(stream: Observed) -> io::Result<(Self, bool)> {
        let mut this = Self { stream, first: [0; FIRST], from: 0, to: 0 };
        loop {
            let count = std::future::poll_fn(|cx| this.poll_more(cx)).await?;
            this.to += count;
            let (preface, head) = this.first[..this.to].split_at(this.to.min(PREFACE.len()));
            if count == 0 || !PREFACE.starts_with(preface) {
                return Ok((this, false));
            }
            if let [_, _, _, kind, flags, ..] = *head {
                if kind == SETTINGS && flags & ACK == 0 {
                    return Ok((this, true));
                }
                this.stream.witness.refused(Refusal::Syntax);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(&mut self.first[self.to..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl Readable for Prefaced {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.from < self.to { Poll::Ready(Ok(())) } else { self.stream.stream.poll_read_ready(cx) }
    }
}

impl AsyncRead for Prefaced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.from == self.to {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = buf.remaining().min(self.to - self.from);
        buf.put_slice(&self.first[self.from..self.from + count]);
        self.from += count;
        if self.from < self.to {
            return Poll::Ready(Ok(()));
        }
        // What follows has mostly arrived as well. An error is not lost, for the next read meets it again.
        let _ = Pin::new(&mut self.stream).poll_read(cx, buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefaced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
