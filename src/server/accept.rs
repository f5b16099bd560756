//! The accept loop of one listener.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

use super::connection::{HeadLimits, Peer, Security, serve};
use super::connections::Connections;
use super::content::Content;
use crate::cap::Cap;
use crate::refusal::Refusal;

/// The rest after an accept that failed for want of descriptors or memory: the connections that would free some end
/// meanwhile, and the loop does not spin.
const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// What the connections of a listener are given: asked for each of them, since certificates and limits are replaced while it
/// runs. `None` where nothing can be given any more; the connection is closed then.
pub type TermsNow = Box<dyn Fn() -> Option<(Security, HeadLimits)>>;

/// A listening socket, and what is spoken on it.
pub struct Port {
    /// Bound and registered with the runtime.
    pub listener: TcpListener,
    /// Below HTTP, and the limits of what is.
    pub terms: TermsNow,
}

/// Accepts until `drain` is ready, then whatever the kernel has already completed, so that no connection is lost.
pub async fn accept<S, B>(
    Port { listener, terms }: Port,
    service: S,
    connections: Rc<Connections>,
    cap: Arc<Cap>,
    drain: impl Future<Output = ()>,
) where
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>
        + Clone
        + Unpin
        + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let start = |stream: TcpStream, peer: SocketAddr| {
        let Some((security, limits)) = terms() else { return };
        if !cap.try_take(1) {
            connections.refused(Refusal::MaxConnections);
            tracing::debug!(%peer, "refused a connection: max_connections is reached");
            return;
        }
        let life = serve(stream, security, peer, limits, service.clone(), &connections);
        let cap = Arc::clone(&cap);
        tokio::task::spawn_local(async move {
            if let Err(error) = life.await {
                tracing::debug!(%peer, %error, "a consumer's connection ended early");
            }
            cap.give(1);
        });
    };
    let mut drain = std::pin::pin!(drain);
    loop {
        tokio::select! {
            biased;
            () = &mut drain => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => start(stream, peer),
                Err(error) => rest(&error).await,
            }
        }
    }
    while let Some(Ok((stream, peer))) = ready_now(listener.accept()).await {
        start(stream, peer);
    }
}

async fn rest(error: &io::Error) {
    let peer_left = matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !peer_left {
        tracing::warn!(%error, "failed to accept a connection");
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

/// The output of a future that is ready at its first poll.
async fn ready_now<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
