//! A bounded copy of an answer on its way to scoring. Pieces are shared with the answer itself, not copied.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::pair::Pair;
use super::view::RouteView;
use super::worker::Worker;
use crate::cap::Cap;
use crate::score::Body;

/// Pieces up to this size are copied.
const DROP: usize = 256;

/// What is kept of one answer's content.
pub(super) struct Capture {
    route: Rc<RouteView>,
    memory: Arc<Cap>,
    /// Most bytes to keep.
    most: usize,
    pieces: Vec<Bytes>,
    kept: usize,
    size: u64,
    overflowed: bool,
    /// Boxed, for few answers have any.
    trailers: Option<Box<HeaderMap>>,
}

impl Capture {
    /// Keeps up to `score_body` bytes, and of all copies of the process no more than `shadow_memory` allows.
    pub(super) fn new(worker: &Worker, pair: &Pair) -> Self {
        let (route, memory, most) = (Rc::clone(pair.route()), worker.shadow_memory(), pair.limits().score_body);
        Self { route, memory, most, pieces: Vec::new(), kept: 0, size: 0, overflowed: false, trailers: None }
    }

    /// Keeps nothing and only counts, since no rule looks at the content.
    pub(super) fn counting(worker: &Worker, pair: &Pair) -> Self {
        let mut capture = Self::new(worker, pair);
        capture.overflowed = true;
        capture
    }

    /// One more piece. Past the bounds all pieces are given up, and only counting goes on.
    fn push(&mut self, piece: &Bytes) {
        self.size += piece.len() as u64;
        if self.overflowed || piece.is_empty() {
            return;
        }
        if self.kept + piece.len() > self.most || !self.memory.try_take(piece.len()) {
            self.overflowed = true;
            self.give_up();
            return;
        }
        self.kept += piece.len();
        self.route.tally().shadow_memory += piece.len().cast_signed() as i64;
        // What comes in drops would hold the whole buffer that each drop was read into.
        self.pieces.push(if piece.len() <= DROP { Bytes::copy_from_slice(piece) } else { piece.clone() });
    }

    /// A piece of content, or what comes after it.
    pub(super) fn frame(&mut self, frame: &Frame<Bytes>) {
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => self.push(data),
            (None, Some(trailers)) => self.trailers = Some(Box::new(trailers.clone())),
            (None, None) => {}
        }
    }

    /// What came after the content.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The content as scoring wants it.
    pub(super) fn body(&self) -> Body<'_> {
        if self.overflowed { Body::Counted(self.size) } else { Body::Kept(&self.pieces) }
    }

    /// The whole content, `None` when it was too large to keep.
    pub(super) fn pieces(&self) -> Option<&[Bytes]> {
        (!self.overflowed).then_some(&self.pieces)
    }

    /// The same for another thread; what it holds is counted only as long as this lives.
    pub(super) fn copy(&self) -> Copied {
        let pieces = if self.overflowed { Err(self.size) } else { Ok(self.pieces.clone()) };
        Copied { pieces, trailers: self.trailers.as_deref().cloned() }
    }

    /// Keeps this content in place of what was kept.
    pub(super) fn replace(&mut self, content: &Bytes) {
        self.give_up();
        self.size = 0;
        self.push(content);
    }

    fn give_up(&mut self) {
        self.pieces.clear();
        if self.kept > 0 {
            self.memory.give(self.kept);
            self.route.tally().shadow_memory -= self.kept.cast_signed() as i64;
            self.kept = 0;
        }
    }
}

/// What scoring reads of a [`Capture`].
pub(super) struct Copied {
    /// Or the size of what was not kept.
    pieces: Result<Vec<Bytes>, u64>,
    pub(super) trailers: Option<HeaderMap>,
}

impl Copied {
    /// The content as scoring wants it.
    pub(super) fn body(&self) -> Body<'_> {
        match &self.pieces {
            Ok(pieces) => Body::Kept(pieces),
            Err(size) => Body::Counted(*size),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.give_up();
    }
}
