//! Streams below HTTP: one that tells what it does, and what is spoken on one.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
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

impl Readable for Observed {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }
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
/// Room for what is read first: enough for most requests.
const ROOM: usize = 8 << 10;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
enum Opening {
    /// Too little to tell.
    Unclear,
    Http1,
    Http2,
    /// HTTP/2, but for the frame that has to come first.
    Neither,
}

impl Opening {
    fn of(bytes: &[u8]) -> Self {
        let (preface, frame) = bytes.split_at(bytes.len().min(PREFACE.len()));
        match frame {
            _ if !PREFACE.starts_with(preface) => Self::Http1,
            [_, _, _, kind, flags, ..] if *kind == SETTINGS && flags & ACK == 0 => Self::Http2,
            [_, _, _, _, _, ..] => Self::Neither,
            _ => Self::Unclear,
        }
    }
}

/// Reads until it is clear whether HTTP/2 is spoken, and returns what was read. There is no buffer before there is something
/// to read.
///
/// # Errors
/// Those of the stream, and `InvalidData` where the first frame is not SETTINGS (RFC 9113, section 3.4).
pub(super) async fn open(stream: &mut Observed) -> io::Result<(BytesMut, bool)> {
    let mut ahead = BytesMut::new();
    loop {
        let count = poll_fn(|cx| poll_more(stream, &mut ahead, cx)).await?;
        match Opening::of(&ahead) {
            Opening::Http2 => return Ok((ahead, true)),
            Opening::Http1 => return Ok((ahead, false)),
            Opening::Unclear if count == 0 => return Ok((ahead, false)),
            Opening::Unclear => {}
            Opening::Neither => {
                stream.witness.refused(Refusal::Syntax);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

fn poll_more(stream: &mut Observed, ahead: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    ready!(stream.poll_readable(cx))?;
    ahead.reserve(ROOM);
    let polled = pin!(stream.read_buf(ahead)).poll(cx);
    // A new socket counts as readable until it was tried.
    if polled.is_pending() && ahead.is_empty() {
        *ahead = BytesMut::new();
    }
    polled
}

/// A stream of which some bytes were read ahead.
pub(super) struct Ahead<T> {
    pub(super) stream: T,
    pub(super) ahead: Bytes,
}

impl<T: AsyncRead + Unpin> AsyncRead for Ahead<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Ahead<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_2_begins_with_its_preface_and_settings() {
        let settings = [&PREFACE[..], &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]].concat();
        for to in 0..PREFACE.len() + 5 {
            assert_eq!(Opening::of(&settings[..to]), Opening::Unclear, "{to}");
        }
        assert_eq!(Opening::of(&settings), Opening::Http2);
        let with = |kind, flags| [&PREFACE[..], &[0, 0, 0, kind, flags]].concat();
        assert_eq!(Opening::of(&with(SETTINGS, ACK)), Opening::Neither);
        assert_eq!(Opening::of(&with(0, 0)), Opening::Neither);
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n", b"\r\n", b"PUT", b"\x16\x03"] {
            assert_eq!(Opening::of(other), Opening::Http1);
        }
    }
}
