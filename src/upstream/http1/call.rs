//! One exchange on a connection: the request goes out while its answer is awaited, and while that is read.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode, response};
use http_body::{Body, Frame, SizeHint};

use super::connection::Connection;
use super::early::Early;
use super::sending::{Sending, Unsent};
use super::switched::Switched;
use crate::upstream::UpstreamError;
use crate::upstream::error::{BoxError, Breakage};
use crate::upstream::outgoing::Ear;
use crate::wire::{Decoded, Decoder, Parsed};

/// A request under way, of whose answer the head has not come.
pub(in crate::upstream) struct Call<B> {
    pub(super) connection: Box<Connection>,
    /// Until it is sent, or as long as it may have to be sent again.
    sending: Option<Sending<B>>,
    /// Why the rest of the request was not written. An answer may be there all the same (RFC 9112, section 9.5).
    broken: Option<io::Error>,
    /// Something came.
    is_heard: bool,
    closes: bool,
}

impl<B> Call<B>
where
    B: Body<Data = Bytes> + Default + Unpin,
    B::Error: Into<BoxError>,
{
    pub(in crate::upstream) const fn new(connection: Box<Connection>, sending: Sending<B>) -> Self {
        let closes = sending.closes;
        Self { connection, sending: Some(sending), broken: None, is_heard: false, closes }
    }

    /// Waits for the head of the answer to a request of this method, and sends meanwhile.
    pub(in crate::upstream) async fn head(
        &mut self,
        asked: &Method,
        ear: &impl Ear,
    ) -> Result<Parsed<response::Parts>, UpstreamError> {
        poll_fn(|cx| self.poll_head(asked, ear, cx)).await
    }

    fn poll_head(
        &mut self,
        asked: &Method,
        ear: &impl Ear,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Parsed<response::Parts>, UpstreamError>> {
        self.send(cx)?;
        loop {
            while let Some(answer) = self.connection.take_head(asked).map_err(Breakage::Fault)? {
                if !is_interim(answer.head.status) {
                    return Poll::Ready(Ok(answer));
                }
                ear.interim(answer.head.status, &answer.head.headers);
            }
            let read = match self.connection.poll_fill(cx) {
                Poll::Pending if self.broken.is_none() => return Poll::Pending,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                Poll::Ready(read) => read,
            };
            match read {
                Ok(1..) => self.hear(),
                Ok(0) => {
                    return Poll::Ready(Err(self.broken.take().map_or(Breakage::Cut, Breakage::Connection).into()));
                }
                Err(error) => {
                    return Poll::Ready(Err(Breakage::Connection(self.broken.take().unwrap_or(error)).into()));
                }
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), UpstreamError> {
        let Some(sending) = self.sending.as_mut().filter(|sending| self.broken.is_none() && !sending.is_over()) else {
            return Ok(());
        };
        match sending.poll(&mut self.connection.stream, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.sending = self.sending.take().filter(Sending::is_repeatable),
            Poll::Ready(Err(Unsent::Connection(error))) => self.broken = Some(error),
            Poll::Ready(Err(Unsent::Content(error))) => return Err(UpstreamError::Unsent(error)),
        }
        Ok(())
    }

    fn hear(&mut self) {
        self.is_heard = true;
        // What was sent is not sent again.
        self.sending = self.sending.take().filter(|sending| !sending.is_over());
    }

    /// After a failure: the request, where nothing was heard and it may go out on another connection.
    pub(in crate::upstream) fn again(self) -> Option<Sending<B>> {
        if self.is_heard { None } else { self.sending.and_then(Sending::rewind) }
    }

    /// Goes on to the content of an answer with this head.
    pub(in crate::upstream) fn read(self, answer: &Parsed<response::Parts>) -> Reading<B> {
        let is_switched = answer.head.status == StatusCode::SWITCHING_PROTOCOLS;
        let persistent = answer.persistent && !self.closes && self.broken.is_none() && !is_switched;
        let sending = self.sending.filter(|sending| self.broken.is_none() && !sending.is_over()).map(Box::new);
        let decoder = Decoder::new(answer.framing);
        Reading { connection: self.connection, decoder, sending, persistent }
    }
}

/// Whether other answers follow. After a 101 what follows is no HTTP.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// An answer that is being read.
pub(in crate::upstream) struct Reading<B> {
    connection: Box<Connection>,
    decoder: Decoder,
    /// In a box, since few answers come that early.
    sending: Option<Box<Sending<B>>>,
    persistent: bool,
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes> + Default + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next frame of the content; what is left of the request goes out first.
    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.send(cx)?;
        loop {
            match self.connection.take_content(&mut self.decoder).map_err(Breakage::Fault)? {
                Decoded::Data(piece) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Decoded::Trailers(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Decoded::Over => return Poll::Ready(None),
                Decoded::More => {}
            }
            match std::task::ready!(self.connection.poll_fill(cx)) {
                Ok(1..) => {}
                Ok(0) => self.decoder.end_of_input().map_err(|_| Breakage::Cut)?,
                Err(error) => return Poll::Ready(Some(Err(Breakage::Connection(error).into()))),
            }
        }
    }

    /// Sends what is left of the request, as far as that is possible now.
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> Result<(), UpstreamError> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        match sending.poll(&mut self.connection.stream, cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Unsent::Connection(_))) => self.persistent = false,
            Poll::Ready(Err(Unsent::Content(error))) => return Err(UpstreamError::Unsent(error)),
        }
        self.sending = None;
        Ok(())
    }

    /// Whether the content is over.
    pub(in crate::upstream) const fn is_over(&self) -> bool {
        self.decoder.is_over()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }

    /// The connection, where both sides want to use it again and are done with this exchange.
    pub(in crate::upstream) fn into_connection(self) -> Option<Box<Connection>> {
        (self.persistent && self.decoder.is_over() && self.sending.is_none()).then_some(self.connection)
    }

    /// An answer that came before its request was sent, with a task that does both.
    pub(in crate::upstream) fn early(self) -> Result<Early, Self>
    where
        B: 'static,
    {
        if self.sending.is_some() && !self.is_over() { Ok(Early::start(self)) } else { Err(self) }
    }

    /// The connection, once it has left HTTP.
    pub(in crate::upstream) fn into_switched(self) -> Switched {
        Switched::new(self.connection)
    }
}
