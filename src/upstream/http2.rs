//! HTTP/2 towards one endpoint: several connections, each shared by a bounded number of requests.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};
use http_body::Body;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::UpstreamError;

/// Its name in ALPN.
pub(super) const ALPN: &[u8] = b"h2";

/// Requests at once on one connection, or fewer where the peer says so. Beyond, another connection is opened: what is
/// lost on one holds up all that share it, and a peer serves one connection on one thread.
const MAX_STREAMS: usize = 64;
/// What one answer may send before its consumer takes it.
const STREAM_WINDOW: u32 = 64 << 10;
/// All streams of a connection with full windows: a consumer that takes nothing holds up nobody else.
const CONNECTION_WINDOW: u32 = MAX_STREAMS as u32 * STREAM_WINDOW;
/// Bytes of one request that wait for the connection.
const SEND_BUFFER: usize = 64 << 10;
/// Size of an answer's head.
const HEADER_LIST: u32 = 128 << 10;
/// A connection whose peer is gone without a word would go on to be chosen; one that does not answer a ping is closed.
const PING_EACH: Duration = Duration::from_secs(5);
const PONG_WITHIN: Duration = Duration::from_secs(3);

/// Headers that belong to HTTP/1.1 connections (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The connections to one endpoint that take new requests, each until its time is over.
pub(super) struct Pool<B> {
    connections: RefCell<Vec<Rc<Connection<B>>>>,
}

/// A connection that several requests share.
struct Connection<B> {
    sender: SendRequest<B>,
    scheme: Scheme,
    /// Requests under way.
    streams: Cell<usize>,
    most: Cell<usize>,
    used: Cell<Instant>,
    /// From when on it takes no new requests.
    until: Instant,
    is_kept: Cell<bool>,
}

/// One request's place on a connection; free again when dropped.
pub(super) struct Stream<B> {
    connection: Rc<Connection<B>>,
}

/// Runs what a connection starts on the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

impl<B> Default for Pool<B> {
    fn default() -> Self {
        Self { connections: RefCell::default() }
    }
}

impl<B> Pool<B> {
    /// A place on an open connection: the fullest one that has room, so that those at the end run empty and are closed.
    pub(super) fn place(&self, now: Instant) -> Option<Stream<B>> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.sender.is_closed() && now < connection.until);
        let roomy = connections.iter().filter(|it| it.streams.get() < it.most.get());
        roomy.max_by_key(|it| it.streams.get()).map(Stream::on)
    }

    /// Takes new requests on the connection of a stream, until its time is over.
    pub(super) fn keep(&self, stream: &Stream<B>) {
        if !stream.connection.is_kept.replace(true) {
            self.connections.borrow_mut().push(Rc::clone(&stream.connection));
        }
    }

    /// Closes the connections that carry nothing, and carried nothing for `longest`, and those that are too old.
    pub(super) fn reap(&self, now: Instant, longest: Duration) {
        self.connections.borrow_mut().retain(|it| {
            let is_used = it.streams.get() > 0 || now.saturating_duration_since(it.used.get()) <= longest;
            !it.sender.is_closed() && is_used && now < it.until
        });
    }
}

/// Begins to speak HTTP/2 on a connection that takes new requests until `until`, and takes a place on the connection; nobody else has one until it is [kept](Pool::keep).
pub(super) async fn open<T, B>(stream: T, scheme: Scheme, until: Instant) -> Result<Stream<B>, UpstreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, driver) = builder().handshake(TokioIo::new(stream)).await.map_err(UpstreamError::from_http2)?;
    let connection = Rc::new(Connection {
        sender,
        scheme,
        streams: Cell::new(0),
        most: Cell::new(MAX_STREAMS),
        used: Cell::new(Instant::now()),
        until,
        is_kept: Cell::new(false),
    });
    let watched = Rc::downgrade(&connection);
    // Ends when all senders are dropped or the peer closes; its errors reach whoever waits for an answer.
    tokio::task::spawn_local(async move {
        let mut driver = pin!(driver);
        let ended = std::future::poll_fn(|cx| {
            let polled = driver.as_mut().poll(cx);
            if let Some(connection) = watched.upgrade() {
                connection.most.set(driver.current_max_send_streams().clamp(1, MAX_STREAMS));
            }
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "a connection to a backend ended in an error");
        }
    });
    Ok(Stream::on(&connection))
}

fn builder() -> Builder<Local> {
    let mut builder = Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EACH)
        .keep_alive_timeout(PONG_WITHIN)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADER_LIST);
    builder
}

impl<B> Stream<B> {
    fn on(connection: &Rc<Connection<B>>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { connection: Rc::clone(connection) }
    }

    pub(super) fn sender(&self) -> SendRequest<B> {
        self.connection.sender.clone()
    }

    /// The request as HTTP/2 sends it: the authority from `Host` (RFC 9113, section 8.3.1), and nothing of HTTP/1.1.
    pub(super) fn convert(&self, mut request: Request<B>) -> Request<B> {
        let headers = request.headers_mut();
        for name in &OF_CONNECTIONS {
            headers.remove(name);
        }
        let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        if let Some(authority) = host {
            headers.remove(HOST);
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.scheme = Some(self.connection.scheme.clone());
            parts.authority = Some(authority);
            parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
            *request.uri_mut() = Uri::from_parts(parts).expect("scheme, authority and path make a URI");
        }
        *request.version_mut() = Version::HTTP_2;
        request
    }
}

impl<B> Drop for Stream<B> {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get() - 1);
        self.connection.used.set(Instant::now());
    }
}
