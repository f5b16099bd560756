//! One address of a backend, and the idle connections to it.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http_body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::UpstreamError;
use crate::config;

/// Idle connections that one worker keeps to one endpoint; more are closed when they come back.
const MAX_IDLE: usize = 256;

/// One address of a backend, and one worker's idle connections to it, most recently used first.
pub(super) struct Endpoint<B> {
    spec: config::Endpoint,
    pub(super) host: HeaderValue,
    connect_timeout: Duration,
    idle: RefCell<Vec<Idle<B>>>,
    pub(super) in_flight: Cell<usize>,
}

struct Idle<B> {
    sender: SendRequest<B>,
    since: Instant,
}

/// A connection, and whether it had been used before: only then may its peer have closed it meanwhile.
pub(super) struct Checkout<B> {
    pub(super) sender: SendRequest<B>,
    pub(super) reused: bool,
}

impl<B> Endpoint<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(spec: &config::Endpoint, connect_timeout: Duration) -> Self {
        let host = HeaderValue::from_str(spec.authority.as_str()).expect("an authority is a valid header value");
        Self { spec: spec.clone(), host, connect_timeout, idle: RefCell::default(), in_flight: Cell::new(0) }
    }

    pub(super) fn base_path(&self) -> &str {
        &self.spec.base_path
    }

    /// An idle connection that is still open, or a new one.
    pub(super) async fn checkout(&self) -> Result<Checkout<B>, UpstreamError> {
        while let Some(mut sender) = self.pop() {
            if sender.ready().await.is_ok() {
                return Ok(Checkout { sender, reused: true });
            }
        }
        self.connect().await
    }

    fn pop(&self) -> Option<SendRequest<B>> {
        self.idle.borrow_mut().pop().map(|idle| idle.sender)
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Checkout<B>, UpstreamError> {
        let stream = timeout(self.connect_timeout, self.dial()).await.map_err(|_| UpstreamError::ConnectTimeout)??;
        stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Broken)?;
        // Ends when the sender is dropped or the peer closes; its errors reach whoever waits for an answer.
        tokio::task::spawn_local(connection);
        Ok(Checkout { sender, reused: false })
    }

    async fn dial(&self) -> Result<TcpStream, UpstreamError> {
        if let Ok(address) = self.spec.host.parse::<IpAddr>() {
            let address = SocketAddr::new(address, self.spec.port);
            return TcpStream::connect(address).await.map_err(UpstreamError::Connect);
        }
        let found = tokio::net::lookup_host((self.spec.host.as_str(), self.spec.port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(UpstreamError::Resolve)?.collect();
        TcpStream::connect(addresses.as_slice()).await.map_err(UpstreamError::Connect)
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn checkin(&self, sender: SendRequest<B>) {
        let mut idle = self.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    /// Closes the connections that nobody used since `before`.
    pub(super) fn reap(&self, before: Instant) {
        self.idle.borrow_mut().retain(|idle| idle.since >= before && !idle.sender.is_closed());
    }
}
