//! One connection of a consumer, from accept to close.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::connections::{Connections, Doom, Exchange, Registration, Witness};
use crate::refusal::Refusal;

/// What a connection needs to know of the limits.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Size of a request's head, in bytes.
    pub bytes: usize,
}

/// Serves HTTP/1.1 on a connection until it ends, is told to drain, or its patience is over.
///
/// # Errors
/// What hyper says of a consumer that broke the protocol or the connection; it concerns nobody else.
pub async fn serve<S, B>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: HeadLimits,
    service: S,
    connections: Rc<Connections>,
) -> Result<(), hyper::Error>
where
    S: Service<(Request<Incoming>, SocketAddr), Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let registration = connections.open();
    let (witness, teller) = (registration.witness(), registration.witness());
    let io = TokioIo::new(Observed { stream, witness: witness.clone() });
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Err(reason) = witness.verdict() {
            request.extensions_mut().insert(reason);
        }
        let exchange = witness.exchange();
        let answer = service.clone().oneshot((request, peer));
        async move { answer.await.map(|answer| answer.map(|body| Tracked { body, exchange })) }
    });
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .auto_date_header(false)
        .half_close(true)
        .max_header_size(limits.bytes)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut told = false;
    let ended = std::future::poll_fn(|cx| poll_connection(connection.as_mut(), &registration, &mut told, cx)).await;
    let parsed = ended.as_ref().err().and_then(|error| refusal(error, &teller));
    let doomed = registration.activity().doom().and_then(Doom::refusal);
    if let Some(reason) = parsed.or(doomed) {
        registration.connections().refused(reason);
    }
    ended
}

/// Why hyper refused a head, when it did.
fn refusal(error: &hyper::Error, witness: &Witness) -> Option<Refusal> {
    if error.is_parse_too_large() {
        Some(Refusal::HeadSize)
    } else {
        error.is_parse().then(|| witness.fault().unwrap_or(Refusal::Syntax))
    }
}

/// Polls the connection itself only; the sweep and the drain wake it when they have something to say.
fn poll_connection<C: Drainable>(
    mut connection: Pin<&mut C>,
    registration: &Registration,
    told: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), hyper::Error>> {
    registration.activity().remember(cx.waker());
    if registration.activity().doom().is_some() {
        return Poll::Ready(Ok(()));
    }
    if registration.connections().is_draining() && !*told {
        *told = true;
        connection.as_mut().drain();
    }
    connection.poll(cx)
}

trait Drainable: Future<Output = Result<(), hyper::Error>> {
    fn drain(self: Pin<&mut Self>);
}

impl<I, B, S> Drainable for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A stream that tells what it does.
struct Observed {
    stream: TcpStream,
    witness: Witness,
}

impl AsyncRead for Observed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.witness.fault() == Some(Refusal::Chunk) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            let good = self.witness.read_some(&buf.filled()[before..]);
            buf.set_filled(before + good);
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

/// A body during which its connection is not idle.
struct Tracked<B> {
    body: B,
    #[expect(dead_code, reason = "held until the body is dropped")]
    exchange: Exchange,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
