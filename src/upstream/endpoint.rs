//! One address of a backend, and the connections to it.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http::uri::Scheme;
use http_body::Body;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::UpstreamError;
use super::error::BoxError;
use super::http1::{self, Connection};
use super::http2::{self, Pool, Stream};
use super::resolve::Addresses;
use super::tls::encrypt;
use crate::condition::Condition;
use crate::config::{self, Protocol};
use crate::random::Random;

/// Idle connections in HTTP/1.1 that one worker keeps to one endpoint; more are closed when they come back.
const MAX_IDLE: usize = 256;

/// The longest time that a connection is used for new requests; each one's own lies within a fifth below, so that they do
/// not end together. New addresses of a name and endpoints behind a load balancer get their share within this time.
const MAX_AGE: Duration = Duration::from_secs(300);

/// One address of a backend, and one worker's connections to it: those in HTTP/1.1 that are idle, most recently used
/// first, and those in HTTP/2.
pub(super) struct Endpoint<B> {
    spec: config::Endpoint,
    pub(super) host: HeaderValue,
    connect_timeout: Duration,
    addresses: Addresses,
    random: Random,
    #[expect(clippy::vec_box, reason = "each is taken out, carried about and put back")]
    idle: RefCell<Vec<Box<Connection>>>,
    shared: Pool<B>,
    /// Whether its connections can be shared, as far as it is known: by the configuration, or by the last one.
    is_http2: Cell<Option<bool>>,
    dialing: Cell<bool>,
    dialed: Notify,
    condition: Arc<Condition>,
    pub(super) in_flight: Cell<usize>,
}

/// A connection that is ready for one request.
pub(super) enum Sender<B> {
    /// A connection of its own.
    Http1(Box<Connection>),
    /// A place on a shared one.
    Http2(Stream<B>),
}

/// A connection, and whether it had been used before: only then may its peer have closed it meanwhile.
pub(super) struct Checkout<B> {
    pub(super) sender: Sender<B>,
    pub(super) reused: bool,
}

impl<B> Endpoint<B> {
    pub(super) fn base_path(&self) -> &str {
        &self.spec.base_path
    }
}

impl<B> Endpoint<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(spec: &config::Endpoint, connect_timeout: Duration, condition: Arc<Condition>) -> Self {
        let host = HeaderValue::from_str(spec.authority.as_str()).expect("an authority is a valid header value");
        let is_http2 = match (spec.protocol, &spec.tls) {
            (Protocol::Auto, Some(_)) => None,
            (Protocol::Auto, None) | (Protocol::Http1, _) => Some(false),
            (Protocol::Http2, _) => Some(true),
        };
        Self {
            spec: spec.clone(),
            host,
            connect_timeout,
            addresses: Addresses::new(&spec.host, spec.port),
            random: Random::default(),
            idle: RefCell::default(),
            shared: Pool::default(),
            is_http2: Cell::new(is_http2),
            dialing: Cell::new(false),
            dialed: Notify::new(),
            condition,
            in_flight: Cell::new(0),
        }
    }

    /// An idle connection that is still open, a place on a shared one, or a new one.
    pub(super) async fn checkout(&self) -> Result<Checkout<B>, UpstreamError> {
        while let Some(mut connection) = self.pop() {
            if connection.is_quiet() {
                return Ok(Checkout { sender: Sender::Http1(connection), reused: true });
            }
        }
        // In a box: the state of a handshake is large, and must not be moved about with every request that needs none.
        if self.is_http2.get() == Some(false) { self.connect().await } else { Box::pin(self.share()).await }
    }

    fn pop(&self) -> Option<Box<Connection>> {
        self.idle.borrow_mut().pop()
    }

    /// A place on a connection that others use as well. One is opened at a time: who comes meanwhile waits for it, since
    /// a hundred requests at once need two connections and not a hundred.
    async fn share(&self) -> Result<Checkout<B>, UpstreamError> {
        let waiting = async {
            while self.is_http2.get() != Some(false) {
                if let Some(stream) = self.shared.place(Instant::now()) {
                    return Some(Checkout { sender: Sender::Http2(stream), reused: true });
                }
                let dialed = self.dialed.notified();
                if !self.dialing.get() {
                    break;
                }
                dialed.await;
            }
            None
        };
        // Whoever waits for another's connection waits no longer than for one of its own.
        match timeout(self.connect_timeout, waiting).await {
            Ok(Some(place)) => Ok(place),
            Ok(None) => {
                let _dialing = Dialing::new(self);
                let checkout = self.connect().await?;
                if let Sender::Http2(stream) = &checkout.sender {
                    self.shared.keep(stream);
                }
                Ok(checkout)
            }
            Err(_) => Err(UpstreamError::ConnectTimeout),
        }
    }

    /// A new connection. `connect_timeout` is for TCP, and once more for TLS.
    pub(super) fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Checkout<B>, UpstreamError>> + '_>> {
        Box::pin(self.open())
    }

    async fn open(&self) -> Result<Checkout<B>, UpstreamError> {
        let dial = self.addresses.connect(self.connect_timeout);
        let stream = timeout(self.connect_timeout, dial).await.map_err(|_| UpstreamError::ConnectTimeout)??;
        stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
        let Some(tls) = &self.spec.tls else {
            let is_http2 = self.is_http2.get() == Some(true);
            return self.speak(http1::Stream::Clear(stream), is_http2, Scheme::HTTP).await;
        };
        let encrypted = encrypt(tls, stream, self.connect_timeout).await.and_then(|stream| {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(http2::ALPN);
            if self.spec.protocol == Protocol::Http2 && !is_http2 {
                return Err(UpstreamError::Tls(io::Error::other("the endpoint does not speak HTTP/2")));
            }
            Ok((stream, is_http2))
        });
        self.complain(encrypted.as_ref().err());
        let (stream, is_http2) = encrypted?;
        self.is_http2.set(Some(is_http2));
        self.speak(http1::Stream::Secure(Box::new(stream)), is_http2, Scheme::HTTPS).await
    }

    /// Says once for all workers what is wrong with an endpoint's TLS: nothing mends it but people. What changes from one
    /// time to the next, such as the time of the day, is not said.
    fn complain(&self, error: Option<&UpstreamError>) {
        let wrong = error.and_then(Error::source).map(ToString::to_string);
        let wrong = wrong.map(|text| text.split(": verification time").next().unwrap_or_default().to_owned());
        if self.condition.complain(wrong.clone()) {
            let wrong = wrong.unwrap_or_default();
            tracing::warn!(endpoint = %self.spec.authority, "no TLS with the endpoint: {wrong}");
        }
    }

    async fn speak(&self, io: http1::Stream, is_http2: bool, scheme: Scheme) -> Result<Checkout<B>, UpstreamError> {
        let until = Instant::now() + MAX_AGE.mul_f64(f64::from(self.random.below(20) + 81) / 100.0);
        let sender = if is_http2 {
            Sender::Http2(http2::open(io, scheme, until).await?)
        } else {
            Sender::Http1(Box::new(Connection::new(io, until)))
        };
        Ok(Checkout { sender, reused: false })
    }

    /// Keeps a connection that nobody uses.
    pub(super) fn checkin(&self, sender: Sender<B>) {
        let mut connection = match sender {
            Sender::Http1(connection) => connection,
            // The place is free as soon as it is dropped.
            Sender::Http2(stream) => return self.shared.keep(&stream),
        };
        let mut idle = self.idle.borrow_mut();
        if connection.rest(Instant::now()) && idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    /// Closes the connections that nobody used for `longest`, those that are too old, and those whose peer closed them or
    /// says something unasked.
    pub(super) fn reap(&self, now: Instant, longest: Duration) {
        self.idle.borrow_mut().retain_mut(|connection| connection.is_kept(now, longest));
        self.shared.reap(now, longest);
    }
}

/// A connection being opened; over, well or badly, when dropped.
struct Dialing<'a>(&'a Cell<bool>, &'a Notify);

impl<'a> Dialing<'a> {
    fn new<B>(endpoint: &'a Endpoint<B>) -> Self {
        endpoint.dialing.set(true);
        Self(&endpoint.dialing, &endpoint.dialed)
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.set(false);
        self.1.notify_waiters();
    }
}
