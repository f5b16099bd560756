//! The body of a backend's answer: ends on silence, and gives its connection back when it was read to its end.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::UpstreamError;
use super::endpoint::{Endpoint, Sender};
use super::error::{BoxError, Breakage};
use super::http1::{Early, Reading, Switched};
use super::http2::Stream;
use crate::wire::Spelling;

/// The body of a backend's answer.
pub struct AnswerBody<B>
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    source: Source<B>,
    spelling: Option<Spelling>,
    lease: Lease<B>,
    idle_timeout: Duration,
    /// Made at the first wait only: most answers arrive whole.
    silence: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

/// Where the content of an answer comes from.
pub(super) enum Source<B> {
    /// A connection of its own.
    Http1(Reading<B>),
    /// The same, with more of the request to send.
    Early(Early),
    /// A place on a shared one, which is free when this is dropped.
    Http2 { content: Incoming, _place: Stream<B> },
    /// Nothing comes any more.
    Over,
}

/// A call of an endpoint, counted as in flight until dropped.
pub(super) struct Lease<B>(Rc<Endpoint<B>>);

impl<B> Lease<B> {
    pub(super) fn new(endpoint: &Rc<Endpoint<B>>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        Self(Rc::clone(endpoint))
    }
}

impl<B> Drop for Lease<B> {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

impl<B> AnswerBody<B>
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// The answer whose content comes from `source`.
    pub(super) fn new(
        status: StatusCode,
        source: Source<B>,
        spelling: Option<Spelling>,
        lease: Lease<B>,
        idle_timeout: Duration,
    ) -> Self {
        let mut body = Self { source, spelling, lease, idle_timeout, silence: None, waiting: false };
        if status != StatusCode::SWITCHING_PROTOCOLS {
            body.finish_at_the_end();
        }
        body
    }

    /// How the backend spelled the head of the answer; `None` in HTTP/2, where there is one way, and once it was asked for.
    pub const fn spelling(&mut self) -> Option<Spelling> {
        self.spelling.take()
    }

    /// Leaves out what is left of the content; its connection is not used again.
    pub fn forget(&mut self) {
        self.source = Source::Over;
    }

    /// The connection, once it has left HTTP: behind a 101. What was sent and read so far are the two heads.
    pub fn take_stream(&mut self) -> Option<Switched> {
        match std::mem::replace(&mut self.source, Source::Over) {
            Source::Http1(reading) => Some(reading.into_switched()),
            _ => None,
        }
    }

    fn finish_at_the_end(&mut self) {
        if self.is_end_stream() {
            self.finish();
        }
    }

    /// Gives the connection back, if it can be used again.
    fn finish(&mut self) {
        if let Source::Http1(reading) = std::mem::replace(&mut self.source, Source::Over)
            && let Some(connection) = reading.into_connection()
        {
            self.lease.0.checkin(Sender::Http1(connection));
        }
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
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Over => return Poll::Ready(None),
            Source::Http1(reading) => reading.poll_frame(cx),
            Source::Early(early) => early.poll_frame(cx),
            Source::Http2 { content, .. } => {
                Pin::new(content).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(from_http2)))
            }
        };
        let Poll::Ready(frame) = polled else {
            return this.poll_silence(cx).map(|()| Some(Err(UpstreamError::Idle)));
        };
        this.waiting = false;
        match &frame {
            Some(Ok(frame)) if frame.is_data() => this.finish_at_the_end(),
            Some(Ok(_)) | None => this.finish(),
            Some(Err(_)) => this.source = Source::Over,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http1(reading) => reading.is_over(),
            Source::Early(early) => early.is_over(),
            Source::Http2 { content, .. } => content.is_end_stream(),
            Source::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http1(reading) => reading.size_hint(),
            Source::Early(early) => *early.size_hint(),
            Source::Http2 { content, .. } => content.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}

fn from_http2(error: hyper::Error) -> UpstreamError {
    UpstreamError::Broken(Breakage::Http2(error))
}
