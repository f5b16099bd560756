//! Consumers in an open loop: each request is due at its time, whether or not the ones before it are answered. On a busy
//! machine it may wait for a connection, and begins when it is sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossfade::backend::Backend;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::stream::Stream;

/// Connections to the proxy. Unlimited ones would multiply where a busy machine stalls, and run out of files.
const CONNECTIONS: usize = 64;
/// Requests that are due and not answered; a trial that reaches it measures the machine and nothing else, and fails.
const UNDER_WAY: usize = 2_000;
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Connection = SendRequest<Empty<Bytes>>;

/// What one consumer got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) begun: Instant,
    /// The version that this consumer is on.
    pub(crate) primary: Backend,
    /// V1 answered in V2's place.
    pub(crate) is_rescued: bool,
    pub(crate) is_rich: bool,
    pub(crate) status: u16,
}

/// What all consumers of a trial share.
pub(crate) struct Consumers {
    proxy: SocketAddr,
    stream: Stream,
    /// Requests a second.
    rate: u64,
    next: AtomicU64,
    has_enough: AtomicBool,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
    answers: Mutex<Vec<Answer>>,
}

impl Consumers {
    pub(crate) fn new(proxy: SocketAddr, stream: Stream, rate: u64) -> Arc<Self> {
        Arc::new(Self {
            proxy,
            stream,
            rate,
            next: AtomicU64::new(0),
            has_enough: AtomicBool::new(false),
            places: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    /// The number of the next request.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// No request begins from now on.
    pub(crate) fn stop(&self) {
        self.has_enough.store(true, Ordering::SeqCst);
    }

    /// Sends until [stopped](Self::stop); every answer in the order of the requests.
    ///
    /// # Errors
    /// The first request that got no answer.
    pub(crate) async fn run(self: Arc<Self>) -> Result<Vec<Answer>, Error> {
        let (start, mut tasks) = (Instant::now(), JoinSet::new());
        while !self.has_enough.load(Ordering::SeqCst) {
            let number = self.next();
            let due = start + Duration::from_micros(number * 1_000_000 / self.rate);
            tokio::time::sleep_until(due.into()).await;
            self.next.store(number + 1, Ordering::SeqCst);
            tasks.spawn(Arc::clone(&self).ask(number));
            while let Some(ended) = tasks.try_join_next() {
                ended??;
            }
            if tasks.len() > UNDER_WAY {
                return Err("the machine is too slow for this rate".into());
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let mut answers = std::mem::take(&mut *lock(&self.answers));
        answers.sort_by_key(|answer| answer.number);
        Ok(answers)
    }

    async fn ask(self: Arc<Self>, number: u64) -> Result<(), Error> {
        let _place = self.places.acquire().await?;
        let answer = tokio::time::timeout(PATIENCE, self.exchange(number)).await??;
        lock(&self.answers).push(answer);
        Ok(())
    }

    async fn exchange(&self, number: u64) -> Result<Answer, Error> {
        let mut connection = self.connection().await?;
        let request = Request::get(format!("/{number}"))
            .header("host", "bench")
            .header("x-user-id", self.stream.user(number))
            .body(Empty::new())?;
        let begun = Instant::now();
        let (head, body) = connection.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.ready().await?;
        lock(&self.idle).push(connection);
        let is_rescued = head.headers.contains_key("crossfade-rescued");
        let by_v2 = head.headers.get("crossfade-served-by").is_some_and(|by| by == "v2");
        let primary = if by_v2 || is_rescued { Backend::V2 } else { Backend::V1 };
        let is_rich = head.status == 200 && body.len() > r#"{"items":[]}"#.len();
        Ok(Answer { number, begun, primary, is_rescued, is_rich, status: head.status.as_u16() })
    }

    async fn connection(&self) -> Result<Connection, Error> {
        let idle = lock(&self.idle).pop().filter(|connection| !connection.is_closed());
        match idle {
            Some(connection) => Ok(connection),
            None => connect(self.proxy).await,
        }
    }
}

async fn connect(proxy: SocketAddr) -> Result<Connection, Error> {
    let stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
