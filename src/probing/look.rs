//! A second look at a port that does not speak what it should: what does it speak?
//!
//! Nothing of a consumer, of the configuration or of a credential is sent: a bare `OPTIONS *`, an HTTP/2 preface, a TLS hello.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Each look has this long.
const WITHIN: Duration = Duration::from_secs(3);
/// About the server as a whole (RFC 9110, section 9.3.7).
const OPTIONS: &[u8] =
    b"OPTIONS * HTTP/1.1\r\nHost: crossfade.invalid\r\nUser-Agent: crossfade-probe\r\nConnection: close\r\n\r\n";
/// Connection preface and empty SETTINGS (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The type of a SETTINGS frame (RFC 9113, section 6.5).
const SETTINGS: u8 = 4;

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// TLS, whatever is in it.
    Tls,
    /// HTTP/1 in cleartext.
    Http1,
    /// HTTP/2 in cleartext.
    Http2,
    /// Something that is none of these, or nothing.
    Unknown,
}

/// What a port speaks. TLS counts first: many servers explain on a TLS port in HTTP/1 that it is one.
pub(super) async fn at(address: SocketAddr) -> Spoken {
    let http1 = says(address, OPTIONS, |answer| answer.starts_with(b"HTTP/"));
    match tokio::join!(speaks_tls(address), http1, says(address, PREFACE, is_settings)) {
        (true, ..) => Spoken::Tls,
        (_, true, _) => Spoken::Http1,
        (.., true) => Spoken::Http2,
        _ => Spoken::Unknown,
    }
}

/// Whether a server shows a certificate, or complains as only TLS does.
pub(super) async fn speaks_tls(address: SocketAddr) -> bool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let Ok(builder) = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() else {
        return false;
    };
    // It trusts nobody, so that every certificate is refused, and the handshake goes no further.
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let hello = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::IpAddress(address.ip().into());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    match timeout(WITHIN, hello).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            told.is_some_and(|told| !matches!(told, rustls::Error::InvalidMessage(_)))
        }
        Err(_) => false,
    }
}

fn is_settings(answer: &[u8]) -> bool {
    matches!(answer, [_, _, _, SETTINGS, _, 0, 0, 0, 0, ..])
}

/// Whether the first bytes of an answer are as expected.
async fn says(address: SocketAddr, question: &[u8], is_it: impl Fn(&[u8]) -> bool) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(question).await?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    matches!(timeout(WITHIN, asked).await, Ok(Ok(answer)) if is_it(&answer))
}
