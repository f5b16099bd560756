//! An answer that came before its request was sent. Consumers may send all before they read anything, so the request goes on
//! whether or not somebody asks for more of the answer; elsewhere the one who reads does the sending as well.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::call::Reading;
use crate::upstream::UpstreamError;
use crate::upstream::error::{BoxError, Breakage};

/// Frames that wait for whoever reads the answer.
const MOST_WAITING: usize = 1;

/// As a body has it: `None` is the end.
type Next = Option<Result<Frame<Bytes>, UpstreamError>>;

/// The content of such an answer. Dropping it ends the exchange, and its connection, which is not used again in any case.
pub(in crate::upstream) struct Early {
    frames: mpsc::Receiver<Next>,
    left: SizeHint,
}

impl Early {
    /// Reads and sends in a task of its own.
    pub(super) fn start<B>(reading: Reading<B>) -> Self
    where
        B: Body<Data = Bytes> + Default + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let left = reading.size_hint();
        let (sender, frames) = mpsc::channel(MOST_WAITING);
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = pump(reading, &sender) => {}
                () = sender.closed() => {}
            }
        });
        Self { frames, left }
    }

    /// The next frame of the content.
    pub(in crate::upstream) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // Without an end, the task was lost.
        let polled = self.frames.poll_recv(cx).map(|next| next.unwrap_or_else(|| Some(Err(Breakage::Cut.into()))));
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.exact().map_or_else(SizeHint::new, |left| SizeHint::with_exact(left - taken));
            }
            Poll::Ready(_) => self.left = SizeHint::with_exact(0),
            Poll::Pending => {}
        }
        polled
    }

    /// Whether the content is over.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        self.left.exact() == Some(0)
    }

    /// What is known of the rest.
    pub(in crate::upstream) const fn size_hint(&self) -> &SizeHint {
        &self.left
    }
}

/// Passes on an answer to its end or to the first failure.
async fn pump<B>(mut reading: Reading<B>, frames: &mpsc::Sender<Next>)
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut goes_on = true;
    while goes_on {
        let next = poll_fn(|cx| reading.poll_frame(cx)).await;
        let mut room = pin!(frames.reserve());
        let permit = poll_fn(|cx| match reading.send(cx) {
            Ok(()) => room.as_mut().poll(cx).map(Ok),
            Err(error) => Poll::Ready(Err(error)),
        });
        goes_on = matches!(next, Some(Ok(_)));
        match permit.await {
            Ok(Ok(permit)) => permit.send(next),
            Ok(Err(_)) => return,
            Err(error) => {
                // It is worth more than the frame that it overtakes.
                let _ = frames.send(Some(Err(error))).await;
                return;
            }
        }
    }
}
