//! One connection of a consumer, from accept to close.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt};

use super::connections::{Connections, Exchange, Registration, Witness};
use super::content::Content;
use super::line::Line;
use super::stream::{self, Ahead, Observed};
use super::{http1, http2};
use crate::refusal::Refusal;

/// What a connection needs to know of the limits.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Size of a request's head, in bytes.
    pub bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams: usize,
}

/// What is spoken below HTTP.
pub enum Security {
    /// Nothing: HTTP/1.1, or HTTP/2 where the connection begins with its preface.
    Cleartext,
    /// TLS: HTTP/2 where ALPN says so, else HTTP/1.1.
    Tls(Arc<ServerConfig>),
}

/// Whose request it is, and on what it came.
#[derive(Clone)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Its IP address as text, written once for all requests.
    pub name: HeaderValue,
    /// Whether the connection is secured.
    pub is_secure: bool,
    /// The connection itself, where HTTP/1 is spoken on it.
    pub line: Option<Rc<Line>>,
}

impl Peer {
    /// The peer of a connection on which nothing was said.
    pub fn new(address: SocketAddr, is_secure: bool) -> Self {
        let name = HeaderValue::try_from(address.ip().to_canonical().to_string());
        // An address is visible ASCII, and so never unknown (RFC 7239, section 6.2).
        let name = name.unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, name, is_secure, line: None }
    }
}

/// Serves HTTP on a connection until it ends, is told to drain, or its patience is over.
///
/// # Errors
/// What a consumer did that broke the protocol or the connection; it concerns nobody else.
pub fn serve<S, B>(
    stream: TcpStream,
    security: Security,
    peer: SocketAddr,
    limits: HeadLimits,
    service: S,
    connections: &Rc<Connections>,
) -> impl Future<Output = Result<(), Error>> + use<S, B>
where
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>
        + Clone
        + Unpin
        + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let registration = connections.open();
    let witness = registration.witness();
    let stream = Observed { stream, witness: witness.clone() };
    let is_secure = matches!(security, Security::Tls(_));
    let service = (service, Peer::new(peer, is_secure));
    let mut life = Life::Opening(open(stream, security, limits, service, witness));
    std::future::poll_fn(move |cx| unless_doomed(&mut life, &registration, cx))
}

/// What a connection does until it ends. In boxes, like everything that only some connections need in a box within it: the
/// memory of an idle one is the sum of what is not.
enum Life {
    /// Until it is known what is spoken.
    Opening(Boxed<Result<Boxed<Result<(), Error>>, Error>>),
    /// HTTP, in one version of it.
    Http(Boxed<Result<(), Error>>),
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

impl Life {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match self {
                Self::Opening(opening) => *self = Self::Http(ready!(opening.as_mut().poll(cx))?),
                Self::Http(http) => return http.as_mut().poll(cx),
            }
        }
    }
}

fn open<S, B>(
    mut stream: Observed,
    security: Security,
    limits: HeadLimits,
    service: (S, Peer),
    witness: Witness,
) -> Boxed<Result<Boxed<Result<(), Error>>, Error>>
where
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>
        + Clone
        + Unpin
        + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match security {
        Security::Cleartext => Box::pin(async move {
            let (ahead, is_http2) = stream::open(&mut stream).await?;
            if !is_http2 {
                return Ok(Box::pin(http1::speak(stream, ahead, limits, service, witness)) as _);
            }
            Ok(speak_http2(Ahead { stream, ahead: ahead.freeze() }, limits, service, witness))
        }),
        Security::Tls(config) => Box::pin(async move {
            let (stream, is_http2) = encrypt(stream, config, &witness).await?;
            if !is_http2 {
                return Ok(Box::pin(http1::speak(stream, BytesMut::new(), limits, service, witness)) as _);
            }
            Ok(speak_http2(stream, limits, service, witness))
        }),
    }
}

/// What ended a connection early.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Polls the connection itself only; the sweep wakes it when its patience is over.
fn unless_doomed(life: &mut Life, registration: &Registration, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    registration.activity().remember(cx.waker());
    match registration.activity().doom() {
        Some(doom) => {
            if let Some(reason) = doom.refusal() {
                registration.connections().refused(reason);
            }
            Poll::Ready(Err(doom.into()))
        }
        None => life.poll(cx),
    }
}

/// A TLS handshake, and whether HTTP/2 was agreed on.
async fn encrypt(
    stream: Observed,
    config: Arc<ServerConfig>,
    witness: &Witness,
) -> Result<(TlsStream<Observed>, bool), Error> {
    witness.begin_handshake();
    let accepted = TlsAcceptor::from(config).accept(stream).await;
    let stream = accepted.inspect_err(|_| witness.refused(Refusal::Handshake))?;
    witness.end_handshake();
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(http2::ALPN);
    Ok((stream, is_http2))
}

fn speak_http2<T, S, B>(
    stream: T,
    limits: HeadLimits,
    (service, peer): (S, Peer),
    witness: Witness,
) -> Boxed<Result<(), Error>>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>
        + Clone
        + Unpin
        + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let seen = witness.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let exchange = seen.exchange();
        let request = http2::origin_form(request).map(Content::Http2);
        let answer = service.clone().oneshot((request, peer.clone()));
        async move { answer.await.map(|answer| answer.map(|body| Tracked::new(body, exchange))) }
    });
    witness.is_multiplexed();
    let connection = http2::server(limits).serve_connection(TokioIo::new(stream), service);
    Box::pin(until_the_end(connection, witness))
}

/// Drives a connection, and tells it when to drain; whoever starts the drain wakes it.
async fn until_the_end(connection: impl Drainable, witness: Witness) -> Result<(), Error> {
    let mut connection = pin!(connection);
    let mut told = false;
    let ended = std::future::poll_fn(|cx| {
        if witness.is_draining() && !told {
            told = true;
            connection.as_mut().drain();
        }
        connection.as_mut().poll(cx)
    });
    let ended = ended.await;
    if let Some(reason) = ended.as_ref().err().and_then(http2::refusal) {
        witness.refused(reason);
    }
    Ok(ended?)
}

/// A connection that can be asked to take no more requests, by GOAWAY.
trait Drainable: Future<Output = Result<(), hyper::Error>> {
    fn drain(self: Pin<&mut Self>);
}

impl<I, B, S> Drainable for hyper::server::conn::http2::Connection<I, S, http2::Local>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: Read + Write + Unpin,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    http2::Local: Http2ServerConnExec<S::Future, B>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A body of HTTP/2 during which its connection is not idle.
struct Tracked<B> {
    body: B,
    exchange: Exchange,
}

impl<B: Body> Tracked<B> {
    fn new(body: B, mut exchange: Exchange) -> Self {
        if body.is_end_stream() {
            exchange.gave(true);
        }
        Self { body, exchange }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        this.exchange.is_asked_for();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            let is_last = frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
            this.exchange.gave(is_last || this.body.is_end_stream());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
