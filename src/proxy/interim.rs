//! Interim answers (RFC 9110, section 15.2): the primary's are passed on, and its 100 lets the content go that a consumer
//! holds back for it (section 10.1.1).

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, StatusCode, Version, request};
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
    state: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

/// The states of a gate; the first step away from `SHUT` stays.
const SHUT: u8 = 0;
const OPEN: u8 = 1;
const LOCKED: u8 = 2;

impl Gate {
    fn turn(&self, state: u8) {
        let _ = self.state.compare_exchange(SHUT, state, Ordering::AcqRel, Ordering::Acquire);
        if let Some(waker) = self.waker().take() {
            waker.wake();
        }
    }

    fn state(&self, cx: &Context<'_>) -> u8 {
        *self.waker() = Some(cx.waker().clone());
        self.state.load(Ordering::Acquire)
    }

    fn waker(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer to a request whose content is held back. When it is over, and nobody has asked for the content, nobody will.
pub(super) struct Expected(Arc<Gate>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.turn(LOCKED);
    }
}

/// Where the primary's interim answers go.
pub(super) struct Listener {
    consumer: Option<Interim>,
    gate: Option<Arc<Gate>>,
}

impl Listener {
    /// A consumer of HTTP/1.0 knows nothing of interim answers.
    pub(super) fn new(head: &request::Parts, has_content: bool, consumer: Option<Interim>) -> Self {
        let waits = has_content && head.version >= Version::HTTP_11 && head.headers.contains_key(EXPECT);
        let consumer = consumer.filter(|_| head.version == Version::HTTP_11);
        Self { consumer, gate: waits.then(Arc::default) }
    }

    /// To be dropped when the answer is over.
    pub(super) fn expected(&self) -> Option<Expected> {
        self.gate.as_ref().map(|gate| Expected(Arc::clone(gate)))
    }

    /// The content, held back where the consumer holds it back.
    pub(super) fn hold(&self, body: LegBody) -> LegBody {
        match &self.gate {
            None => body,
            Some(gate) => LegBody::Held(Box::new(HeldBack {
                body,
                gate: Arc::clone(gate),
                patience: Box::pin(sleep(EXPECTED_WITHIN)),
            })),
        }
    }

    /// Hears the interim answers to a request.
    pub(super) fn attach(self, request: &mut Request<LegBody>) {
        let Self { consumer, gate } = self;
        if consumer.is_none() && gate.is_none() {
            return;
        }
        let heard = AtomicUsize::new(0);
        hyper::ext::on_informational(request, move |answer| {
            if heard.fetch_add(1, Ordering::Relaxed) >= MOST {
                return;
            }
            match (&gate, answer.status(), &consumer) {
                // hyper itself tells the consumer to go on, once the content is asked for.
                (Some(gate), StatusCode::CONTINUE, _) => gate.turn(OPEN),
                (_, status, Some(consumer)) => {
                    let mut headers = answer.headers().clone();
                    head::strip_answer(&mut headers);
                    consumer.send(status, &headers);
                }
                (_, _, None) => {}
            }
        });
    }
}

/// Content that waits for a 100.
pub(super) struct HeldBack {
    body: LegBody,
    gate: Arc<Gate>,
    patience: Pin<Box<Sleep>>,
}

impl HeldBack {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.gate.state(cx) {
            OPEN => return Pin::new(&mut self.body).poll_frame(cx),
            LOCKED => return Poll::Ready(Some(Err(BodyError::Unwanted))),
            _ => {}
        }
        ready!(self.patience.as_mut().poll(cx));
        self.gate.turn(OPEN);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
