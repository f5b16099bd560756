//! V1 and V2 of one trial.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crossfade::backend::Backend;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::stream::{Miss, Stream};

/// What both origins go by.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) stream: Stream,
    pub(crate) miss: Miss,
    /// From this request on, V2 is bad.
    collapse_at: AtomicU64,
    /// When requests reached V2 as the primary.
    arrivals: Mutex<Vec<SystemTime>>,
}

impl Scene {
    pub(crate) const fn new(stream: Stream, miss: Miss) -> Self {
        Self { stream, miss, collapse_at: AtomicU64::new(u64::MAX), arrivals: Mutex::new(Vec::new()) }
    }

    pub(crate) fn collapse_at(&self, number: u64) {
        self.collapse_at.store(number, Ordering::SeqCst);
    }

    /// When requests reached V2 as the primary, in order.
    pub(crate) fn arrivals_at_v2(&self) -> Vec<SystemTime> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a backend answers to this request, as things stand.
    pub(crate) fn is_rich(&self, backend: Backend, number: u64) -> bool {
        self.stream.is_rich(backend, number, number >= self.collapse_at.load(Ordering::SeqCst))
    }
}

/// Listens on a free port until the runtime ends.
pub(crate) async fn origin(scene: Arc<Scene>, backend: Backend) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&scene), backend));
        }
    });
    Ok(address)
}

async fn connection(stream: TcpStream, scene: Arc<Scene>, backend: Backend) {
    // An error shows when the connection is used.
    let _ = stream.set_nodelay(true);
    let serve = service_fn(move |request| {
        let answer = answer(&scene, backend, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    // The proxy notices a connection that breaks, and the trial a wrong answer.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
}

fn answer(scene: &Scene, backend: Backend, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if backend == Backend::V2 && !request.headers().contains_key("crossfade-role") {
        scene.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(SystemTime::now());
    }
    let number = request.uri().path().trim_start_matches('/').parse().unwrap_or_default();
    let is_rich = scene.is_rich(backend, number);
    let body: &'static str = if is_rich { r#"{"items":["a","b","c"]}"# } else { r#"{"items":[]}"# };
    let response = Response::builder().status(scene.miss.status(is_rich)).header("content-type", "application/json");
    response.body(Full::from(body)).expect("all parts are valid")
}
