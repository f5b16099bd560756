//! A small body that is kept while it is sent, so that it can be sent again (after linkerd's `ReplayBody`).

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::tee::{BodyError, LegBody, duplicate};
use super::view::RouteView;
use crate::cap::Cap;

/// The largest body that is kept, in bytes. Kept bytes count towards `shadow_memory` as well; where there is no room, the
/// request is sent once only.
pub(super) const MOST: u64 = 64 << 10;

/// One reading of a body.
pub(super) struct Replay {
    kept: Rc<RefCell<Kept>>,
    /// 0 for the first reading.
    turn: u32,
    next: usize,
}

struct Kept {
    source: LegBody,
    size_hint: SizeHint,
    frames: Vec<Frame<Bytes>>,
    bytes: usize,
    /// A frame went past that could not be kept.
    gone: bool,
    /// The newest reading that has begun.
    turn: u32,
    memory: Arc<Cap>,
    route: Rc<RouteView>,
}

impl Replay {
    /// Keeps what is read of `source`. `memory` is the room for copies, `route` where they are counted.
    pub(super) fn new(source: LegBody, memory: Arc<Cap>, route: Rc<RouteView>) -> Self {
        let size_hint = source.size_hint();
        let kept = Kept { source, size_hint, frames: Vec::new(), bytes: 0, gone: false, turn: 0, memory, route };
        Self { kept: Rc::new(RefCell::new(kept)), turn: 0, next: 0 }
    }

    /// Another reading, from the start; the latest one that begins gets the body.
    pub(super) fn again(&self) -> Self {
        Self { kept: Rc::clone(&self.kept), turn: self.turn + 1, next: 0 }
    }

    /// Whether a reading that begins now gets everything.
    pub(super) fn is_whole(&self) -> bool {
        !self.kept.borrow().gone
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut kept = self.kept.borrow_mut();
        if kept.turn > self.turn {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        kept.turn = self.turn;
        if let Some(frame) = kept.frames.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(duplicate(frame))));
        }
        let polled = Pin::new(&mut kept.source).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            kept.keep(frame);
            self.next += 1;
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let kept = self.kept.borrow();
        self.next >= kept.frames.len() && kept.source.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.kept.borrow().size_hint
    }
}

impl Kept {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let size = frame.data_ref().map_or(0, Bytes::len);
        if self.gone || (self.bytes + size) as u64 > MOST || !self.memory.try_take(size) {
            self.give_up();
            return;
        }
        self.bytes += size;
        self.route.tally().shadow_memory += size.cast_signed() as i64;
        self.frames.push(duplicate(frame));
    }

    fn give_up(&mut self) {
        self.gone = true;
        self.frames.clear();
        if self.bytes > 0 {
            self.memory.give(self.bytes);
            self.route.tally().shadow_memory -= self.bytes.cast_signed() as i64;
            self.bytes = 0;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.give_up();
    }
}
