//! What is on its way to the ledger: one batch at the disk, everything else in order behind it. Nobody waits for the disk
//! except a step up, which is not in force before it is recorded.
//!
//! Batches are numbered. Whatever is put in belongs to the [next](Outbox::next) one, and is on the disk when that one, or a
//! later one, [has landed](Outbox::landed).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::console::{Event, PastVerdict};
use crate::store::{Batch, Block, Found, Ledger, NotWritten, Receipt};

/// Records of each kind that wait at most; beyond that the oldest is lost, and counted.
const MOST_WAITING: usize = 20_000;
/// Between two attempts while the ledger cannot be written.
const RETRY: Duration = Duration::from_secs(1);
/// A disk that takes longer to answer is in trouble.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records of one kind, oldest first; the first `flying` of them are at the disk.
struct Line<T> {
    records: VecDeque<T>,
    flying: usize,
}

impl<T> Line<T> {
    const fn new() -> Self {
        Self { records: VecDeque::new(), flying: 0 }
    }

    /// Says whether another record had to go for this one.
    fn put(&mut self, record: T) -> bool {
        let is_full = self.records.len() >= MOST_WAITING;
        if is_full {
            self.records.remove(self.flying);
        }
        self.records.push_back(record);
        is_full
    }

    fn fly(&mut self) -> impl Iterator<Item = &T> {
        self.flying = self.records.len();
        self.records.iter()
    }

    fn land(&mut self, is_written: bool) -> Vec<T> {
        let flying = std::mem::take(&mut self.flying);
        if is_written { self.records.drain(..flying).collect() } else { Vec::new() }
    }
}

/// The counts of one minute of one route, as the ledger keeps them.
pub(super) struct Minute {
    pub(super) dependency: String,
    pub(super) route: String,
    /// Since 1970.
    pub(super) hour: u64,
    pub(super) record: Vec<u8>,
}

/// What is on its way to the ledger.
pub(super) struct Outbox {
    ledger: Ledger,
    events: Line<Event>,
    verdicts: Line<PastVerdict>,
    minutes: Line<Minute>,
    blocks: Line<Block>,
    /// The next batch is due at once, and has the state.
    is_urgent: bool,
    /// The batch at the disk, and since when.
    flying: Option<(Receipt, Instant)>,
    /// Of the last batch that was sent.
    number: u64,
    trouble: Option<String>,
    retry_at: Option<Instant>,
    lost: u64,
}

/// How a batch fared.
pub(super) struct Landed {
    pub(super) number: u64,
    /// The events in it, if it was written.
    pub(super) written: Option<Vec<Event>>,
    /// What the ledger holds that nobody knew: it could not be read at the start.
    pub(super) found: Option<Box<Found>>,
}

impl Outbox {
    /// `trouble` says why the ledger cannot be written, if that is known.
    pub(super) fn new(ledger: Ledger, trouble: Option<String>) -> Self {
        Self {
            ledger,
            events: Line::new(),
            verdicts: Line::new(),
            minutes: Line::new(),
            blocks: Line::new(),
            is_urgent: true,
            flying: None,
            number: 0,
            trouble,
            retry_at: None,
            lost: 0,
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.lost += u64::from(self.events.put(event));
        self.is_urgent = true;
    }

    pub(super) fn verdict(&mut self, verdict: PastVerdict) {
        self.lost += u64::from(self.verdicts.put(verdict));
    }

    pub(super) fn minute(&mut self, minute: Minute) {
        self.lost += u64::from(self.minutes.put(minute));
        self.is_urgent = true;
    }

    /// The state has changed, and is to be saved.
    pub(super) const fn urge(&mut self) {
        self.is_urgent = true;
    }

    /// There will be no other time: what failed before is tried at once.
    pub(super) const fn hurry(&mut self) {
        (self.is_urgent, self.retry_at) = (true, None);
    }

    /// The number of the batch that what is put in now belongs to.
    pub(super) const fn next(&self) -> u64 {
        self.number + 1
    }

    /// Puts an event in the place of one that was put in, and is not known to be written.
    pub(super) fn replace(&mut self, event: Event) {
        if let Some(old) = self.events.records.iter_mut().find(|old| old.id == event.id) {
            *old = event;
        }
    }

    /// What stands in the way of writing, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        let is_slow = self.flying.as_ref().is_some_and(|(_, since)| since.elapsed() > PATIENCE);
        let slow = || is_slow.then(|| format!("the disk has not answered for {} s", PATIENCE.as_secs()));
        self.trouble.clone().or_else(slow)
    }

    /// Records that wait, and records that were lost because too many did.
    pub(super) fn waiting_and_lost(&self) -> (u64, u64) {
        let waiting = self.events.records.len() + self.verdicts.records.len() + self.minutes.records.len();
        (waiting as u64, self.lost)
    }

    /// A batch is at the disk.
    #[cfg(test)]
    pub(super) const fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// Whether the next batch is due, and the disk is free.
    pub(super) fn is_due(&self) -> bool {
        let is_early = self.retry_at.is_some_and(|at| Instant::now() < at);
        self.flying.is_none() && !is_early && self.is_urgent
    }

    /// Sends the next batch. `state` is what the next process goes on with, `block` what was recorded since the last batch.
    pub(super) fn send(&mut self, state: Vec<u8>, block: Option<Block>) {
        if let Some(block) = block {
            self.lost += u64::from(self.blocks.put(block));
        }
        let json = |value: serde_json::Result<Vec<u8>>| value.expect("plain data can always be written as JSON");
        let batch = Batch {
            state: Some(state),
            events: self.events.fly().map(|it| (it.id, json(serde_json::to_vec(it)))).collect(),
            verdicts: self
                .verdicts
                .fly()
                .map(|it| (it.dependency.clone(), it.id, json(serde_json::to_vec(it))))
                .collect(),
            minutes: self
                .minutes
                .fly()
                .map(|it| (it.dependency.clone(), it.route.clone(), it.hour, it.record.clone()))
                .collect(),
            blocks: self.blocks.fly().cloned().collect(),
        };
        self.number += 1;
        self.is_urgent = false;
        match self.ledger.write(batch) {
            Ok(receipt) => self.flying = Some((receipt, Instant::now())),
            Err(_) => {
                self.land(Some("the ledger's thread does not take anything"), true);
            }
        }
    }

    /// Waits for the batch at the disk; for ever, where there is none.
    ///
    /// # Cancel safety
    /// Nothing is lost: the batch is still at the disk.
    pub(super) async fn landed(&mut self) -> Landed {
        let Some((receipt, _)) = &mut self.flying else { return std::future::pending().await };
        let written = receipt.await;
        let (reason, found) = match written {
            Ok(Ok(())) => (None, None),
            Ok(Err(NotWritten::Failed(reason))) => (Some(reason), None),
            Ok(Err(NotWritten::Found(found))) => (None, Some(found)),
            Err(_) => (Some("the ledger's thread has ended".to_owned()), None),
        };
        let is_written = reason.is_none() && found.is_none();
        let events = self.land(reason.as_deref(), !is_written);
        Landed { number: self.number, written: is_written.then_some(events), found }
    }

    /// The disk is free again: it gave this reason for not writing, if any. What is not written is sent again.
    fn land(&mut self, trouble: Option<&str>, again: bool) -> Vec<Event> {
        self.flying = None;
        if let Some(error) = trouble {
            if self.trouble.is_none() {
                tracing::error!("the ledger cannot be written, nothing is promoted until it can: {error}");
            }
            self.retry_at = Some(Instant::now() + RETRY);
        } else {
            if self.trouble.is_some() {
                tracing::info!("the ledger can be written again");
            }
            self.retry_at = None;
        }
        self.trouble = trouble.map(str::to_owned);
        self.is_urgent |= again;
        self.verdicts.land(!again);
        self.minutes.land(!again);
        self.blocks.land(!again);
        self.events.land(!again)
    }
}
