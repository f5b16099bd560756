//! What an exchange can do with its HTTP/1 connection beside answering: send interim answers, and take it over.

use std::cell::RefCell;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::scan::Scan;
use crate::refusal::Refusal;

/// Bytes of interim answers that wait for a consumer; more are dropped.
const MOST_WAITING: usize = 64 << 10;

/// A consumer's connection once HTTP has left it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// What becomes of a connection after a 101: it lives as long as the future.
pub type Tunnel = Box<dyn FnOnce(Box<dyn Duplex>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// One HTTP/1 connection of a consumer, as its exchanges see it.
#[derive(Default)]
pub struct Line {
    pub(super) scan: RefCell<Scan>,
    pub(super) interim: Interim,
    tunnel: RefCell<Option<Tunnel>>,
}

impl Line {
    /// Where interim answers to the request under way go.
    pub fn interim(&self) -> Interim {
        self.interim.clone()
    }

    /// Takes the connection over as soon as the answer, which has to be a 101, is on its way.
    pub fn take_over(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// Why hyper refused a head on its own.
    pub(super) fn fault(&self) -> Refusal {
        self.scan.borrow().fault().unwrap_or(Refusal::Syntax)
    }
}

/// Interim answers on their way to a consumer, between what hyper writes (RFC 9110, section 15.2).
///
/// hyper's server has no call for them. They are written to the connection beneath it, and only when it has nothing of an
/// earlier answer left to write: whatever hyper writes next then belongs to the same request.
#[derive(Clone, Default)]
pub struct Interim(Arc<Outbox>);

#[derive(Default)]
struct Outbox {
    /// hyper wrote something that it has not flushed.
    busy: AtomicBool,
    waiting: AtomicBool,
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Interim {
    /// Sends one, unless the consumer takes too long for those before it.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut state = self.state();
        if self.0.busy.load(Ordering::Relaxed) || state.bytes.len() > MOST_WAITING {
            return;
        }
        append(&mut state.bytes, status, headers);
        self.0.waiting.store(true, Ordering::Relaxed);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Whom to wake when something is to be sent.
    pub(super) fn remember(&self, waker: &Waker) {
        let mut state = self.state();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    /// What waits, all of it.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        self.0.waiting.swap(false, Ordering::Relaxed).then(|| std::mem::take(&mut self.state().bytes))
    }

    /// Whether hyper has something left to write.
    pub(super) fn is_busy(&self, busy: bool) {
        self.0.busy.store(busy, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(bytes: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = write!(line, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    bytes.extend_from_slice(line.as_bytes());
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderValue, LINK};

    use super::*;

    #[test]
    fn an_interim_answer_never_comes_within_another_answer() {
        let interim = Interim::default();
        interim.is_busy(true);
        interim.send(StatusCode::PROCESSING, &HeaderMap::new());
        assert_eq!(interim.take(), None);
        interim.is_busy(false);
        let link = HeaderMap::from_iter([(LINK, HeaderValue::from_static("</a>"))]);
        interim.send(StatusCode::EARLY_HINTS, &link);
        let sent = interim.take().expect("it waits");
        assert_eq!(String::from_utf8_lossy(&sent), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    }

    #[test]
    fn a_flood_of_interim_answers_is_bounded() {
        let interim = Interim::default();
        (0..100_000).for_each(|_| interim.send(StatusCode::PROCESSING, &HeaderMap::new()));
        assert!(interim.take().is_some_and(|bytes| bytes.len() < MOST_WAITING + 100));
    }
}
