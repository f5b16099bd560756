//! The end of the admin port: where another process goes on at the same port, nobody may be cut off.
//!
//! A connection that was just accepted may have a request on its way, and so may one that is kept alive. Both are answered
//! once more, and told to ask on another connection, which the successor accepts.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long connections may still ask once more after [`End::HandedOver`].
pub const GRACE: Duration = Duration::from_secs(1);

/// Whether the admin port is served on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// It is.
    #[default]
    NotYet,
    /// Another process accepts from the same socket: this one accepts nobody more, and after [`GRACE`] closes who is silent.
    HandedOver,
    /// Nobody is answered here any more, but for answers that have begun.
    Now,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// The listening socket, closed as soon as the end begins.
pub(super) struct Door {
    listener: Option<TcpListener>,
    end: watch::Receiver<End>,
}

impl Door {
    pub(super) const fn new(listener: TcpListener, end: watch::Receiver<End>) -> Self {
        Self { listener: Some(listener), end }
    }
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some(listener) = &mut self.listener {
            tokio::select! {
                biased;
                _ = self.end.wait_for(|end| *end != End::NotYet) => {}
                accepted = Listener::accept(listener) => return accepted,
            }
        }
        self.listener = None;
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.as_ref().map_or_else(|| Err(io::ErrorKind::NotConnected.into()), TcpListener::local_addr)
    }
}

/// When connections that have nothing under way are closed.
pub(super) async fn closing(mut end: watch::Receiver<End>) {
    // An error means that the sender has gone, which is an end as well.
    let handed_over = end.wait_for(|end| *end != End::NotYet).await.is_ok_and(|end| *end == End::HandedOver);
    if handed_over {
        let _ = tokio::time::timeout(GRACE, end.wait_for(|end| *end == End::Now)).await;
    }
}

/// Says with each answer that it is the connection's last one, once the end has begun.
pub(super) fn farewell(
    end: watch::Receiver<End>,
) -> impl Fn(Response) -> std::future::Ready<Response> + Clone + Send + 'static {
    move |mut response: Response| {
        if *end.borrow() != End::NotYet {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(response)
    }
}
