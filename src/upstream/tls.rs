//! TLS towards one endpoint.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::UpstreamError;
use crate::config::EndpointTls;

/// A TLS handshake within `limit`; the peer's certificate is verified, always.
pub(super) async fn encrypt(
    tls: &EndpointTls,
    stream: TcpStream,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, UpstreamError> {
    let connector = TlsConnector::from(Arc::clone(tls.client.config()));
    let handshake = timeout(limit, connector.connect(tls.server_name.clone(), stream)).await;
    handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(UpstreamError::Tls)
}
