//! TLS towards an endpoint, and what is wrong where there is none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, ProtocolVersion, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::exchange::Broken;
use super::look::{self, Spoken};
use super::place::Place;
use super::report::{Found, Wrong};
use crate::config::EndpointTls;
use crate::outcome::Cause;

/// A handshake that went well.
pub(super) struct Encrypted {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) finding: String,
    /// The peer has asked for a certificate.
    pub(super) wants_certificate: bool,
}

/// A handshake that did not.
#[derive(Debug)]
pub(super) struct Unencrypted {
    error: io::Error,
    wants_certificate: bool,
}

/// Notices whether the peer asks for a certificate, and answers as configured.
#[derive(Debug)]
struct Noticing {
    configured: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Noticing {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.configured.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        self.configured.has_certs()
    }
}

/// A handshake with the settings of real traffic, but always a full one: a session that is resumed proves nothing.
pub(super) async fn encrypt(place: &Place, tls: &EndpointTls, stream: TcpStream) -> Result<Encrypted, Unencrypted> {
    let mut config = ClientConfig::clone(tls.client.config());
    config.resumption = Resumption::disabled();
    let configured = Arc::clone(&config.client_auth_cert_resolver);
    let noticing = Arc::new(Noticing { configured, asked: AtomicBool::new(false) });
    config.client_auth_cert_resolver = Arc::clone(&noticing) as Arc<dyn ResolvesClientCert>;
    let connecting = TlsConnector::from(Arc::new(config)).connect(tls.server_name.clone(), stream);
    let shaken = timeout(place.clip(place.spec.connect_timeout), connecting).await;
    let wants_certificate = noticing.asked.load(Ordering::Relaxed);
    let failed = |error| Unencrypted { error, wants_certificate };
    let stream = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)?;
    let version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS 1.3",
    };
    let shown = match (wants_certificate, noticing.has_certs()) {
        (false, _) => "",
        (true, true) => ", a client certificate was asked for and shown",
        (true, false) => ", a client certificate was asked for, and there is none to show",
    };
    let finding = format!("{version}, the certificate is right for {}{shown}", tls.server_name.to_str());
    Ok(Encrypted { stream, finding, wants_certificate })
}

/// What is wrong, by the error of the handshake and, where that does not tell, a second look at the port.
pub(super) async fn diagnose(place: &Place, address: SocketAddr, failed: &Unencrypted) -> Found {
    let Unencrypted { error, wants_certificate } = failed;
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match told {
        Some(rustls::Error::InvalidCertificate(wrong)) => certificate(place, wrong),
        Some(rustls::Error::AlertReceived(alert)) => alerted(place, *alert, *wants_certificate),
        Some(rustls::Error::PeerIncompatible(why)) => Found::failed(
            Wrong::Protocol,
            format!("no version or cipher of TLS in common: {why:?}"),
            "have the backend offer TLS 1.2 or 1.3 with a modern cipher suite",
        ),
        _ if *wants_certificate => client_certificate(place, None),
        _ => not_tls(place, address, error).await,
    }
}

async fn not_tls(place: &Place, address: SocketAddr, error: &io::Error) -> Found {
    let url = place.url();
    let (finding, remedy) = match look::at(address).await {
        Spoken::Http1 => (
            "the port speaks HTTP/1 in cleartext, and no TLS".to_owned(),
            format!("write http:// in {url}, or the port that speaks TLS"),
        ),
        Spoken::Http2 => (
            "the port speaks HTTP/2 in cleartext, and no TLS".to_owned(),
            format!("write http:// in {url} and {} = \"http2\", or the port that speaks TLS", place.key("protocol")),
        ),
        Spoken::Tls => (
            format!("the handshake broke off within {:?}: {error}", place.spec.connect_timeout),
            format!("see the backend's log for the reason, or raise {}", place.key("connect_timeout")),
        ),
        Spoken::Unknown => (
            format!("no TLS is spoken on the port, and no HTTP either: {error}"),
            format!("correct host and port in {url}"),
        ),
    };
    Found::failed(Wrong::Protocol, finding, remedy)
}

/// What is wrong with the backend's certificate.
fn certificate(place: &Place, wrong: &CertificateError) -> Found {
    use CertificateError as E;
    let name = place.endpoint.tls.as_ref().map(|tls| tls.server_name.to_str().into_owned()).unwrap_or_default();
    let (finding, remedy) = match wrong {
        E::UnknownIssuer => (
            "the certificate comes from an authority that is not trusted".to_owned(),
            format!(
                "name a file with that authority: {} (absent: the platform's roots); or have the backend send its whole chain",
                place.key("tls.ca")
            ),
        ),
        E::NotValidForName => (format!("the certificate is not for `{name}`"), other_name(place)),
        E::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(4).map(String::as_str).collect();
            let for_whom = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            (format!("the certificate is not for `{name}`, but for {for_whom}"), other_name(place))
        }
        E::Expired | E::ExpiredContext { .. } => (
            "the certificate has expired".to_owned(),
            "renew the backend's certificate; is the clock of this machine right?".to_owned(),
        ),
        E::NotValidYet | E::NotValidYetContext { .. } => (
            "the certificate is not valid yet".to_owned(),
            "is the clock of this machine right? Else have the backend show its present certificate".to_owned(),
        ),
        E::Revoked => ("the certificate was revoked".to_owned(), "renew the backend's certificate".to_owned()),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => (
            "the certificate is not meant for servers".to_owned(),
            "give the backend a certificate with the extended key usage serverAuth".to_owned(),
        ),
        other => (
            format!("the certificate cannot be accepted: {other}"),
            format!("give the backend an X.509 v3 certificate that an authority of {} signed", place.key("tls.ca")),
        ),
    };
    Found::failed(Wrong::Certificate, finding, remedy)
}

fn other_name(place: &Place) -> String {
    format!("correct the host in {}, or say which name to expect: {}", place.url(), place.key("tls.server_name"))
}

/// What the peer complains of.
fn alerted(place: &Place, alert: AlertDescription, wants_certificate: bool) -> Found {
    use AlertDescription as A;
    match alert {
        A::NoApplicationProtocol => Found::failed(
            Wrong::Protocol,
            "the endpoint does not speak the version of HTTP that is offered (ALPN)",
            format!("write {} = \"auto\", or \"http1\" or \"http2\" as the backend wants", place.key("protocol")),
        ),
        A::UnrecognisedName => Found::failed(
            Wrong::Certificate,
            "the endpoint knows nobody by the name it was asked for (SNI)",
            other_name(place),
        ),
        A::ProtocolVersion | A::InsufficientSecurity => Found::failed(
            Wrong::Protocol,
            "no version or cipher of TLS in common",
            "have the backend offer TLS 1.2 or 1.3 with a modern cipher suite",
        ),
        _ if wants_certificate || is_about_certificates(alert) => client_certificate(place, Some(alert)),
        other => Found::failed(
            Wrong::Protocol,
            format!("the endpoint refused the handshake: {other:?}"),
            "see the backend's log for the reason",
        ),
    }
}

/// Complaints that can only be about what was shown to the peer (RFC 8446, section 6.2).
fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::CertificateRequired
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
    )
}

/// A client certificate is demanded, or the one that was shown is refused. Without a complaint of the peer, which may be
/// lost with the connection, that is only likely.
pub(super) fn client_certificate(place: &Place, alert: Option<AlertDescription>) -> Found {
    let has_one =
        place.endpoint.tls.as_ref().is_some_and(|tls| tls.client.config().client_auth_cert_resolver.has_certs());
    let (cert, key) = (place.key("tls.client_cert"), place.key("tls.client_key"));
    let said = alert
        .map_or_else(|| ": it asked for one, and closed the connection".to_owned(), |alert| format!(" ({alert:?})"));
    let (finding, remedy) = if has_one {
        let remedy = format!(
            "put one that the backend's client authority signed, and that is still valid, into {cert} and {key}"
        );
        (format!("the endpoint refuses the client certificate{said}"), remedy)
    } else {
        let finding = format!("the endpoint demands a client certificate, and none is configured{said}");
        (finding, format!("name one: {cert} and {key}"))
    };
    Found::failed(Wrong::Certificate, finding, remedy)
}

/// What is wrong where the handshake went well, and the connection broke before an answer: in TLS 1.3 only then does a peer
/// say what it thinks of the client certificate. `None` where it was something else.
pub(super) fn diagnose_later(place: &Place, wants_certificate: bool, broken: &Broken) -> Option<Found> {
    match broken.alert {
        Some(alert) => Some(alerted(place, alert, wants_certificate)),
        None => (wants_certificate && broken.cause == Cause::Reset).then(|| client_certificate(place, None)),
    }
}

/// The complaint of a peer, somewhere in the causes of an error.
pub(super) fn alert_in(error: &(dyn std::error::Error + 'static)) -> Option<AlertDescription> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let told = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = told.or_else(|| error.downcast_ref()) {
            return Some(*alert);
        }
        next = error.source();
    }
    None
}
