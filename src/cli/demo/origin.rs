//! A recommendation service that answers as well as it is told to.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::answer::{self, Kind};
use crate::backend::Backend;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 1024;
/// How long a late answer takes: longer than the route's `max_latency`, shorter than V2's `timeout`.
const LATE: Duration = Duration::from_millis(2400);
/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);
/// The number of the first request that does not carry one: the traffic does not count so far.
const NOT_OURS: u64 = 1 << 40;

/// One backend, until it is dropped.
pub(super) struct Origin {
    /// Where it listens.
    pub(super) address: SocketAddr,
    service: Arc<Service>,
    task: JoinHandle<()>,
}

struct Service {
    backend: Backend,
    /// Share of rich answers, in thousandths.
    hit_rate: AtomicU32,
    /// For requests that carry no number.
    next: AtomicU64,
}

impl Origin {
    /// Listens on a free port of the loopback address.
    pub(super) async fn start(backend: Backend, hit_rate: f64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let service =
            Service { backend, hit_rate: AtomicU32::new(thousandths(hit_rate)), next: AtomicU64::new(NOT_OURS) };
        let service = Arc::new(service);
        let task = tokio::spawn(accept(listener, Arc::clone(&service)));
        Ok(Self { address, service, task })
    }

    /// From now on this share of the answers is rich.
    pub(super) fn set_hit_rate(&self, hit_rate: f64) {
        self.service.hit_rate.store(thousandths(hit_rate), Ordering::Relaxed);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn thousandths(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 1000.0).round() as u32
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&service)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>) {
    // Without it an answer may wait for an acknowledgement; an error shows when the connection is used.
    let _ = stream.set_nodelay(true);
    let serve = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(&request).await) }
    });
    // A connection that breaks is the proxy's to notice.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
}

impl Service {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if let Some(user) = path.strip_prefix("/recommendations/").filter(|user| is_name(user)) {
            return self.recommend(user, number(request.uri().query())).await;
        }
        match path.strip_prefix("/hit-rate/").and_then(|percent| percent.parse().ok()) {
            Some(percent) if self.backend == Backend::V2 && request.method() == Method::PUT => self.be_told(percent),
            _ => plain(StatusCode::NOT_FOUND, "there is nothing here\n".to_owned()),
        }
    }

    async fn recommend(&self, user: &str, request: Option<u64>) -> Response<Full<Bytes>> {
        let request = request.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let hit_rate = f64::from(self.hit_rate.load(Ordering::Relaxed)) / 1000.0;
        let kind = Kind::of(self.backend, request, hit_rate);
        if kind == Kind::Late {
            tokio::time::sleep(LATE).await;
        }
        let mut answer = Response::new(Full::from(answer::content(self.backend, user, request, kind)));
        answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        answer
    }

    /// A person spoils or mends V2 by hand.
    fn be_told(&self, percent: f64) -> Response<Full<Bytes>> {
        self.hit_rate.store(thousandths(percent / 100.0), Ordering::Relaxed);
        let now = f64::from(self.hit_rate.load(Ordering::Relaxed)) / 10.0;
        plain(StatusCode::OK, format!("{now} % of V2's answers are rich from now on\n"))
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer
}

/// What may stand in a JSON string as it is.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

/// The `n` of a query `n=12`.
fn number(query: Option<&str>) -> Option<u64> {
    query?.strip_prefix("n=")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_number_of_a_request() {
        assert_eq!(number(Some("n=12")), Some(12));
        assert_eq!([number(None), number(Some("n=")), number(Some("m=1")), number(Some("n=-1"))], [None; 4]);
    }

    #[test]
    fn nothing_strange_enters_the_json() {
        assert!(is_name("user-1.a_b~"));
        assert!(!is_name("") && !is_name("a\"b") && !is_name("a/b"));
    }

    #[test]
    fn a_share_stays_a_share() {
        assert_eq!([-1.0, 0.6, 0.98, 7.0, f64::NAN].map(thousandths), [0, 600, 980, 1000, 0]);
    }
}
