//! The consumers: steady traffic over connections that are kept, and a look at every single answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::answer::{self, Kind};
use crate::backend::Backend;
use crate::bucket::bucket;

/// Connections; each sends one request at a time.
const CONNECTIONS: u32 = 40;
/// The time between two requests of one connection: with the number above, 400 requests a second.
const EACH: Duration = Duration::from_millis(100);
/// The salt of the buckets: the name of the dependency, since the rollout names no other.
const SALT: &str = "recommendations";

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What consumers saw of the requests they began within one lap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Requests begun.
    pub(super) begun: u64,
    /// Whole answers, byte for byte what the named backend gives to this request.
    pub(super) answers: u64,
    /// Of these, by V1.
    pub(super) by_v1: u64,
    /// Of V1's, in place of V2's.
    pub(super) rescued: u64,
    /// Of all answers, those that make a consumer show its fallback.
    pub(super) fallbacks: u64,
    /// No answer, an error, or bytes that no backend gave to this request.
    pub(super) wrong: u64,
    /// The highest bucket that V2 answered.
    pub(super) highest_on_v2: Option<u32>,
    /// The lowest bucket that V1 answered as the primary.
    pub(super) lowest_on_v1: Option<u32>,
}

impl Seen {
    /// Requests that were begun and are not answered yet.
    pub(super) const fn pending(&self) -> u64 {
        self.begun - self.answers - self.wrong
    }

    /// V2's answers.
    pub(super) const fn by_v2(&self) -> u64 {
        self.answers - self.by_v1
    }

    fn count(&mut self, user: &str, by: Backend, kind: Kind, rescued: bool) {
        let bucket = bucket(SALT, user.as_bytes());
        self.answers += 1;
        self.fallbacks += u64::from(kind != Kind::Rich);
        self.rescued += u64::from(rescued);
        self.by_v1 += u64::from(by == Backend::V1);
        match by {
            Backend::V2 => self.highest_on_v2 = self.highest_on_v2.max(Some(bucket)),
            Backend::V1 if !rescued => {
                self.lowest_on_v1 = Some(self.lowest_on_v1.map_or(bucket, |low| low.min(bucket)));
            }
            Backend::V1 => {}
        }
    }
}

/// A stretch of the story. What is said of a lap holds for each request that was begun within it, whenever it is answered.
#[derive(Debug, Default)]
pub(super) struct Lap(Mutex<Seen>);

impl Lap {
    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn of(seen: Seen) -> Self {
        Self(Mutex::new(seen))
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Traffic, until it is stopped or dropped.
pub(super) struct Traffic {
    /// Absent: silence.
    lap: watch::Sender<Option<Arc<Lap>>>,
    tasks: JoinSet<()>,
}

impl Traffic {
    /// Connections to `proxy`; silent until the [first lap](Self::next_lap).
    pub(super) fn start(proxy: SocketAddr) -> Self {
        let (lap, laps) = watch::channel(None);
        let next = Arc::new(AtomicU64::new(1));
        let mut tasks = JoinSet::new();
        for index in 0..CONNECTIONS {
            let consumer = Consumer { proxy, next: Arc::clone(&next), laps: laps.clone(), connection: None };
            tasks.spawn(consumer.run(EACH * index / CONNECTIONS));
        }
        Self { lap, tasks }
    }

    /// Begins a lap: requests from now on count there.
    pub(super) fn next_lap(&self) -> Arc<Lap> {
        let lap = Arc::new(Lap::default());
        self.lap.send_replace(Some(Arc::clone(&lap)));
        lap
    }

    /// No request from now on; until the next lap.
    pub(super) fn hush(&self) {
        self.lap.send_replace(None);
    }

    /// Ends when every request that was begun is answered.
    pub(super) async fn stop(self) {
        drop(self.lap);
        self.tasks.join_all().await;
    }
}

/// One connection.
struct Consumer {
    proxy: SocketAddr,
    next: Arc<AtomicU64>,
    laps: watch::Receiver<Option<Arc<Lap>>>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Consumer {
    async fn run(mut self, offset: Duration) {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + offset, EACH);
        // An answer that takes long delays the next request, and no burst follows: the traffic stays steady.
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            beat.tick().await;
            // An error means that the traffic was stopped.
            if self.laps.has_changed().is_err() {
                return;
            }
            let Some(lap) = self.laps.borrow_and_update().clone() else {
                continue;
            };
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            lap.note(|seen| seen.begun += 1);
            self.ask(number, &lap).await;
        }
    }

    async fn ask(&mut self, number: u64, lap: &Lap) {
        let user = answer::user(number);
        let answered = self.exchange(&user, number).await;
        if answered.is_err() {
            self.connection = None;
        }
        let judged = answered.ok().and_then(|answer| judge(&user, number, &answer));
        lap.note(|seen| match judged {
            Some((by, kind, rescued)) => seen.count(&user, by, kind, rescued),
            None => seen.wrong += 1,
        });
    }

    async fn exchange(&mut self, user: &str, number: u64) -> Result<Response<Bytes>, Error> {
        let mut connection = match self.connection.take() {
            Some(open) if !open.is_closed() => open,
            _ => connect(self.proxy).await?,
        };
        let request = Request::get(format!("/recommendations/{user}?n={number}"))
            .header(HOST, self.proxy.to_string())
            .header("x-user-id", user)
            .body(Empty::new())?;
        connection.ready().await?;
        let (head, body) = connection.send_request(request).await?.into_parts();
        let content = body.collect().await?.to_bytes();
        self.connection = Some(connection);
        Ok(Response::from_parts(head, content))
    }
}

async fn connect(proxy: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, Error> {
    let stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// Whose answer this is, of what kind, and whether it took another one's place; `None` when anything is wrong with it. What
/// the proxy says must agree with the bytes.
fn judge(user: &str, number: u64, answer: &Response<Bytes>) -> Option<(Backend, Kind, bool)> {
    let (by, kind) = answer::recognise(user, number, answer.body())?;
    let named = header(answer.headers(), "crossfade-served-by")? == by.as_str();
    let rescued = answer.headers().contains_key("crossfade-rescued");
    let right = answer.status() == StatusCode::OK && named && (by == Backend::V1 || !rescued);
    right.then_some((by, kind, rescued))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(by: &str, content: String) -> Response<Bytes> {
        Response::builder().header("crossfade-served-by", by).body(content.into()).expect("valid")
    }

    #[test]
    fn an_answer_counts_only_when_name_and_bytes_agree() {
        let content = |backend, number| answer::content(backend, "ada", number, Kind::of(backend, number, 1.0));
        let judged = |by, content| judge("ada", 1, &response(by, content));
        assert_eq!(judged("v2", content(Backend::V2, 1)), Some((Backend::V2, Kind::Rich, false)));
        assert_eq!(judged("v1", content(Backend::V2, 1)), None, "V2's bytes under V1's name");
        assert_eq!(judged("v2", content(Backend::V2, 2)), None, "the answer to another request");
        assert_eq!(judged("v2", String::new()), None);
    }

    #[test]
    fn a_rescue_is_by_v1_and_says_nothing_about_buckets() {
        let mut seen = Seen::default();
        seen.count("ada", Backend::V1, Kind::Rich, true);
        seen.count("bob", Backend::V2, Kind::Empty, false);
        let expected = Seen {
            answers: 2,
            by_v1: 1,
            rescued: 1,
            fallbacks: 1,
            highest_on_v2: Some(bucket(SALT, b"bob")),
            ..Seen::default()
        };
        assert_eq!(seen, expected);
        seen.count("cyd", Backend::V1, Kind::Rich, false);
        assert_eq!(seen.lowest_on_v1, Some(bucket(SALT, b"cyd")));
    }
}
