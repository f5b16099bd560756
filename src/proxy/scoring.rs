//! Answers that wait to be scored: after the consumer has its last byte, never before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::Notify;

use super::capture::Capture;
use super::head;
use super::pair::Pair;
use crate::backend::Backend;
use crate::score::{Answer, Finding, GRPC_STATUS, is_grpc};
use crate::study::ContentKind;

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
    /// Only `content-encoding`, and what says how a gRPC call went: what scoring reads. And what samples may show.
    pub(super) headers: HeaderMap,
    /// What the answer says it is.
    pub(super) kind: ContentKind,
    /// From the call to the end of the answer's head.
    pub(super) latency: Duration,
    /// The answer may be a stream: its end is no sign of health.
    pub(super) may_stream: bool,
    /// It is in V2's shape, and has to be mapped before it is scored or served.
    pub(super) unmapped: bool,
}

impl Head {
    /// Of an answer's headers, those that scoring reads, and those that are `allowed` to be shown.
    pub(super) fn headers(of: &HeaderMap, allowed: &[HeaderName]) -> HeaderMap {
        let mut kept = HeaderMap::new();
        for name in allowed {
            kept.extend(of.get(name).map(|value| (name.clone(), value.clone())));
        }
        kept.remove(CONTENT_ENCODING);
        for value in head::all(of, &CONTENT_ENCODING) {
            kept.append(CONTENT_ENCODING, value.clone());
        }
        if is_grpc(of) {
            for name in [CONTENT_TYPE, GRPC_STATUS] {
                kept.extend(of.get(&name).map(|value| (name, value.clone())));
            }
        }
        kept
    }
}

/// Whether an answer may go on for ever: events, and gRPC calls, whose kind nobody can tell from the outside. Not one
/// that is over with its head.
pub(super) fn may_stream(headers: &HeaderMap) -> bool {
    if is_grpc(headers) {
        return !headers.contains_key(GRPC_STATUS);
    }
    let kind = content_type(headers);
    kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// What an answer says it is.
pub(super) fn kind(headers: &HeaderMap) -> ContentKind {
    ContentKind::of(content_type(headers))
}

fn content_type(headers: &HeaderMap) -> &[u8] {
    headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default()
}

/// A complete answer.
pub(super) struct Complete {
    pub(super) pair: Rc<Pair>,
    pub(super) backend: Backend,
    pub(super) head: Head,
    pub(super) capture: Capture,
}

impl Complete {
    /// Scores the answer, and tells the pair. What is worth a second look is kept.
    pub(super) fn settle(&self) {
        let finding = self.score();
        self.pair.sampling().keep(self, finding);
        self.pair.score(self.backend, finding);
    }

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
            unmapped: self.head.unmapped,
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
        complete.settle();
        Some(usize::try_from(size).unwrap_or(SLICE).max(1))
    }
}
