//! The content of a consumer's request as it comes in, and who keeps whom waiting for it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::pair::Pair;
use super::tee::BodyError;
use crate::server::Content;

/// The content of a consumer's request. A backend that waits for more of it is not blamed for the time.
pub(super) struct Upload {
    content: Content,
    pair: Rc<Pair>,
}

impl Upload {
    pub(super) fn new(content: Content, pair: &Rc<Pair>) -> Self {
        Self { content, pair: Rc::clone(pair) }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.content).poll_frame(cx);
        self.pair.consumer_owes_content(polled.is_pending());
        polled.map(|frame| frame.map(|frame| frame.map_err(BodyError::Consumer)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
