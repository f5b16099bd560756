//! Interim answers (RFC 9110, section 15.2): the primary's are passed on, and its 100 lets the content go that a consumer
//! holds back for it (section 10.1.1).

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode, Version, request};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::head;
use super::tee::{BodyError, LegBody};
use crate::server::Interim;

/// Interim answers that are passed on for one request; more than any use needs, and few enough that a flood is none.
const MOST: usize = 64;

/// How long a backend may think about an expectation: then the content goes to it all the same, for it may know nothing of
/// expectations (RFC 9110, section 10.1.1). curl waits as long.
const EXPECTED_WITHIN: Duration = Duration::from_secs(1);

/// What holds content back until the backend wants it.
#[derive(Default)]
struct Gate {
    state: Cell<State>,
    waker: Cell<Option<Waker>>,
}

/// The state of a gate; the first step away from `Shut` stays.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Shut,
    Open,
    Locked,
}

impl Gate {
    fn turn(&self, state: State) {
        if self.state.get() == State::Shut {
            self.state.set(state);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn state(&self, cx: &Context<'_>) -> State {
        self.waker.set(Some(cx.waker().clone()));
        self.state.get()
    }
}

/// An answer to a request whose content is held back. When it is over, and nobody has asked for the content, nobody will.
pub(super) struct Expected(Rc<Gate>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.turn(State::Locked);
    }
}

/// Where the primary's interim answers go. By default nowhere.
#[derive(Default)]
pub(super) struct Listener {
    consumer: Option<Interim>,
    gate: Option<Rc<Gate>>,
    heard: Cell<usize>,
}

impl Listener {
    /// A consumer of HTTP/1.0 knows nothing of interim answers.
    pub(super) fn new(head: &request::Parts, has_content: bool, consumer: Option<Interim>) -> Self {
        let waits = has_content && head.version >= Version::HTTP_11 && head.headers.contains_key(EXPECT);
        let consumer = consumer.filter(|_| head.version == Version::HTTP_11);
        Self { consumer, gate: waits.then(Rc::default), heard: Cell::new(0) }
    }

    /// To be dropped when the answer is over.
    pub(super) fn expected(&self) -> Option<Expected> {
        self.gate.as_ref().map(|gate| Expected(Rc::clone(gate)))
    }

    /// The content, held back where the consumer holds it back.
    pub(super) fn hold(&self, body: LegBody) -> LegBody {
        match &self.gate {
            None => body,
            Some(gate) => LegBody::Held(Box::new(HeldBack {
                body,
                gate: Rc::clone(gate),
                patience: Box::pin(sleep(EXPECTED_WITHIN)),
            })),
        }
    }

    /// An interim answer came.
    pub(super) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        self.heard.set(self.heard.get() + 1);
        if self.heard.get() > MOST {
            return;
        }
        match (&self.gate, status, &self.consumer) {
            // The consumer is told to go on once the content is asked for.
            (Some(gate), StatusCode::CONTINUE, _) => gate.turn(State::Open),
            (_, status, Some(consumer)) => {
                let mut headers = headers.clone();
                head::strip_answer(&mut headers);
                consumer.send(status, &headers);
            }
            (_, _, None) => {}
        }
    }
}

/// Content that waits for a 100.
pub(super) struct HeldBack {
    body: LegBody,
    gate: Rc<Gate>,
    patience: Pin<Box<Sleep>>,
}

impl HeldBack {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.gate.state(cx) {
            State::Open => return Pin::new(&mut self.body).poll_frame(cx),
            State::Locked => return Poll::Ready(Some(Err(BodyError::Unwanted))),
            State::Shut => {}
        }
        ready!(self.patience.as_mut().poll(cx));
        self.gate.turn(State::Open);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
