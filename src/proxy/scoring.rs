//! Answers that wait to be scored: after the consumer has its last byte, never before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::Notify;

use super::capture::Capture;
use super::head;
use super::pair::Pair;
use crate::backend::Backend;
use crate::score::{Answer, Finding, GRPC_STATUS};

/// Bytes that are scored before other work of the worker gets its turn.
const SLICE: usize = 64 << 10;
/// The content type of server-sent events.
const EVENTS: &[u8] = b"text/event-stream";

/// What scoring needs to know of an answer beside its content.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) conditional: bool,
    pub(super) status: StatusCode,
    /// Only `content-encoding`, and what says how a gRPC call went: what scoring reads.
    pub(super) headers: HeaderMap,
    /// From the call to the end of the answer's head.
    pub(super) latency: Duration,
    /// The answer may be a stream: its end is no sign of health.
    pub(super) may_stream: bool,
}

impl Head {
    /// Of an answer's headers, those that scoring reads.
    pub(super) fn headers(of: &HeaderMap, is_grpc: bool) -> HeaderMap {
        let mut kept = HeaderMap::new();
        for value in head::all(of, &CONTENT_ENCODING) {
            kept.append(CONTENT_ENCODING, value.clone());
        }
        if is_grpc {
            for name in [CONTENT_TYPE, GRPC_STATUS] {
                kept.extend(of.get(&name).map(|value| (name, value.clone())));
            }
        }
        kept
    }
}

/// Whether an answer may go on for ever: events, and gRPC calls, whose kind nobody can tell from the outside. Not one
/// that is over with its head.
pub(super) fn may_stream(headers: &HeaderMap, is_grpc: bool) -> bool {
    if is_grpc {
        return !headers.contains_key(GRPC_STATUS);
    }
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// A complete answer.
pub(super) struct Complete {
    pub(super) pair: Rc<Pair>,
    pub(super) backend: Backend,
    pub(super) head: Head,
    pub(super) capture: Capture,
}

impl Complete {
    /// What the answer is worth.
    pub(super) fn score(&self) -> Finding {
        let answer = Answer {
            method: &self.head.method,
            conditional: self.head.conditional,
            status: self.head.status,
            headers: &self.head.headers,
            trailers: self.capture.trailers(),
            body: self.capture.body(),
            head_latency: self.head.latency,
        };
        self.pair.route().scorer(self.backend).score(&answer, self.pair.limits().score_body)
    }
}

/// The answers of one worker that wait to be scored. Bounded by what is in flight and by the memory of copies.
#[derive(Default)]
pub(super) struct Queue {
    waiting: RefCell<VecDeque<Complete>>,
    some: Notify,
}

impl Queue {
    /// Scores an answer soon.
    pub(super) fn push(&self, complete: Complete) {
        self.waiting.borrow_mut().push_back(complete);
        self.some.notify_one();
    }

    /// Scores what waits now.
    pub(super) fn flush(&self) {
        while self.score_one().is_some() {}
    }

    /// Scores for ever, and lets other work run in between.
    pub(super) async fn run(&self) {
        loop {
            let mut scored = 0;
            while let Some(size) = self.score_one() {
                scored += size;
                if scored >= SLICE {
                    scored = 0;
                    tokio::task::yield_now().await;
                }
            }
            self.some.notified().await;
        }
    }

    fn score_one(&self) -> Option<usize> {
        let complete = self.waiting.borrow_mut().pop_front()?;
        let size = complete.capture.body().size();
        complete.pair.score(complete.backend, complete.score());
        Some(usize::try_from(size).unwrap_or(SLICE).max(1))
    }
}
