//! HTTP/1 with consumers: one request after the other, each read, answered and settled by the one task of its connection.
//!
//! What is read is parsed once, strictly (`wire`). Nothing stands between a request and its answer: the service is polled by
//! the task itself, its content is read from the socket by whoever asks for it, and the answer is written as it comes.

mod closing;
mod reply;
mod sending;
mod shared;
mod stream;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use self::reply::{After, Asked};
use self::sending::Sending;
pub(super) use self::shared::Upload;
use self::shared::{Head, Shared};
pub(super) use self::stream::Stream;
use super::connection::{Error, HeadLimits, Peer};
use super::connections::{Exchange, Witness};
use super::content::Content;
use super::line::Line;
use crate::wire::Parsed;

/// Serves HTTP/1 until the connection ends, or is taken over and ends then. `ahead` was read of it before.
pub(super) fn speak<S, B>(
    stream: impl Stream + 'static,
    ahead: BytesMut,
    limits: HeadLimits,
    (service, peer): (S, Peer),
    witness: Witness,
) -> impl Future<Output = Result<(), Error>>
where
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let line = Rc::new(Line::default());
    let peer = Peer { line: Some(Rc::clone(&line)), ..peer };
    let session = Session { shared: Shared::new(stream, ahead), line, service, peer, witness, most: limits.bytes };
    live(session)
}

/// A connection, and who answers on it.
struct Session<S> {
    shared: Rc<Shared>,
    line: Rc<Line>,
    service: S,
    peer: Peer,
    witness: Witness,
    /// Bytes of a request's head.
    most: usize,
}

/// The life of a connection.
#[expect(clippy::manual_async_fn, reason = "an async fn would hold its argument twice")]
fn live<S, B>(mut session: Session<S>) -> impl Future<Output = Result<(), Error>>
where
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async move {
        while let Some((mut answering, asked, exchange)) = poll_fn(|cx| session.poll_request(cx)).await? {
            let Session { shared, line, witness, .. } = &session;
            let answer = poll_fn(|cx| shared.at_work(cx, |cx| poll_answer(&mut answering, shared, line, cx))).await?;
            drop(answering);
            // Where a drain is on, the answer says that it is the last one.
            let mut sending = Sending::begin((shared, line), asked, answer, witness.is_draining());
            poll_fn(|cx| shared.at_work(cx, |cx| sending.poll(shared, cx))).await?;
            match sending.after {
                After::Next if poll_fn(|cx| Poll::Ready(shared.settle(cx))).await => shared.wire.borrow_mut().renew(),
                After::Next | After::Nothing => return Box::pin(closing::close(shared, exchange)).await,
                After::Another => return Box::pin(closing::carry(shared, line, (exchange, witness))).await,
            }
        }
        poll_fn(|cx| session.shared.wire.borrow_mut().poll_shutdown(cx)).await?;
        Ok(())
    }
}

impl<S, B> Session<S>
where
    S: Service<(Request<Content>, Peer), Response = Response<B>, Error = Infallible, Future: Unpin>,
{
    /// Waits for the next request, and gives it to the service. `None` at the end of the connection.
    #[expect(clippy::type_complexity, reason = "an answer to come, what it depends on, and the time it takes")]
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<(S::Future, Asked, Exchange)>>> {
        let Some(head) = ready!(self.shared.poll_head(self.most, cx))? else { return Poll::Ready(Ok(None)) };
        let exchange = self.witness.exchange();
        let asked = head.as_ref().map_or(Asked::NOTHING, Asked::of);
        let request = begin(head, asked, &self.shared, &self.line);
        // Services here are always ready: who may come in is decided by what they are asked.
        Poll::Ready(Ok(Some((self.service.call((request, self.peer.clone())), asked, exchange))))
    }
}

/// The request, with its content still on the wire. One that is none is given to the service as well, so that all are refused
/// in one way.
fn begin(head: Head, asked: Asked, shared: &Rc<Shared>, line: &Line) -> Request<Content> {
    match head {
        Ok(Parsed { head, framing, spelling, .. }) => {
            line.begin(Some(spelling));
            let upload = shared.begin(Some(framing), asked.expects);
            Request::from_parts(head, upload.map_or(Content::Empty, Content::Http1))
        }
        Err(fault) => {
            line.begin(None);
            shared.begin(None, false);
            let mut request = Request::new(Content::Empty);
            request.extensions_mut().insert(fault.refusal());
            request
        }
    }
}

/// Waits for the head of the answer; meanwhile interim answers go out, and a consumer that leaves ends it all.
fn poll_answer<F, B>(
    answering: &mut F,
    shared: &Shared,
    line: &Line,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<B>, Error>>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
{
    if let Poll::Ready(Ok(answer)) = Pin::new(answering).poll(cx) {
        return Poll::Ready(Ok(answer));
    }
    let mut wire = shared.wire.borrow_mut();
    line.take_interim(wire.output.tail());
    if !wire.output.is_empty() {
        // Where it has to wait, the answer does not.
        let _: Poll<()> = wire.poll_flush(cx)?;
    }
    drop(wire);
    shared.watch(cx)?;
    Poll::Pending
}

#[cfg(test)]
mod tests;
