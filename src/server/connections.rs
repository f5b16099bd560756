//! The connections of one worker: what each is doing, for how long, and the end of those that do nothing.
//!
//! Deadlines of connections are seconds, so they need no timer each: a sweep ten times a second compares a few integers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use crate::refusal::Refusal;

/// The time between two sweeps, and so the resolution of every deadline here.
pub const SWEEP: Duration = Duration::from_millis(100);

/// Requests that an HTTP/2 consumer may take back within a second of their start, before their share of all its requests
/// counts. This and the share are Envoy's, against rapid resets (CVE-2023-44487): each costs the consumer a few bytes,
/// and us a call to two backends.
const PREMATURE_RESETS: u32 = 500;
/// A request that is taken back later than this has cost its consumer something.
const PREMATURE: u64 = 10;

/// Why the server closed a connection on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doom {
    /// A TLS handshake or a request's head took longer than `header_timeout`.
    #[error("a head or a handshake did not come within header_timeout")]
    SlowHead,
    /// Nothing came or went for `idle_timeout`, or for as long as a drain waits for it.
    #[error("nothing came or went within idle_timeout, or within its part of drain_timeout")]
    Idle,
    /// The consumer took nothing of its answer for `idle_timeout`.
    #[error("nothing of an answer was taken within idle_timeout")]
    Stuck,
    /// More than half of the requests, and many, were taken back at once.
    #[error("most requests were taken back as soon as they were made")]
    Resets,
}

impl Doom {
    /// The reason it is counted by; a connection that is merely not used any more is no refusal.
    pub(super) const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::SlowHead => Some(Refusal::SlowHead),
            Self::Stuck => Some(Refusal::SlowConsumer),
            Self::Resets => Some(Refusal::Flood),
            Self::Idle => None,
        }
    }
}

/// The connections of one worker.
#[derive(Default)]
pub struct Connections {
    now: Cell<u64>,
    next: Cell<u64>,
    open: RefCell<HashMap<u64, Rc<Activity>>>,
    /// Since when connections end with the answer they are giving.
    draining: Cell<Option<u64>>,
    none_left: Notify,
    refused: RefCell<Vec<Refusal>>,
}

/// What one connection is doing. All times are sweeps.
#[derive(Debug, Default)]
pub(super) struct Activity {
    last_seen: Cell<u64>,
    head_since: Cell<Option<u64>>,
    write_blocked_since: Cell<Option<u64>>,
    exchanges: Cell<u32>,
    multiplexed: Cell<bool>,
    streams: Streams,
    doom: Cell<Option<Doom>>,
    waker: RefCell<Option<Waker>>,
}

/// What is known of the requests of an HTTP/2 connection beside their number.
#[derive(Debug, Default)]
struct Streams {
    /// Begun since the connection was opened.
    begun: Cell<u32>,
    /// Taken back at once since then.
    reset: Cell<u32>,
    /// Now waiting for their consumer to take what is there of the answer.
    offered: Cell<u32>,
    /// When any answer went on last.
    moved: Cell<u64>,
}

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// Between requests, and for a consumer that does not read its answer.
    pub idle: Duration,
    /// From the begin of a drain, or the last answer that did not tell of it, to the next request on that connection. Whoever closes one at once may close it
    /// under a request that is on its way; this time is for the request, and for the consumer to learn with its answer that
    /// the connection ends (RFC 9112, section 9.6).
    pub farewell: Duration,
}

impl Connections {
    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Whether connections end with the answer they are giving.
    pub const fn is_draining(&self) -> bool {
        self.draining.get().is_some()
    }

    /// Tells every connection to end with the answer it is giving, or the next one where that does not say so yet; new ones
    /// end with their first.
    pub fn drain(&self) {
        self.draining.set(Some(self.draining.get().unwrap_or(self.now.get())));
        self.open.borrow().values().for_each(|activity| activity.wake());
        self.tell_if_empty();
    }

    /// What was refused before there was a request to answer, since the last time this was asked.
    pub fn take_refused(&self) -> Vec<Refusal> {
        self.refused.take()
    }

    pub(super) fn refused(&self, reason: Refusal) {
        self.refused.borrow_mut().push(reason);
    }

    /// Waits until no connection is open.
    ///
    /// # Cancel safety
    /// Nothing is lost when dropped.
    pub async fn closed(&self) {
        while self.count() > 0 {
            self.none_left.notified().await;
        }
    }

    /// Lets time pass, and ends the connections whose patience is over.
    pub fn sweep(&self, patience: Patience) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for activity in self.open.borrow().values() {
            activity.judge(now, patience, self.draining.get());
        }
    }

    pub(super) fn open(self: &Rc<Self>) -> Registration {
        let id = self.next.get();
        self.next.set(id + 1);
        let activity = Rc::new(Activity { last_seen: Cell::new(self.now.get()), ..Activity::default() });
        self.open.borrow_mut().insert(id, Rc::clone(&activity));
        Registration { connections: Rc::clone(self), activity, id }
    }

    fn tell_if_empty(&self) {
        if self.count() == 0 {
            self.none_left.notify_waiters();
        }
    }
}

impl Activity {
    fn judge(&self, now: u64, patience: Patience, draining: Option<u64>) {
        let over =
            |since: u64, limit: Duration| now.saturating_sub(since) as f64 * SWEEP.as_secs_f64() > limit.as_secs_f64();
        let slow_head = self.head_since.get().is_some_and(|since| over(since, patience.header));
        let offered = self.exchanges.get() > 0 && self.streams.offered.get() == self.exchanges.get();
        let stuck = self.write_blocked_since.get().is_some_and(|since| over(since, patience.idle))
            || (offered && over(self.streams.moved.get(), patience.idle));
        let last_seen = self.last_seen.get();
        let left = self.is_idle() && draining.is_some_and(|since| over(since.max(last_seen), patience.farewell));
        let idle = left || (self.exchanges.get() == 0 && over(last_seen, patience.idle));
        let doom = [(slow_head, Doom::SlowHead), (stuck, Doom::Stuck), (idle, Doom::Idle)];
        let doom = doom.into_iter().find_map(|(is_so, doom)| is_so.then_some(doom));
        if let Some(doom) = doom {
            self.end(doom);
        }
    }

    /// No request is under way, not even the begin of one. Of HTTP/1 only.
    const fn is_idle(&self) -> bool {
        !self.multiplexed.get() && self.exchanges.get() == 0 && self.head_since.get().is_none()
    }

    fn end(&self, doom: Doom) {
        self.doom.set(Some(doom));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    pub(super) const fn doom(&self) -> Option<Doom> {
        self.doom.get()
    }

    pub(super) fn begin_exchange(&self) {
        self.head_since.set(None);
        self.exchanges.set(self.exchanges.get() + 1);
    }
}

/// One open connection; closed when dropped.
pub(super) struct Registration {
    connections: Rc<Connections>,
    activity: Rc<Activity>,
    id: u64,
}

impl Registration {
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// A second hand on the same connection, for what happens inside it.
    pub(super) fn witness(&self) -> Witness {
        Witness { connections: Rc::clone(&self.connections), activity: Rc::clone(&self.activity) }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.open.borrow_mut().remove(&self.id);
        self.connections.tell_if_empty();
    }
}

/// Tells a connection's activity what its reads, writes and exchanges do.
#[derive(Clone)]
pub(super) struct Witness {
    connections: Rc<Connections>,
    activity: Rc<Activity>,
}

impl Witness {
    /// A handshake has `header_timeout`, from here on.
    pub(super) fn begin_handshake(&self) {
        self.activity.head_since.set(Some(self.connections.now.get()));
    }

    pub(super) fn end_handshake(&self) {
        self.activity.head_since.set(None);
        self.activity.last_seen.set(self.connections.now.get());
    }

    /// HTTP/2 is spoken: what is read may be anything but a request's head, and pings keep nobody from being idle.
    pub(super) fn is_multiplexed(&self) {
        self.end_handshake();
        self.activity.multiplexed.set(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.connections.is_draining()
    }

    /// Counts what was refused before there was a request to answer.
    pub(super) fn refused(&self, reason: Refusal) {
        self.connections.refused(reason);
    }

    pub(super) fn read_some(&self) {
        if self.activity.multiplexed.get() {
            return;
        }
        let now = self.connections.now.get();
        self.activity.last_seen.set(now);
        if self.activity.exchanges.get() == 0 && self.activity.head_since.get().is_none() {
            self.activity.head_since.set(Some(now));
        }
    }

    pub(super) fn wrote(&self, blocked: bool) {
        let since = self.activity.write_blocked_since.get();
        let now = self.connections.now.get();
        self.activity.write_blocked_since.set(if blocked { since.or(Some(now)) } else { None });
    }

    /// From the head of a request to the end of its answer.
    pub(super) fn exchange(&self) -> Exchange {
        self.activity.begin_exchange();
        let now = self.connections.now.get();
        if self.activity.multiplexed.get() {
            self.activity.streams.moved.set(now);
            self.activity.streams.begun.set(self.activity.streams.begun.get().saturating_add(1));
        }
        Exchange { witness: self.clone(), begun: now, state: ExchangeState::Begun }
    }
}

/// An exchange under way on a connection; over when dropped.
pub(super) struct Exchange {
    witness: Witness,
    begun: u64,
    state: ExchangeState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ExchangeState {
    /// Nothing of an answer was handed over that was not asked on for.
    Begun,
    /// A piece of the answer was handed over.
    Offered,
    /// The last piece was handed over.
    Complete,
}

impl Exchange {
    /// More of the answer is wanted: what was handed over before is on its way.
    pub(super) fn is_asked_for(&mut self) {
        if self.witness.activity.multiplexed.get() {
            self.turn(ExchangeState::Begun);
        }
    }

    /// A piece of the answer was handed over, or all of it.
    pub(super) fn gave(&mut self, all: bool) {
        if self.witness.activity.multiplexed.get() {
            self.turn(if all { ExchangeState::Complete } else { ExchangeState::Offered });
        }
    }

    fn turn(&mut self, state: ExchangeState) {
        let streams = &self.witness.activity.streams;
        let was = u32::from(self.state != ExchangeState::Begun);
        let is = u32::from(state != ExchangeState::Begun);
        streams.offered.set(streams.offered.get() + is - was);
        streams.moved.set(self.witness.connections.now.get());
        self.state = state;
    }

    /// Counts an HTTP/2 request that was taken back at once, and ends a connection that makes a habit of it.
    fn count_reset(&self, now: u64) {
        let Streams { begun, reset, .. } = &self.witness.activity.streams;
        if self.state == ExchangeState::Complete || now - self.begun > PREMATURE {
            return;
        }
        reset.set(reset.get().saturating_add(1));
        if reset.get() >= PREMATURE_RESETS && reset.get() > begun.get() / 2 {
            self.witness.activity.end(Doom::Resets);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = self.witness.connections.now.get();
        if self.witness.activity.multiplexed.get() {
            self.count_reset(now);
            self.turn(ExchangeState::Begun);
        }
        let activity = &self.witness.activity;
        activity.exchanges.set(activity.exchanges.get() - 1);
        activity.last_seen.set(now);
    }
}

#[cfg(test)]
mod tests;
