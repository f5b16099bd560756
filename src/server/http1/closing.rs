//! The end of an HTTP/1 connection: closed so that the consumer sees its last answer, or given to another protocol.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::shared::{Owed, Shared};
use crate::server::connection::Error;
use crate::server::connections::{Exchange, Witness};
use crate::server::line::Line;

/// How long, and for how many bytes, a consumer is listened to that sends more than was read of it. Closed at once, the
/// connection would be reset, and the reset might overtake the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const MOST_LINGERING: usize = 1 << 20;

/// Ends the connection behind an answer. The exchange is held meanwhile, for what is read now is no head.
pub(super) async fn close(shared: &Shared, _exchange: Exchange) -> Result<(), Error> {
    poll_fn(|cx| shared.wire.borrow_mut().poll_shutdown(cx)).await?;
    let sends_more = shared.owed() != Owed::Nothing || !shared.wire.borrow().input.is_empty();
    if sends_more {
        let mut left = MOST_LINGERING;
        // Whether the consumer is done, gone or too slow, this is the end.
        let _ = timeout(LINGER, poll_fn(|cx| poll_pass_over(shared, &mut left, cx))).await;
    }
    Ok(())
}

fn poll_pass_over(shared: &Shared, left: &mut usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let wire = &mut *shared.wire.borrow_mut();
    loop {
        wire.input.clear();
        let count = ready!(wire.poll_fill(cx))?;
        if count == 0 || count > *left {
            return Poll::Ready(Ok(()));
        }
        *left -= count;
    }
}

/// Gives the connection to whoever agreed on another protocol, with what was read of it. That ends with a drain: nobody could
/// tell its end otherwise.
pub(super) async fn carry(
    shared: &Rc<Shared>,
    line: &Line,
    (exchange, witness): (Exchange, &Witness),
) -> Result<(), Error> {
    let Some(tunnel) = line.tunnel() else { return close(shared, exchange).await };
    let mut tunnel = tunnel(Box::new(Taken(Rc::clone(shared))));
    poll_fn(|cx| if witness.is_draining() { Poll::Ready(()) } else { tunnel.as_mut().poll(cx) }).await;
    Ok(())
}

/// A connection that HTTP has left.
struct Taken(Rc<Shared>);

impl AsyncRead for Taken {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.wire.borrow_mut();
        if wire.input.is_empty() {
            return Pin::new(&mut wire.stream).poll_read(cx, buf);
        }
        let count = wire.input.len().min(buf.remaining());
        buf.put_slice(&wire.input.split_to(count));
        wire.rest();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Taken {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.wire.borrow_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.wire.borrow_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.wire.borrow_mut().poll_shutdown(cx)
    }
}
