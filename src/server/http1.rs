//! HTTP/1 with consumers: its limits, a strict look at what is read, interim answers, and what comes after HTTP.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tower::Service;

use super::connection::{Error, HeadLimits, Peer, Tracked};
use super::connections::{Exchange, Witness};
use super::line::{Interim, Line, Tunnel};
use super::stream::Readable;
use crate::refusal::Refusal;

/// Serves HTTP/1 until the connection ends, or is taken over and ends then.
///
/// hyper's state of a connection is some 16 KiB, buffers for the most part, while an idle one needs a socket and somebody to
/// wake. So there is none of it before there is something to read, nor once the connection has been idle for a while.
pub(super) async fn speak<T, S, B>(
    mut stream: T,
    limits: HeadLimits,
    (service, peer): (S, Peer),
    witness: Witness,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Readable + Unpin + 'static,
    S: Service<(Request<Incoming>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>
        + Clone
        + Unpin
        + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        std::future::poll_fn(|cx| stream.poll_readable(cx)).await?;
        match Box::pin(converse(stream, limits, (service.clone(), peer.clone()), witness.clone())).await? {
            Some(rested) => stream = rested,
            None => return Ok(()),
        }
    }
}

/// Serves requests until the connection ends, or rests: then it is handed back.
async fn converse<T, S, B>(
    stream: T,
    limits: HeadLimits,
    (service, mut peer): (S, Peer),
    witness: Witness,
) -> Result<Option<T>, Error>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<(Request<Incoming>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>
        + Clone
        + Unpin
        + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let line = Rc::new(Line::default());
    peer.line = Some(Rc::clone(&line));
    let flushed = Rc::new(Cell::new(true));
    let io = TokioIo::new(Wire {
        stream,
        line: Rc::clone(&line),
        interim: line.interim(),
        sending: Bytes::new(),
        flushed: Rc::clone(&flushed),
    });
    let (seen, at) = (witness.clone(), Rc::clone(&line));
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Err(reason) = at.scan.borrow_mut().verdict() {
            request.extensions_mut().insert(reason);
        }
        // Services here are always ready: who may come in is decided by what they are asked.
        let future = service.clone().call((request, peer.clone()));
        Answering { future, exchange: Some(seen.exchange()) }
    });
    // Where a drain is on, the answer to whoever comes now says that it is the last one.
    let mut connection = builder(limits).keep_alive(!witness.is_draining()).serve_connection(io, service);
    let mut told = false;
    let ended = std::future::poll_fn(|cx| {
        line.interim.remember(cx.waker());
        if let Poll::Ready(ended) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(ended.map(|()| false));
        }
        if witness.has_to_say_goodbye() && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if !witness.may_rest() || !flushed.get() || !line.scan.borrow().is_at_rest() {
            return Poll::Pending;
        }
        // hyper agrees, and reads nothing more, where it has neither a request nor an answer on its hands. Else it only
        // remembers that the next answer is the last one: what looked like rest was none, and ends as any connection does.
        Pin::new(&mut connection).graceful_shutdown();
        connection.poll_without_shutdown(cx).map_ok(|()| true)
    });
    let rests = ended.await.map_err(|error| {
        count_refused(&error, &line, &witness);
        Error::from(error)
    })?;
    let Parts { io, read_buf, .. } = connection.into_parts();
    let mut stream = io.into_inner().stream;
    match line.tunnel() {
        // Empty lines before a request mean nothing (RFC 9112, section 2.2).
        None if rests && read_buf.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => return Ok(Some(stream)),
        None => stream.shutdown().await?,
        Some(tunnel) => carry(tunnel, Ahead { stream, ahead: read_buf }, &witness).await,
    }
    Ok(None)
}

fn builder(limits: HeadLimits) -> Builder {
    let mut builder = Builder::new();
    builder.preserve_header_case(true).auto_date_header(true).half_close(true).max_header_size(limits.bytes);
    builder
}

/// What hyper refused on its own, before there was a request to answer.
fn count_refused(error: &hyper::Error, line: &Line, witness: &Witness) {
    if error.is_parse_too_large() {
        witness.refused(Refusal::HeadSize);
    } else if error.is_parse() {
        witness.refused(line.fault());
    }
}

/// What is not HTTP any more ends with the drain: nobody could tell its end otherwise.
async fn carry<T>(tunnel: Tunnel, stream: Ahead<T>, witness: &Witness)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _exchange = witness.exchange();
    let mut tunnel = tunnel(Box::new(stream));
    std::future::poll_fn(|cx| if witness.is_draining() { Poll::Ready(()) } else { tunnel.as_mut().poll(cx) }).await;
}

/// An answer that its connection waits for.
struct Answering<F> {
    future: F,
    exchange: Option<Exchange>,
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
{
    type Output = Result<Response<Tracked<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.future).poll(cx));
        let exchange = self.exchange.take().expect("polled until it was ready");
        exchange.has_head();
        Poll::Ready(answer.map(|answer| answer.map(|body| Tracked { body, exchange })))
    }
}

/// The stream beneath hyper: what is read is scanned, and interim answers are written in between.
struct Wire<T> {
    stream: T,
    line: Rc<Line>,
    interim: Interim,
    /// Of interim answers.
    sending: Bytes,
    /// Whether everything that was written is on its way.
    flushed: Rc<Cell<bool>>,
}

impl<T: AsyncWrite + Unpin> Wire<T> {
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.is_empty() {
                let Some(waiting) = self.interim.take() else { return Poll::Ready(Ok(())) };
                self.sending = Bytes::from(waiting);
            }
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sending))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sending.advance(count);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut scan = this.line.scan.borrow_mut();
        if scan.fault() == Some(Refusal::Chunk) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let good = scan.feed(&buf.filled()[before..]);
        if good == 0 && buf.filled().len() > before {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        buf.set_filled(before + good);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        self.interim.is_busy(true);
        self.flushed.set(false);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        self.interim.is_busy(true);
        self.flushed.set(false);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written everything.
        self.interim.is_busy(false);
        ready!(self.poll_interim(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.flushed.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream of which hyper has read something that was not for it.
struct Ahead<T> {
    stream: T,
    ahead: Bytes,
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
