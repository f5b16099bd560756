//! What an exchange can do with its HTTP/1 connection beside answering: send interim answers, pass on how names are spelled,
//! and take the connection over.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::wire::{Spelling, end_head, write_answer};

/// Bytes of interim answers that wait for a consumer; more are dropped.
const MOST_WAITING: usize = 64 << 10;

/// A consumer's connection once HTTP has left it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// What becomes of a connection after a 101: it lives as long as the future.
pub type Tunnel = Box<dyn FnOnce(Box<dyn Duplex>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// One HTTP/1 connection of a consumer, as the exchange under way sees it.
#[derive(Default)]
pub struct Line {
    turn: Cell<u64>,
    interim: Rc<RefCell<Waiting>>,
    tunnel: Cell<Option<Tunnel>>,
    asked: RefCell<Option<Spelling>>,
    answered: Cell<Option<Spelling>>,
}

impl Line {
    /// Where interim answers to the request under way go.
    pub fn interim(&self) -> Interim {
        Interim { waiting: Rc::clone(&self.interim), turn: self.turn.get() }
    }

    /// Takes the connection over as soon as the answer, which has to be a 101, is on its way.
    pub fn take_over(&self, tunnel: Tunnel) {
        self.tunnel.set(Some(tunnel));
    }

    /// How the head of the request under way was spelled; `None` once it is answered.
    pub fn spelling(&self) -> Option<Spelling> {
        self.asked.borrow().clone()
    }

    /// Has the head of the answer to the request under way go out as its sender spelled it.
    pub fn spell_answer(&self, spelling: Spelling) {
        self.answered.set(Some(spelling));
    }

    /// A request begins.
    pub(super) fn begin(&self, spelling: Option<Spelling>) {
        self.turn.set(self.turn.get() + 1);
        *self.asked.borrow_mut() = spelling;
        self.answered.take();
        self.interim.borrow_mut().turn = Some(self.turn.get());
    }

    /// The request has its answer: what interim ones wait come before it, and none after it. Says how it is spelled.
    pub(super) fn end(&self, out: &mut BytesMut) -> Option<Spelling> {
        let mut waiting = self.interim.borrow_mut();
        waiting.turn = None;
        waiting.give(out);
        self.asked.take();
        self.answered.take()
    }

    /// Appends the interim answers that wait.
    pub(super) fn take_interim(&self, out: &mut BytesMut) {
        self.interim.borrow_mut().give(out);
    }

    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }
}

/// Interim answers to one request on their way to its consumer (RFC 9110, section 15.2).
#[derive(Clone)]
pub struct Interim {
    waiting: Rc<RefCell<Waiting>>,
    turn: u64,
}

#[derive(Default)]
struct Waiting {
    bytes: BytesMut,
    /// The request that has no answer yet.
    turn: Option<u64>,
}

impl Waiting {
    fn give(&mut self, out: &mut BytesMut) {
        if !self.bytes.is_empty() {
            out.extend_from_slice(&std::mem::take(&mut self.bytes));
        }
    }
}

impl Interim {
    /// Sends one as soon as whoever answers the request waits for something, and before its answer; unless it has that
    /// already, or the consumer takes too long for those before.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.turn != Some(self.turn) || waiting.bytes.len() > MOST_WAITING {
            return;
        }
        write_answer(&mut waiting.bytes, Version::HTTP_11, status, headers, None);
        end_head(&mut waiting.bytes);
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderValue, LINK};

    use super::*;

    fn begun() -> (Line, Interim) {
        let line = Line::default();
        line.begin(None);
        let interim = line.interim();
        (line, interim)
    }

    #[test]
    fn an_interim_answer_comes_before_the_answer_to_its_own_request_or_not_at_all() {
        let (line, interim) = begun();
        let hints = HeaderMap::from_iter([(LINK, HeaderValue::from_static("</a>"))]);
        interim.send(StatusCode::EARLY_HINTS, &hints);
        let mut out = BytesMut::new();
        line.end(&mut out);
        assert_eq!(out, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        out.clear();
        interim.send(StatusCode::PROCESSING, &HeaderMap::new());
        line.begin(None);
        interim.send(StatusCode::PROCESSING, &HeaderMap::new());
        line.take_interim(&mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn a_flood_of_interim_answers_is_bounded() {
        let (line, interim) = begun();
        (0..100_000).for_each(|_| interim.send(StatusCode::PROCESSING, &HeaderMap::new()));
        let mut out = BytesMut::new();
        line.take_interim(&mut out);
        assert!((MOST_WAITING..MOST_WAITING + 100).contains(&out.len()));
    }
}
