//! The content of a consumer's request, in whatever version it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http1::Upload;
use crate::wire::Fault;

/// The content of a consumer's request. It is read from the connection as it is asked for, and not before.
#[derive(Default)]
pub enum Content {
    /// There is none.
    #[default]
    Empty,
    /// It comes on an HTTP/1 connection.
    Http1(Upload),
    /// It comes on a stream of an HTTP/2 connection.
    Http2(Incoming),
}

/// Why the content of a request is not whole.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It is not framed as its head says, or ends early.
    #[error("failed to find the end of the content")]
    Fault(#[from] Fault),
    /// The connection broke.
    #[error("failed to read from the connection")]
    Broken(#[from] io::Error),
    /// The request was answered in full, and nobody reads its content any more.
    #[error("failed to read on after the answer")]
    Answered,
    /// The stream or its connection broke.
    #[error("failed to read from the stream")]
    Http2(#[source] hyper::Error),
}

impl Body for Content {
    type Data = Bytes;
    type Error = ContentError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(upload) => upload.poll(cx),
            Self::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(ContentError::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(upload) => upload.is_over(),
            Self::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(upload) => upload.size_hint(),
            Self::Http2(incoming) => incoming.size_hint(),
        }
    }
}
