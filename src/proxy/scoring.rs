//! Answers that wait to be scored: after the consumer has its last byte, never before.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::Notify;

use super::capture::Capture;
use super::lane::Lane;
use super::pair::Pair;
use super::worker::Shared;
use crate::backend::Backend;
use crate::outcome::Cause;
use crate::score::{Answer, Body, Finding, GRPC_STATUS, Score, Scorer, names_grpc};
use crate::study::ContentKind;

/// Bytes that are scored at most before other work of the worker gets its turn: some 3 ms.
const SLICE: usize = 4 << 20;
/// Time for a job that only decodes and reads. `score_body` bounds it to some milliseconds, so that more of it is a matter of
/// the machine and not of the answer.
const READING: Duration = Duration::from_secs(1);
/// The content type of server-sent events.
const EVENTS: &[u8] = b"text/event-stream";

/// What scoring needs to know of an answer beside its content.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) conditional: bool,
    pub(super) status: StatusCode,
    /// Those that scoring reads, and those that samples may show.
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
    pub(super) fn headers(of: &HeaderMap, scorer: &Scorer, allowed: &[HeaderName]) -> HeaderMap {
        let mut kept = scorer.headers(of);
        for name in allowed {
            if let Some(value) = of.get(name).filter(|_| !kept.contains_key(name)) {
                kept.insert(name.clone(), value.clone());
            }
        }
        kept
    }

    fn answer<'a>(&'a self, trailers: Option<&'a HeaderMap>, body: Body<'a>) -> Answer<'a> {
        Answer {
            method: &self.method,
            conditional: self.conditional,
            status: self.status,
            headers: &self.headers,
            trailers,
            body,
            head_latency: self.latency,
            unmapped: self.unmapped,
        }
    }
}

/// What an answer says it is, and whether it may go on for ever: events, and gRPC calls, whose kind nobody can tell from the
/// outside. Not one that is over with its head.
pub(super) fn nature(headers: &HeaderMap) -> (ContentKind, bool) {
    let said = content_type(headers);
    let kind = ContentKind::of(said);
    let is_event = said.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS));
    let is_call = names_grpc(said) && !headers.contains_key(GRPC_STATUS);
    (kind, is_event || is_call)
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
    /// Scores the answer, at once or in the lane where that takes long, and tells the pair. What is worth a second look is
    /// kept.
    ///
    /// # Cancel safety
    /// An answer that waits for the lane is not counted; that is for the caller to do.
    pub(super) async fn settle(&self, lane: &Lane) {
        match self.judge(lane).await {
            Some(finding) => self.tell(finding),
            None => self.give_up(),
        }
    }

    /// What the answer is worth; `None` where nobody can say, for no fault of its own.
    pub(super) async fn judge(&self, lane: &Lane) -> Option<Finding> {
        if !self.is_slow() {
            return Some(self.score());
        }
        let route = self.pair.route();
        let scorer = Arc::clone(route.scorer(self.backend));
        let (rule, cap) = (route.rule(self.backend), self.pair.limits().score_body);
        let longest = if rule.is_some() { self.pair.limits().rule_timeout } else { READING };
        let (head, copy) = (self.head.clone(), self.capture.copy());
        let job = lane.run(rule, longest, move || scorer.score(&head.answer(copy.trailers.as_ref(), copy.body()), cap));
        job.await.ok().filter(|finding| finding.score != Score::Excluded(Cause::Rule))
    }

    /// The answer is not scored, for no fault of its own.
    pub(super) fn give_up(&self) {
        self.pair.unscored(self.backend, self.pair.route().scorer(self.backend).unscored());
    }

    fn tell(&self, finding: Finding) {
        self.pair.sampling().keep(self, finding);
        self.pair.score(self.backend, finding);
    }

    /// Whether scoring may hold up the worker.
    fn is_slow(&self) -> bool {
        self.pair.route().scorer(self.backend).is_slow(&self.answer())
    }

    fn score(&self) -> Finding {
        self.pair.route().scorer(self.backend).score(&self.answer(), self.pair.limits().score_body)
    }

    fn answer(&self) -> Answer<'_> {
        self.head.answer(self.capture.trailers(), self.capture.body())
    }
}

/// The answers of one worker that wait to be scored. Bounded by what is in flight and by the memory of copies.
#[derive(Default)]
pub(super) struct Queue {
    waiting: RefCell<VecDeque<Complete>>,
    some: Notify,
    /// Answers that are in the lane.
    away: Cell<usize>,
    all_back: Notify,
}

impl Queue {
    /// Scores an answer soon.
    pub(super) fn push(self: &Rc<Self>, complete: Complete, shared: &Arc<Shared>) {
        if complete.is_slow() {
            self.send_away(complete, Arc::clone(shared));
            return;
        }
        self.waiting.borrow_mut().push_back(complete);
        self.some.notify_one();
    }

    fn send_away(self: &Rc<Self>, complete: Complete, shared: Arc<Shared>) {
        let queue = Rc::clone(self);
        queue.away.set(queue.away.get() + 1);
        tokio::task::spawn_local(async move {
            complete.settle(&shared.lane).await;
            queue.away.set(queue.away.get() - 1);
            if queue.away.get() == 0 {
                queue.all_back.notify_waiters();
            }
        });
    }

    /// Scores what waits now, and waits for what is in the lane: at most twice the time of the longest job.
    pub(super) async fn finish(&self) {
        while self.score_one().is_some() {}
        while self.away.get() > 0 {
            self.all_back.notified().await;
        }
    }

    /// Scores for ever, and lets other work run in between. A turn takes what waited when it began: with less, scoring falls
    /// behind a worker that is busy with everything else, and answers wait until there is no memory to keep them.
    pub(super) async fn run(&self) {
        loop {
            let (waiting, mut scored) = (self.waiting.borrow().len(), 0);
            for _ in 0..waiting {
                scored += self.score_one().unwrap_or(SLICE);
                if scored >= SLICE {
                    break;
                }
            }
            if waiting > 0 {
                tokio::task::yield_now().await;
            } else {
                self.some.notified().await;
            }
        }
    }

    /// The size of the answer as sent; `None` where none waits.
    fn score_one(&self) -> Option<usize> {
        let complete = self.waiting.borrow_mut().pop_front()?;
        let size = complete.capture.body().size();
        complete.tell(complete.score());
        Some(usize::try_from(size).unwrap_or(SLICE))
    }
}
