//! From a name to a connection that is ready for a request: DNS, TCP, TLS, ALPN.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::place::Place;
use super::report::{Found, State, Step, StepName, Wrong};
use super::tls::{self, Encrypted};
use crate::config::Protocol;

/// The system's resolver has this long; its own patience is often longer.
const RESOLVER: Duration = Duration::from_secs(5);
/// Addresses of one name that are probed; real traffic uses up to 64.
const MOST_ADDRESSES: usize = 8;

/// What requests are sent on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that is ready for a request.
pub(super) struct Line {
    pub(super) stream: Box<dyn Stream>,
    pub(super) address: SocketAddr,
    pub(super) is_http2: bool,
    /// What HTTP/2 says in `:scheme`.
    pub(super) scheme: Scheme,
    /// In the TLS handshake the peer has asked for a certificate. In TLS 1.3 it refuses one only after the handshake.
    pub(super) wants_certificate: bool,
}

/// The addresses of an endpoint, at most [`MOST_ADDRESSES`].
pub(super) async fn resolve(place: &Place) -> (Step, Vec<SocketAddr>) {
    let (host, port) = (place.endpoint.host.as_str(), place.endpoint.port);
    if let Ok(address) = host.parse::<IpAddr>() {
        let step = place.step(None, StepName::Dns, None, Found::skipped("an address, and no name"));
        return (step, vec![SocketAddr::new(address, port)]);
    }
    let begun = Instant::now();
    let looked_up = timeout(place.clip(RESOLVER), tokio::net::lookup_host((host, port))).await;
    let looked_up = looked_up.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
    let mut addresses: Vec<SocketAddr> = looked_up.as_ref().map(|_| Vec::new()).unwrap_or_default();
    let found = match looked_up {
        Ok(found) => {
            addresses.extend(found);
            addresses.dedup();
            resolved(place, &addresses)
        }
        Err(error) => unresolved(place, &error.to_string()),
    };
    addresses.truncate(MOST_ADDRESSES);
    (place.step(None, StepName::Dns, Some(begun.elapsed()), found), addresses)
}

fn resolved(place: &Place, addresses: &[SocketAddr]) -> Found {
    if addresses.is_empty() {
        return unresolved(place, "the name has no address");
    }
    let shown: Vec<String> = addresses.iter().take(MOST_ADDRESSES).map(|it| it.ip().to_string()).collect();
    let more = addresses.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more, which are not probed") } else { String::new() };
    Found::ok(format!("{}{more}", shown.join(", ")))
}

fn unresolved(place: &Place, why: &str) -> Found {
    let host = &place.endpoint.host;
    Found::failed(
        Wrong::Host,
        format!("`{host}` does not resolve: {why}"),
        format!("correct the host in {}, or the resolver of this machine: try `getent hosts {host}`", place.url()),
    )
}

/// The steps to one address, and the connection where all of them went well.
pub(super) async fn dial(place: &Place, address: SocketAddr) -> (Vec<Step>, Option<Line>) {
    let mut steps = Steps { place, address, list: Vec::new() };
    let line = steps.take().await;
    for name in [StepName::Tcp, StepName::Tls, StepName::Alpn].into_iter().skip(steps.list.len()) {
        steps.add(name, None, Found::not_reached());
    }
    (steps.list, line)
}

struct Steps<'a> {
    place: &'a Place,
    address: SocketAddr,
    list: Vec<Step>,
}

impl Steps<'_> {
    fn add(&mut self, name: StepName, took: Option<Duration>, found: Found) -> bool {
        let is_passed = found.state != State::Failed;
        self.list.push(self.place.step(Some(self.address), name, took, found));
        is_passed
    }

    /// `None` as soon as a step fails.
    async fn take(&mut self) -> Option<Line> {
        let (place, address) = (self.place, self.address);
        let begun = Instant::now();
        let connected = connect(place, address).await;
        let took = Some(begun.elapsed());
        let stream = match connected {
            Ok(stream) => stream,
            Err(found) => {
                self.add(StepName::Tcp, took, found);
                return None;
            }
        };
        self.add(StepName::Tcp, took, Found::ok("connected"));
        let Some(settings) = &place.endpoint.tls else { return Some(self.in_cleartext(stream)) };
        let begun = Instant::now();
        let encrypted = tls::encrypt(place, settings, stream).await;
        let took = Some(begun.elapsed());
        let Encrypted { stream, finding, wants_certificate } = match encrypted {
            Ok(encrypted) => encrypted,
            Err(error) => {
                let found = tls::diagnose(place, address, &error).await;
                self.add(StepName::Tls, took, found);
                return None;
            }
        };
        self.add(StepName::Tls, took, Found::ok(finding));
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let is_http2 = agreed.as_deref() == Some(b"h2");
        let passed = self.add(StepName::Alpn, None, alpn(place, agreed.as_deref()));
        passed.then(|| Line { stream: Box::new(stream), address, is_http2, scheme: Scheme::HTTPS, wants_certificate })
    }

    fn in_cleartext(&mut self, stream: TcpStream) -> Line {
        self.add(StepName::Tls, None, Found::skipped("cleartext, as http:// says"));
        let is_http2 = self.place.endpoint.protocol == Protocol::Http2;
        let spoken = if is_http2 { "HTTP/2 by prior knowledge" } else { "HTTP/1.1" };
        self.add(StepName::Alpn, None, Found::skipped(format!("no TLS: {spoken}")));
        Line {
            stream: Box::new(stream),
            address: self.address,
            is_http2,
            scheme: Scheme::HTTP,
            wants_certificate: false,
        }
    }
}

async fn connect(place: &Place, address: SocketAddr) -> Result<TcpStream, Found> {
    let within = place.clip(place.spec.connect_timeout);
    let connected = timeout(within, TcpStream::connect(address)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    stream.map_err(|error| unconnected(place, address, &error))
}

fn unconnected(place: &Place, address: SocketAddr, error: &io::Error) -> Found {
    let (ip, port) = (address.ip(), address.port());
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Found::failed(
            Wrong::Host,
            format!("refused: nobody listens on port {port} of {ip}"),
            format!("correct host and port in {}, or start the backend", place.url()),
        ),
        io::ErrorKind::TimedOut => Found::failed(
            Wrong::Host,
            format!(
                "no answer within {:?}: a firewall, a wrong address, or a host that is down",
                place.spec.connect_timeout
            ),
            format!(
                "open the way to port {port}, correct {}, or raise {} if it is far away",
                place.url(),
                place.key("connect_timeout")
            ),
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Found::failed(
            Wrong::Host,
            format!("no route to {ip}"),
            format!("mend the network of this machine, or correct the host in {}", place.url()),
        ),
        _ => Found::failed(
            Wrong::Host,
            format!("no connection: {error}"),
            format!("correct {}, or what keeps this machine from connecting", place.url()),
        ),
    }
}

fn alpn(place: &Place, agreed: Option<&[u8]>) -> Found {
    match (agreed, place.endpoint.protocol) {
        (Some(b"h2"), _) => Found::ok("h2"),
        (_, Protocol::Http2) => Found::failed(
            Wrong::Protocol,
            "the endpoint does not offer HTTP/2",
            format!("take {} = \"http2\" out, or have the backend offer h2", place.key("protocol")),
        ),
        (Some(_), _) => Found::ok("http/1.1"),
        (None, _) => Found::ok("nothing agreed on: HTTP/1.1"),
    }
}
