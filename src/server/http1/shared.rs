//! The bytes of one HTTP/1 connection, shared by the task that serves it and by the content of the request under way.
//!
//! The content reads from the socket itself, whoever asks for it; the task reads only where nobody has content to read.
//! What one of them changes for the other is in cells, so that neither holds the bytes while anything else runs.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::request;
use http_body::{Frame, SizeHint};

use super::stream::{Stream, Wire};
use crate::server::content::ContentError;
use crate::wire::{Decoded, Decoder, Fault, Framing, Parsed, take_request};

/// Bytes of a request's content that are read and thrown away to keep its connection, where they are there already.
const MOST_LEFT: usize = 64 << 10;

/// A head, or why it is none.
pub(super) type Head = Result<Parsed<request::Parts>, Fault>;

/// One HTTP/1 connection.
pub(super) struct Shared<T: ?Sized = dyn Stream> {
    /// Which request is under way; the content of another one is nobody's any more.
    turn: Cell<u64>,
    owed: Cell<Owed>,
    /// The task is at work, and looks at all of this before it rests.
    at_work: Cell<bool>,
    task: RefCell<Option<Waker>>,
    pub(super) wire: RefCell<Wire<T>>,
}

/// What the consumer still has to send of the request under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    Nothing,
    /// Content that somebody reads.
    Content,
    /// Content that nobody reads any more.
    Unread,
    /// Nobody can say where it ends.
    Lost,
}

impl Shared {
    /// A connection of which `ahead` was read before.
    pub(super) fn new(stream: impl Stream + 'static, ahead: BytesMut) -> Rc<Self> {
        Rc::new(Shared {
            turn: Cell::new(0),
            owed: Cell::new(Owed::Nothing),
            at_work: Cell::new(false),
            task: RefCell::default(),
            wire: RefCell::new(Wire::new(stream, ahead)),
        })
    }

    /// Does what the task does; meanwhile nobody has to wake it.
    pub(super) fn at_work<T>(&self, cx: &mut Context<'_>, work: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let known = self.task.borrow().as_ref().is_some_and(|known| known.will_wake(cx.waker()));
        if !known {
            *self.task.borrow_mut() = Some(cx.waker().clone());
        }
        self.at_work.set(true);
        let done = work(cx);
        self.at_work.set(false);
        done
    }

    fn wake(&self) {
        if !self.at_work.get() {
            let task = self.task.borrow().clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }

    /// The next head; `None` at the end of the connection. A head that is none is one for whoever refuses it.
    pub(super) fn poll_head(&self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Head>>> {
        let wire = &mut *self.wire.borrow_mut();
        loop {
            if !wire.input.is_empty() {
                let taken = take_request(&mut wire.input, &mut wire.seen, most).transpose();
                if taken.is_some() {
                    return Poll::Ready(Ok(taken));
                }
            }
            if ready!(wire.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// A request begins; `None` where nobody can say what it was.
    pub(super) fn begin(self: &Rc<Self>, framing: Option<Framing>, expects: bool) -> Option<Upload> {
        let wire = &mut *self.wire.borrow_mut();
        self.turn.set(self.turn.get() + 1);
        wire.decoder = Decoder::new(framing.unwrap_or(Framing::Empty));
        wire.expects = expects && !wire.decoder.is_over();
        wire.rest();
        let owed = match framing {
            None => Owed::Lost,
            Some(_) if wire.decoder.is_over() => Owed::Nothing,
            Some(_) => Owed::Content,
        };
        self.owed.set(owed);
        (owed == Owed::Content).then(|| Upload { shared: Rc::clone(self), turn: self.turn.get() })
    }

    pub(super) fn owed(&self) -> Owed {
        self.owed.get()
    }

    /// Whether it is certain before the end of the answer that no request can follow; `decoder` is that of the content.
    pub(super) fn is_lost(&self, decoder: &Decoder) -> bool {
        match self.owed.get() {
            Owed::Nothing | Owed::Content => false,
            Owed::Unread => decoder.size_hint().lower() > MOST_LEFT as u64,
            Owed::Lost => true,
        }
    }

    /// Looks for a consumer that leaves, where nobody reads content.
    pub(super) fn watch(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.owed.get() == Owed::Content { Ok(()) } else { self.wire.borrow_mut().watch(cx) }
    }

    /// The answer is complete. Whether the next request can be found behind this one: what is left of its content is passed
    /// over where it is little, and there.
    pub(super) fn settle(&self, cx: &mut Context<'_>) -> bool {
        self.turn.set(self.turn.get() + 1);
        if !matches!(self.owed.get(), Owed::Content | Owed::Unread) {
            return self.owed.get() == Owed::Nothing;
        }
        self.owed.set(Owed::Unread);
        let is_settled = self.wire.borrow_mut().pass_over(MOST_LEFT, cx);
        if is_settled {
            self.owed.set(Owed::Nothing);
        }
        is_settled
    }

    fn poll_content(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        let mut wire = self.wire.borrow_mut();
        let expected = wire.expects;
        let polled = wire.poll_content(cx);
        let says_continue = expected && polled.is_pending() && !wire.output.is_empty();
        let is_over = wire.decoder.is_over();
        drop(wire);
        let owed = match &polled {
            Poll::Ready(Some(Err(_))) => Owed::Lost,
            Poll::Ready(_) if is_over => Owed::Nothing,
            _ => Owed::Content,
        };
        self.owed.set(owed);
        if owed != Owed::Content || says_continue {
            self.wake();
        }
        polled
    }
}

/// Content of a request under way.
pub struct Upload {
    shared: Rc<Shared>,
    turn: u64,
}

impl Upload {
    /// Reads more of it, with the socket to wake whoever asks.
    pub(in crate::server) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        match self.state() {
            Some(Owed::Content) => self.shared.poll_content(cx),
            Some(Owed::Nothing) => Poll::Ready(None),
            Some(Owed::Lost) => Poll::Ready(Some(Err(Fault::Cut.into()))),
            Some(Owed::Unread) | None => Poll::Ready(Some(Err(ContentError::Answered))),
        }
    }

    pub(in crate::server) fn is_over(&self) -> bool {
        self.state() == Some(Owed::Nothing)
    }

    pub(in crate::server) fn size_hint(&self) -> SizeHint {
        match self.state() {
            Some(Owed::Content) => self.shared.wire.borrow().decoder.size_hint(),
            _ => SizeHint::with_exact(0),
        }
    }

    /// `None` once its request is answered.
    fn state(&self) -> Option<Owed> {
        (self.shared.turn.get() == self.turn).then(|| self.shared.owed.get())
    }
}

/// Nobody wants the rest.
impl Drop for Upload {
    fn drop(&mut self) {
        if self.state() == Some(Owed::Content) {
            self.shared.owed.set(Owed::Unread);
            self.shared.wake();
        }
    }
}

impl<T: Stream + ?Sized> Wire<T> {
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        loop {
            let decoded = self.decoder.decode(&mut self.input)?;
            let frame = match decoded {
                Decoded::Data(data) => Frame::data(data),
                Decoded::Trailers(trailers) => Frame::trailers(trailers),
                Decoded::Over => return Poll::Ready(None),
                Decoded::More => {
                    self.tell_to_continue();
                    if ready!(self.poll_fill(cx))? == 0 {
                        self.decoder.end_of_input()?;
                        return Poll::Ready(None);
                    }
                    continue;
                }
            };
            self.expects = false;
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    /// Somebody wants the content, and nothing of it has come (RFC 9110, section 10.1.1).
    fn tell_to_continue(&mut self) {
        if std::mem::take(&mut self.expects) && self.input.is_empty() {
            self.output.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Reads content up to its end, as far as it is there and within `most` bytes.
    fn pass_over(&mut self, most: usize, cx: &mut Context<'_>) -> bool {
        let mut left = most;
        while !self.decoder.is_over() {
            let passed = match self.decoder.decode(&mut self.input) {
                Ok(Decoded::Data(data)) => data.len(),
                Ok(Decoded::Trailers(_) | Decoded::Over) => 0,
                Ok(Decoded::More) if matches!(self.poll_fill(cx), Poll::Ready(Ok(1..))) => 0,
                Ok(Decoded::More) | Err(_) => return false,
            };
            if passed > left {
                return false;
            }
            left -= passed;
        }
        true
    }
}
