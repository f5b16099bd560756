//! The body of a backend's answer: ends on silence, and gives its connection back when it was read to its end.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::UpstreamError;
use super::endpoint::{Connection, Endpoint};

/// The body of a backend's answer.
pub struct AnswerBody<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    incoming: Incoming,
    lease: Lease<B>,
    idle_timeout: Duration,
    /// Made at the first wait only: most answers arrive whole.
    silence: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// Nothing of it is wanted any more.
    forgotten: bool,
}

/// The connection an answer comes on; counted as in flight until dropped.
pub(super) struct Lease<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) endpoint: Rc<Endpoint<B>>,
    pub(super) connection: Option<Connection<B>>,
}

impl<B> Lease<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(endpoint: Rc<Endpoint<B>>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        Self { endpoint, connection: None }
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.endpoint.checkin(connection);
        }
    }
}

impl<B> Drop for Lease<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn drop(&mut self) {
        self.endpoint.in_flight.set(self.endpoint.in_flight.get() - 1);
    }
}

impl<B> AnswerBody<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(incoming: Incoming, lease: Lease<B>, idle_timeout: Duration) -> Self {
        let mut body = Self { incoming, lease, idle_timeout, silence: None, waiting: false, forgotten: false };
        if body.incoming.is_end_stream() {
            body.lease.give_back();
        }
        body
    }

    /// Leaves out what is left of the content; its connection is not used again.
    pub fn forget(&mut self) {
        self.forgotten = true;
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = Instant::now() + self.idle_timeout;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.idle_timeout)));
        if !self.waiting {
            silence.as_mut().reset(due);
            self.waiting = true;
        }
        silence.as_mut().poll(cx)
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        if this.forgotten {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
            return this.poll_silence(cx).map(|()| Some(Err(UpstreamError::Idle)));
        };
        this.waiting = false;
        let is_last = frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
        if is_last || this.incoming.is_end_stream() {
            this.lease.give_back();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(UpstreamError::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.forgotten || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.forgotten { SizeHint::with_exact(0) } else { self.incoming.size_hint() }
    }
}
