//! A request on its way out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TE, TRANSFER_ENCODING};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::stream::Stream;
use crate::upstream::error::BoxError;
use crate::upstream::outgoing::Outgoing;
use crate::wire::{Encoder, Framing, Mismatch, Outbox, RequestLine, write_request};

/// Bytes that wait for the connection before more of the content is asked for.
const MOST_WAITING: usize = 64 << 10;
/// Slices of one write.
const SLICES: usize = 16;

/// What an endpoint adds to a request.
#[derive(Clone, Copy)]
pub(in crate::upstream) struct Line<'a> {
    pub(in crate::upstream) base_path: &'a str,
    /// In place of the request's own.
    pub(in crate::upstream) host: Option<&'a HeaderValue>,
}

/// A request on its way out: its bytes, and the content that is still to come.
pub(in crate::upstream) struct Sending<B> {
    outbox: Outbox,
    encoder: Encoder,
    content: Option<B>,
    /// It may be sent twice, so what was written is kept. It has no content then.
    is_repeatable: bool,
    /// Bytes written so far.
    written: usize,
    is_flushed: bool,
    /// The request says that the connection is not used again.
    pub(super) closes: bool,
}

/// Why a request could not be sent to its end.
pub(super) enum Unsent {
    /// Its content broke off.
    Content(BoxError),
    /// The connection did.
    Connection(io::Error),
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Default + Unpin,
    B::Error: Into<BoxError>,
{
    /// Takes the content of a request and writes down its head.
    pub(in crate::upstream) fn new(outgoing: &mut Outgoing<B>, line: Line<'_>) -> Self {
        let content = std::mem::take(outgoing.request.body_mut());
        let is_repeatable = content.is_end_stream() && outgoing.request.method().is_safe();
        let headers = outgoing.request.headers_mut();
        let said = Said::by(headers);
        let (framing, closes) = (said.settle_framing(headers, &content), said.settle_connection(headers));
        let encoder = Encoder::new(framing);
        let mut outbox = Outbox::default();
        let (Outgoing { request, spelling }, Line { base_path, host }) = (outgoing, line);
        let line = RequestLine { method: request.method(), base_path, uri: request.uri(), host };
        write_request(outbox.tail(), line, request.headers(), spelling.as_ref());
        Self { outbox, encoder, content: Some(content), is_repeatable, written: 0, is_flushed: true, closes }
    }

    /// Sends what there is; ready when all is sent.
    pub(super) fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        loop {
            self.fill(cx).map_err(Unsent::Content)?;
            if self.waiting() == 0 {
                break;
            }
            ready!(self.poll_write(stream, cx)).map_err(Unsent::Connection)?;
        }
        if !self.is_flushed {
            ready!(Pin::new(stream).poll_flush(cx)).map_err(Unsent::Connection)?;
            self.is_flushed = true;
        }
        if self.content.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Whether all of it was sent.
    pub(super) fn is_over(&self) -> bool {
        self.content.is_none() && self.waiting() == 0 && self.is_flushed
    }

    /// Whether what is over is of no more use.
    pub(in crate::upstream) const fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// Begins anew, on another connection: where nothing of it was written, or where it may be sent twice.
    pub(super) fn rewind(mut self) -> Option<Self> {
        let can = self.is_repeatable || self.written == 0;
        self.written = 0;
        can.then_some(self)
    }

    /// Asks for content while there is room for it.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        while let Some(content) = &mut self.content {
            if self.outbox.len() >= MOST_WAITING {
                break;
            }
            let frame = if content.is_end_stream() {
                None
            } else if let Poll::Ready(frame) = Pin::new(content).poll_frame(cx) {
                frame.transpose().map_err(Into::into)?
            } else {
                break;
            };
            self.append(frame)?;
        }
        Ok(())
    }

    /// The next frame of the content, or its end.
    fn append(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), Mismatch> {
        let frame = match frame.map(Frame::into_data) {
            Some(Ok(piece)) => return self.encoder.data(piece, &mut self.outbox),
            other => other.and_then(Result::err),
        };
        self.content = None;
        match frame.and_then(|frame| frame.into_trailers().ok()) {
            Some(trailers) => self.encoder.trailers(&trailers, &mut self.outbox),
            None => self.encoder.end(&mut self.outbox),
        }
    }

    fn waiting(&self) -> usize {
        if self.is_repeatable { self.outbox.len() - self.written } else { self.outbox.len() }
    }

    fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = Pin::new(stream);
        let written = if self.is_repeatable {
            // A head alone is one piece.
            ready!(stream.poll_write(cx, &self.outbox.first()[self.written..]))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.outbox.slices(&mut slices);
            ready!(stream.poll_write_vectored(cx, &slices[..count]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if !self.is_repeatable {
            self.outbox.advance(written);
        }
        self.written += written;
        self.is_flushed = false;
        Poll::Ready(Ok(()))
    }
}

/// What a head says of its content and of its connection, in one pass.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    is_coded: bool,
    te: bool,
    connection: bool,
}

impl Said {
    fn by(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            if *name == CONTENT_LENGTH {
                said.length = value.to_str().ok().and_then(|value| value.parse().ok());
            } else if *name == TRANSFER_ENCODING {
                said.is_coded = true;
            } else if *name == TE {
                said.te = true;
            } else if *name == CONNECTION {
                said.connection = true;
            }
        }
        said
    }

    /// Says the length of the content once, where nobody said it yet, and not at all where there is none.
    fn settle_framing<B: Body>(&self, headers: &mut HeaderMap, content: &B) -> Framing {
        if content.is_end_stream() {
            if self.is_coded {
                headers.remove(TRANSFER_ENCODING);
            }
            return self.length.map_or(Framing::Empty, Framing::Length);
        }
        if self.is_coded {
            return Framing::Chunked;
        }
        if let Some(length) = self.length.or_else(|| content.size_hint().exact()) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            return Framing::Length(length);
        }
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        Framing::Chunked
    }

    /// Names `TE` as what it is: for this connection alone (RFC 9110, section 10.1.4). Says whether the connection ends with
    /// the answer.
    fn settle_connection(&self, headers: &mut HeaderMap) -> bool {
        if self.te && !(self.connection && has_option(headers, "te")) {
            headers.append(CONNECTION, HeaderValue::from_static("TE"));
        }
        self.connection && has_option(headers, "close")
    }
}

fn has_option(headers: &HeaderMap, option: &str) -> bool {
    let options =
        headers.get_all(CONNECTION).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.map(<[u8]>::trim_ascii).any(|said| said.eq_ignore_ascii_case(option.as_bytes()))
}
