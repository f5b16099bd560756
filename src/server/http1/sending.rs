//! An answer on its way to the consumer.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};

use super::reply::{After, Asked, Reply};
use super::shared::Shared;
use crate::server::connection::Error;
use crate::server::line::Line;
use crate::wire::{Encoder, Framing, Mismatch};

/// Bytes of an answer that wait for its consumer, before no more of it is asked for.
const MOST_WAITING: usize = 64 << 10;

/// An answer whose head is written.
pub(super) struct Sending<B> {
    /// Until it is written, or there is nothing more to write.
    body: Option<B>,
    encoder: Encoder,
    is_empty: bool,
    trailers: bool,
    pub(super) after: After,
    broken: Option<Error>,
}

/// Why no more of the content is written for now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// There is no more yet.
    ByContent,
    /// What is there already has to go first.
    ByConsumer,
    Over,
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Writes the head of an answer behind all interim ones, and no interim one after it.
    pub(super) fn begin((shared, line): (&Shared, &Line), asked: Asked, answer: Response<B>, is_last: bool) -> Self {
        let (mut head, body) = answer.into_parts();
        let size = body.size_hint().exact();
        let wire = &mut *shared.wire.borrow_mut();
        // What comes next of a consumer that was never told to go on is content, or the next request.
        let is_unclear = std::mem::take(&mut wire.expects) || shared.is_lost(&wire.decoder);
        let reply = Reply::new(asked, &mut head, size, is_last || is_unclear);
        let tail = wire.output.tail();
        let spelling = line.end(tail);
        reply.write(tail, asked, &head, spelling.as_ref());
        Self {
            body: (reply.after != After::Another).then_some(body),
            encoder: Encoder::new(reply.framing),
            is_empty: reply.framing == Framing::Empty,
            trailers: asked.trailers,
            after: reply.after,
            broken: None,
        }
    }

    /// Writes the answer to its end. What is there when its content breaks off is written, and nothing that could be taken
    /// for its end.
    pub(super) fn poll(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let held = self.poll_content(shared, cx);
            let flushed = shared.wire.borrow_mut().poll_flush(cx)?;
            match held {
                Held::Over if flushed.is_ready() => return Poll::Ready(self.broken.take().map_or(Ok(()), Err)),
                Held::ByConsumer if flushed.is_ready() => {}
                _ => {
                    shared.watch(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_content(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Held {
        while let Some(body) = &mut self.body {
            if shared.wire.borrow().output.len() >= MOST_WAITING {
                return Held::ByConsumer;
            }
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else { return Held::ByContent };
            let is_over = frame.is_none() || body.is_end_stream();
            let written = match frame {
                Some(Err(error)) => Err(error.into()),
                Some(Ok(frame)) => self.write(frame, is_over, shared).map_err(Error::from),
                None => self.end(shared).map_err(Error::from),
            };
            if written.is_err() || is_over {
                self.body = None;
            }
            self.broken = written.err();
        }
        Held::Over
    }

    /// One piece, and the end behind the last one.
    fn write(&mut self, frame: Frame<Bytes>, is_last: bool, shared: &Shared) -> Result<(), Mismatch> {
        let frame = match frame.into_data() {
            Ok(data) => {
                self.data(data, shared)?;
                return if is_last { self.end(shared) } else { Ok(()) };
            }
            Err(frame) => frame,
        };
        self.body = None;
        match frame.into_trailers() {
            Ok(trailers) if self.trailers => self.encoder.trailers(&trailers, &mut shared.wire.borrow_mut().output),
            _ => self.end(shared),
        }
    }

    fn data(&mut self, data: Bytes, shared: &Shared) -> Result<(), Mismatch> {
        if self.is_empty {
            // There is no place for it, and no need to wait for more.
            self.body = None;
            return Ok(());
        }
        self.encoder.data(data, &mut shared.wire.borrow_mut().output)
    }

    fn end(&mut self, shared: &Shared) -> Result<(), Mismatch> {
        self.encoder.end(&mut shared.wire.borrow_mut().output)
    }
}
