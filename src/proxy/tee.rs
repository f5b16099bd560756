//! The body of a consumer's request on its way to two backends.
//!
//! The primary pulls: each frame that it takes is handed to the copy as well, by reference count. The shadow reads the
//! copy at its own pace. When it falls behind by more than its backlog, or all copies together reach the shared budget,
//! the copy is cut and the primary never notices.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::interim::HeldBack;
use super::replay::Replay;
use super::upload::Upload;
use super::view::RouteView;
use crate::cap::Cap;
use crate::server::ContentError;
use crate::skip::Skip;
use crate::upstream::Resend;

/// The body of a request to a backend.
#[derive(Default)]
pub(super) enum LegBody {
    /// Nothing.
    #[default]
    Empty,
    /// The consumer's body, for one backend only.
    Stream(Upload),
    /// The consumer's body, for the primary, with a copy behind it.
    Teed(Tee),
    /// The copy, for the shadow.
    Copy(CopyReader),
    /// Any of these, once the backend has asked for it.
    Held(Box<HeldBack>),
    /// Content that was mapped.
    Whole(Bytes),
    /// Any of these, kept for a second try.
    Replay(Box<Replay>),
}

/// Why the body of a request ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the consumer's body broke off")]
    Consumer(#[source] ContentError),
    #[error("the backend answered without asking for the content")]
    Unwanted,
    #[error("the copy was cut: {}", .0.as_str())]
    Cut(Skip),
    #[error("another try sends the body")]
    Superseded,
}

impl Body for LegBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(content) => {
                let content = std::mem::take(content);
                Poll::Ready((!content.is_empty()).then_some(Ok(Frame::data(content))))
            }
            Self::Stream(upload) => upload.poll(cx),
            Self::Teed(tee) => tee.poll(cx),
            Self::Copy(copy) => copy.poll(cx),
            Self::Held(held) => held.poll(cx),
            Self::Replay(replay) => replay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(content) => content.is_empty(),
            Self::Stream(upload) => upload.is_end_stream(),
            Self::Teed(tee) => tee.upload.is_end_stream(),
            Self::Copy(copy) => copy.is_end_stream(),
            Self::Held(held) => held.is_end_stream(),
            Self::Replay(replay) => replay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(content) => SizeHint::with_exact(content.len() as u64),
            Self::Stream(upload) => upload.size_hint(),
            Self::Teed(tee) => tee.upload.size_hint(),
            Self::Copy(copy) => copy.size_hint,
            Self::Held(held) => held.size_hint(),
            Self::Replay(replay) => replay.size_hint(),
        }
    }
}

impl Resend for LegBody {
    fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(content) => Some(Self::Whole(content.clone())),
            Self::Replay(replay) => Some(Self::Replay(Box::new(replay.again()))),
            Self::Stream(_) | Self::Teed(_) | Self::Copy(_) | Self::Held(_) => None,
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Replay(replay) => replay.is_whole(),
            Self::Stream(_) | Self::Teed(_) | Self::Copy(_) | Self::Held(_) => false,
        }
    }
}

/// Splits a body for the primary and a shadow.
pub(super) fn tee(upload: Upload, limits: CopyLimits) -> (Tee, CopyReader) {
    let size_hint = upload.size_hint();
    let shared = Rc::new(RefCell::new(Backlog::new(limits)));
    (Tee { upload, copy: Rc::clone(&shared) }, CopyReader { copy: shared, size_hint })
}

/// What bounds one copy.
#[derive(Clone)]
pub(super) struct CopyLimits {
    /// Bytes that the shadow may be behind.
    pub(super) backlog: usize,
    /// Bytes of all copies of the process.
    pub(super) memory: Arc<Cap>,
    /// Where the bytes held are counted.
    pub(super) route: Rc<RouteView>,
}

/// The frames that the primary took and the shadow has not.
struct Backlog {
    frames: VecDeque<Frame<Bytes>>,
    bytes: usize,
    state: State,
    read_once: bool,
    reader_gone: bool,
    waker: Option<Waker>,
    limits: CopyLimits,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Cut(Skip),
}

impl Backlog {
    const fn new(limits: CopyLimits) -> Self {
        let frames = VecDeque::new();
        Self { frames, bytes: 0, state: State::Open, read_once: false, reader_gone: false, waker: None, limits }
    }

    fn push(&mut self, frame: Frame<Bytes>) {
        if self.state != State::Open || self.reader_gone {
            return;
        }
        let size = frame.data_ref().map_or(0, Bytes::len);
        match self.room_for(size) {
            Ok(()) => self.frames.push_back(frame),
            Err(reason) => self.cut(reason),
        }
        self.wake();
    }

    fn room_for(&mut self, size: usize) -> Result<(), Skip> {
        let limits = &self.limits;
        if self.bytes + size > limits.backlog {
            return Err(if self.read_once { Skip::TooSlow } else { Skip::BodyTooLarge });
        }
        if !limits.memory.try_take(size) {
            return Err(Skip::Memory);
        }
        limits.route.tally().shadow_memory += size.cast_signed() as i64;
        self.bytes += size;
        Ok(())
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        self.read_once = true;
        let frame = self.frames.pop_front()?;
        self.release(frame.data_ref().map_or(0, Bytes::len));
        Some(frame)
    }

    fn release(&mut self, size: usize) {
        if size > 0 {
            self.limits.memory.give(size);
            self.limits.route.tally().shadow_memory -= size.cast_signed() as i64;
            self.bytes -= size;
        }
    }

    /// Ends the copy without its rest; the first reason stays.
    fn cut(&mut self, reason: Skip) {
        if self.state == State::Open {
            self.state = State::Cut(reason);
            self.frames.clear();
            self.release(self.bytes);
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}

/// The primary's end of a split body.
pub(super) struct Tee {
    upload: Upload,
    copy: Rc<RefCell<Backlog>>,
}

impl Tee {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = self.upload.poll(cx) else {
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => self.copy.borrow_mut().push(duplicate(frame)),
            Some(Err(_)) => self.finish(State::Cut(Skip::Aborted)),
            None => self.finish(State::Ended),
        }
        // Nothing comes after trailers, and nobody asks.
        let trailers = matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
        if trailers || self.upload.is_end_stream() {
            self.finish(State::Ended);
        }
        Poll::Ready(frame)
    }

    fn finish(&self, state: State) {
        let mut copy = self.copy.borrow_mut();
        match state {
            State::Cut(reason) => copy.cut(reason),
            state if copy.state == State::Open => copy.state = state,
            _ => {}
        }
        copy.wake();
    }
}

/// The primary stopped reading: it answered early, failed, or its consumer left.
impl Drop for Tee {
    fn drop(&mut self) {
        self.finish(State::Cut(Skip::Aborted));
    }
}

pub(super) fn duplicate(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (None, Some(trailers)) => Frame::trailers(trailers.clone()),
        (None, None) => Frame::data(Bytes::new()),
    }
}

/// The shadow's end of a split body.
pub(super) struct CopyReader {
    copy: Rc<RefCell<Backlog>>,
    size_hint: SizeHint,
}

/// Tells, after the shadow's call, whether its body was cut.
pub(super) struct CopyFate(Rc<RefCell<Backlog>>);

impl CopyFate {
    /// Why the copy was cut, if it was.
    pub(super) fn cut(&self) -> Option<Skip> {
        match self.0.borrow().state {
            State::Cut(reason) => Some(reason),
            State::Open | State::Ended => None,
        }
    }
}

impl CopyReader {
    pub(super) fn fate(&self) -> CopyFate {
        CopyFate(Rc::clone(&self.copy))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut copy = self.copy.borrow_mut();
        if let Some(frame) = copy.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match copy.state {
            State::Ended => Poll::Ready(None),
            State::Cut(reason) => Poll::Ready(Some(Err(BodyError::Cut(reason)))),
            State::Open => {
                copy.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Before it was read, an empty copy is still content: the request says so in its framing, as the primary's does.
        let copy = self.copy.borrow();
        copy.read_once && copy.state == State::Ended && copy.frames.is_empty()
    }
}

impl Drop for CopyReader {
    fn drop(&mut self) {
        let mut copy = self.copy.borrow_mut();
        copy.reader_gone = true;
        copy.frames.clear();
        let held = copy.bytes;
        copy.release(held);
    }
}
