//! A backend and a consumer that speak either version of HTTP, with trailers and TLS: what [`Origin`](super::Origin) and
//! [`Client`](super::Client) cannot, since they write bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version, response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::certificates::Identity;
use super::soon;

/// Content of any kind.
pub(crate) type Content = BoxBody<Bytes, hyper::Error>;

/// All of `data`; with trailers behind it, nobody knows its length before.
pub(crate) fn content(data: impl Into<Bytes>, trailers: &[(&'static str, &str)]) -> Content {
    let data = data.into();
    if trailers.is_empty() {
        return Full::new(data).map_err(|never: Infallible| match never {}).boxed();
    }
    let (mut sender, content) = Channel::new(1);
    let trailers = headers(trailers);
    tokio::spawn(async move {
        // Whoever does not read it all may do so.
        let _ = sender.send_data(data).await;
        let _ = sender.send_trailers(trailers).await;
    });
    content.boxed()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| (*name, value.parse().expect("a value")));
    pairs.map(|(name, value)| (http::HeaderName::from_static(name), value)).collect()
}

/// What a peer speaks.
#[derive(Debug, Clone)]
pub(crate) enum Speaks {
    Http1,
    Http2,
    /// ALPN decides; where there is a CA, clients have to show a certificate.
    Tls(Identity, Option<String>),
}

/// A running backend; it runs until the test ends.
pub(crate) struct Peer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Requests after which a connection takes no more; 0: never.
    most: usize,
}

impl Peer {
    pub(crate) fn start(speaks: Speaks) -> Self {
        Self::with(speaks, State::default())
    }

    /// Takes this many requests on a connection, and then asks for another one.
    pub(crate) fn retiring_connections(speaks: Speaks, most: usize) -> Self {
        Self::with(speaks, State { most, ..State::default() })
    }

    fn with(speaks: Speaks, state: State) -> Self {
        let state = Arc::new(state);
        let (started, address) = mpsc::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
                started.send(listener.local_addr().expect("it is bound")).expect("somebody waits");
                accept(listener, speaks, shared).await;
            });
        });
        Self { address: address.recv().expect("the peer has started"), state }
    }

    /// `http://127.0.0.1:PORT` or `https://localhost:PORT` as a line of a backend's table.
    pub(crate) fn url(&self, speaks: &Speaks) -> String {
        let port = self.address.port();
        match speaks {
            Speaks::Http1 => format!("url = \"http://127.0.0.1:{port}\""),
            Speaks::Http2 => format!("url = \"http://127.0.0.1:{port}\"\nprotocol = \"http2\""),
            Speaks::Tls(..) => format!("url = \"https://localhost:{port}\""),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, speaks: Speaks, state: Arc<State>) {
    let acceptor = match &speaks {
        Speaks::Tls(identity, client_ca) => Some(TlsAcceptor::from(tls(identity, client_ca.as_deref()))),
        Speaks::Http1 | Speaks::Http2 => None,
    };
    loop {
        let (stream, _) = listener.accept().await.expect("loopback works");
        stream.set_nodelay(true).expect("it is connected");
        let (acceptor, state, is_http2) = (acceptor.clone(), Arc::clone(&state), matches!(speaks, Speaks::Http2));
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else { return serve(stream, is_http2, state).await };
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, is_http2, state).await;
        });
    }
}

fn tls(identity: &Identity, client_ca: Option<&str>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).map(|it| it.expect("PEM")).collect();
    let chain: Vec<_> = certificates(&identity.cert);
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let verifier = client_ca.map_or_else(WebPkiClientVerifier::no_client_auth, |ca| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(certificates(ca));
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        builder.build().expect("there are roots")
    });
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider is whole").with_client_cert_verifier(verifier);
    let mut config = builder.with_single_cert(chain, key).expect("they match");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T, is_http2: bool, state: Arc<State>) {
    state.connections.fetch_add(1, Ordering::SeqCst);
    let (served, full) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let told = Arc::clone(&full);
    let most = state.most;
    let service = service_fn(move |request| {
        state.requests.fetch_add(1, Ordering::SeqCst);
        if served.fetch_add(1, Ordering::SeqCst) + 1 == most {
            told.notify_one();
        }
        async move { Ok::<_, Infallible>(answer(request).await) }
    });
    let io = TokioIo::new(stream);
    if is_http2 {
        let mut connection =
            pin!(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service));
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = full.notified() => connection.as_mut().graceful_shutdown(),
            }
        }
    }
    // How a connection ends is the test's business only where it says so.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

/// By path: `/grpc/N` and `/only/N` are gRPC with that status, `/bidi` echoes a stream, and anything else is told what it
/// asked, with the length of its content as a trailer.
async fn answer(request: Request<Incoming>) -> Response<Content> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/bidi" {
        return grpc(echo(body));
    }
    let Ok(whole) = body.collect().await else { return Response::new(content("", &[])) };
    let (trailers, data) = (whole.trailers().cloned(), whole.to_bytes());
    if let Some(status) = path.strip_prefix("/only/") {
        let mut answer = grpc(content("", &[]));
        answer.headers_mut().extend(headers(&[("grpc-status", status)]));
        return answer;
    }
    if let Some(status) = path.strip_prefix("/grpc/") {
        return grpc(content(data, &[("grpc-status", status)]));
    }
    let text = |name: &str, of: &HeaderMap| of.get(name).map(|it| it.to_str().unwrap_or("?").to_owned());
    let told = serde_json::json!({
        "items": [1],
        "version": if head.version == Version::HTTP_2 { "2" } else { "1.1" },
        "method": head.method.as_str(),
        "target": head.uri.path_and_query().map(ToString::to_string),
        "host": head.uri.authority().map(ToString::to_string).or_else(|| text("host", &head.headers)),
        "te": text("te", &head.headers),
        "cookie": text("cookie", &head.headers),
        "sum": trailers.as_ref().and_then(|trailers| text("x-sum", trailers)),
        "length": data.len(),
    });
    let mut answer = Response::new(content(told.to_string(), &[("x-length", &data.len().to_string())]));
    answer.headers_mut().extend(headers(&[("content-type", "application/json"), ("trailer", "x-length")]));
    answer
}

fn grpc(content: Content) -> Response<Content> {
    let mut answer = Response::new(content);
    answer.headers_mut().extend(headers(&[("content-type", "application/grpc")]));
    answer
}

/// Each piece as it comes, and the status behind the last one.
fn echo(body: Incoming) -> Content {
    let trailers = headers(&[("grpc-status", "0")]);
    body.map_frame(|frame| Frame::data(frame.into_data().unwrap_or_default()))
        .with_trailers(async move { Some(Ok(trailers)) })
        .boxed()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: response::Parts,
    pub(crate) data: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answered {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name)?.to_str().ok()
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.head.status == StatusCode::OK
    }
}

/// A consumer's connection in either version.
pub(crate) enum Consumer {
    Http1(hyper::client::conn::http1::SendRequest<Content>),
    Http2(hyper::client::conn::http2::SendRequest<Content>),
}

impl Consumer {
    pub(crate) async fn connect(address: SocketAddr, version: Version) -> Self {
        let io = TokioIo::new(TcpStream::connect(address).await.expect("it listens"));
        if version == Version::HTTP_2 {
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = handshake.expect("it speaks HTTP/2");
            tokio::spawn(connection);
            return Self::Http2(sender);
        }
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a connection");
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    /// The head of the answer; its content is still to come.
    pub(crate) async fn start(&mut self, request: Request<Content>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Content>) -> Answered {
        let answered = async {
            let (head, body) = self.start(request).await.expect("an answer").into_parts();
            let whole = body.collect().await.expect("a whole answer");
            Answered { head, trailers: whole.trailers().cloned(), data: whole.to_bytes() }
        };
        soon("an answer", answered).await
    }
}

/// Pieces sent one by one.
pub(crate) fn stream() -> (Sender<Bytes, hyper::Error>, Content) {
    let (sender, pieces) = Channel::new(1);
    (sender, pieces.boxed())
}
