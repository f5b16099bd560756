//! What HTTP/1.1 is spoken over: TCP, or TLS above it.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection below HTTP.
pub(in crate::upstream) enum Stream {
    Clear(TcpStream),
    /// In a box, since a session is large and clear connections are many.
    Secure(Box<TlsStream<TcpStream>>),
    #[cfg(test)]
    InMemory(tokio::io::DuplexStream),
}

impl Stream {
    /// Appends what has come to `buffer`, and says how much that is; 0 is the end. Where there is no room, `room` bytes are
    /// made, but not before there is something to read.
    pub(super) fn poll_fill(
        &mut self,
        buffer: &mut BytesMut,
        room: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Clear(tcp) => {
                ready!(tcp.poll_read_ready(cx))?;
                read(tcp, buffer, room, cx)
            }
            Self::Secure(tls) => {
                let bytes = ready!(Pin::new(&mut *tls).poll_fill_buf(cx))?;
                let length = bytes.len();
                buffer.extend_from_slice(bytes);
                Pin::new(tls).consume(length);
                Poll::Ready(Ok(length))
            }
            #[cfg(test)]
            Self::InMemory(stream) => read(stream, buffer, room, cx),
        }
    }

    /// Whether it is open, and nothing has come that nobody asked for. Costs a system call only where something has come.
    pub(super) fn is_quiet(&mut self) -> bool {
        let read = match self {
            Self::Clear(tcp) => return matches!(tcp.try_read(&mut [0]), Err(error) if would_block(&error)),
            // What TLS says to itself is no content.
            Self::Secure(tls) => Pin::new(tls).poll_fill_buf(&mut nobody()).is_ready(),
            #[cfg(test)]
            Self::InMemory(stream) => pin!(stream.read_u8()).poll(&mut nobody()).is_ready(),
        };
        !read
    }

    fn io(&mut self) -> Pin<&mut dyn Io> {
        match self {
            Self::Clear(tcp) => Pin::new(tcp),
            Self::Secure(tls) => Pin::new(&mut **tls),
            #[cfg(test)]
            Self::InMemory(stream) => Pin::new(stream),
        }
    }
}

/// Room that is worth a read of its own.
const LEAST_ROOM: usize = 2 << 10;

fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    room: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.capacity() - buffer.len() < LEAST_ROOM {
        buffer.reserve(room);
    }
    let read = pin!(stream.read_buf(buffer)).poll(cx);
    if read.is_pending() && buffer.is_empty() {
        // Whoever waits holds nothing.
        *buffer = BytesMut::new();
    }
    read
}

const fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.io().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP keeps nothing back.
        if let Self::Secure(tls) = &mut *self { Pin::new(tls).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }
}

/// Says goodbye where TLS wants it said (RFC 8446, section 6.1), as far as that needs no waiting.
impl Drop for Stream {
    fn drop(&mut self) {
        if let Self::Secure(tls) = self {
            let _ = Pin::new(tls).poll_shutdown(&mut nobody());
        }
    }
}
