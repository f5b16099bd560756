//! The workers' end: choosing what to study, keeping its bodies within bounds, and handing it over without waiting.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::exchange::Exchange;
use super::pace::Pace;
use crate::cap::Cap;
use crate::outcome::Cause;
use crate::unstudied::Unstudied;

/// Exchanges that wait for the study.
pub(super) const WAITING: usize = 256;
/// Share of `shadow_memory` that bodies on their way to the study may take, as a divisor: shadows go first.
const PART_OF_MEMORY: usize = 4;
/// Samples of one cause on one route: one a second, this many at once.
const SAMPLES_AT_ONCE: u32 = 4;

/// Where workers hand over what is worth a look. Clones share everything.
#[derive(Clone)]
pub struct Feed {
    exchanges: SyncSender<Box<Exchange>>,
    shared: Arc<Shared>,
}

/// What all ends share.
pub(super) struct Shared {
    origin: Instant,
    /// What was noted of the configuration's routes, while a worker serves them.
    meters: Mutex<BTreeMap<(String, String), Weak<Meter>>>,
    memory: Arc<Cap>,
    /// The study rests, since it has used up its share of a core.
    pub(super) is_resting: AtomicBool,
    /// Nothing more is to be begun.
    pub(super) is_ending: AtomicBool,
}

/// How often exchanges of one route are studied, all workers together.
pub struct Meter {
    origin: Instant,
    pairs: Pace,
    noise: Pace,
    causes: [Pace; Cause::ALL.len()],
}

impl Feed {
    pub(super) fn new(exchanges: SyncSender<Box<Exchange>>, shadow_memory: usize) -> Self {
        let shared = Shared {
            origin: Instant::now(),
            meters: Mutex::default(),
            memory: Arc::new(Cap::new(shadow_memory / PART_OF_MEMORY)),
            is_resting: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        };
        Self { exchanges, shared: Arc::new(shared) }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Applies a changed `shadow_memory`, in bytes.
    pub fn set_memory(&self, shadow_memory: usize) {
        self.shared.memory.set_most(shadow_memory / PART_OF_MEMORY);
    }

    /// The meter of a route.
    pub fn meter(&self, dependency: &str, route: &str) -> Arc<Meter> {
        // Each step leaves the map whole.
        let mut meters = self.shared.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (dependency.to_owned(), route.to_owned());
        if let Some(meter) = meters.get(&id).and_then(Weak::upgrade) {
            return meter;
        }
        meters.retain(|_, meter| meter.strong_count() > 0);
        let (pairs, noise, causes) = (Pace::default(), Pace::default(), Default::default());
        let meter = Arc::new(Meter { origin: self.shared.origin, pairs, noise, causes });
        meters.insert(id, Arc::downgrade(&meter));
        meter
    }

    /// Keeps content that goes on being used elsewhere, if there is room both in `shadow_memory` and in the study's part of it.
    /// Pieces are shared, not copied.
    pub fn keep(&self, pieces: &[Bytes], shadow_memory: &Arc<Cap>) -> Option<Kept> {
        let size = pieces.iter().map(Bytes::len).sum();
        let mut kept = Kept { pieces: Vec::new(), size, memory: [None, None] };
        for (cap, mine) in [&self.shared.memory, shadow_memory].into_iter().zip(0..) {
            if !cap.try_take(size) {
                return None;
            }
            kept.memory[mine] = Some(Arc::clone(cap));
        }
        kept.pieces = pieces.to_vec();
        Some(kept)
    }

    /// Hands over an exchange. Never waits.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn offer(&self, exchange: Box<Exchange>) -> Result<(), Unstudied> {
        self.exchanges.try_send(exchange).map_err(|error| match error {
            TrySendError::Disconnected(_) => Unstudied::Shutdown,
            TrySendError::Full(_) if self.shared.is_resting.load(Ordering::Relaxed) => Unstudied::Budget,
            TrySendError::Full(_) => Unstudied::Queue,
        })
    }
}

impl Meter {
    /// Whether a pair that begins now is to be compared: up to `rate` each second.
    pub fn takes_pair(&self, now: Instant, rate: u32) -> bool {
        self.takes(&self.pairs, now, rate)
    }

    /// Whether V1 is to be called twice: no oftener than pairs are compared.
    pub fn takes_noise(&self, now: Instant, rate: u32) -> bool {
        self.takes(&self.noise, now, rate)
    }

    fn takes(&self, pace: &Pace, now: Instant, rate: u32) -> bool {
        let interval = Duration::from_secs(1).checked_div(rate);
        interval.is_some_and(|interval| pace.take(self.since(now), interval, rate))
    }

    /// Whether a fallback of V2 is to be sampled: each cause gets its share, however rare it is.
    pub fn takes_sample(&self, now: Instant, cause: Cause) -> bool {
        self.causes[cause as usize].take(self.since(now), Duration::from_secs(1), SAMPLES_AT_ONCE)
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin)
    }
}

/// Content that is kept until it was studied. Counted until dropped.
pub struct Kept {
    pieces: Vec<Bytes>,
    size: usize,
    memory: [Option<Arc<Cap>>; 2],
}

impl Kept {
    /// As it was sent.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for cap in self.memory.iter().flatten() {
            cap.give(self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn feed(memory: usize) -> Feed {
        Feed::new(sync_channel(1).0, memory)
    }

    #[test]
    fn bodies_take_their_room_twice_and_give_it_back() {
        let (feed, shadows) = (feed(400), Arc::new(Cap::new(400)));
        let pieces = [Bytes::from_static(&[0; 60])];
        let kept = feed.keep(&pieces, &shadows).expect("there is room");
        assert_eq!((kept.pieces(), shadows.used()), (&pieces[..], 60));
        assert!(feed.keep(&pieces, &shadows).is_none(), "a quarter of all is the study's");
        assert_eq!(shadows.used(), 60);
        drop(kept);
        assert_eq!((shadows.used(), feed.shared.memory.used()), (0, 0));
        assert!(feed.keep(&pieces, &Arc::new(Cap::new(50))).is_none());
        assert_eq!(feed.shared.memory.used(), 0);
    }

    #[test]
    fn rare_causes_get_their_share() {
        let meter = feed(0).meter("a", "list");
        let now = Instant::now();
        let often = (0..1000).filter(|_| meter.takes_sample(now, Cause::Timeout)).count();
        assert_eq!(often, SAMPLES_AT_ONCE as usize);
        assert!(meter.takes_sample(now, Cause::Auth));
        assert!(!meter.takes_pair(now, 0));
        assert_eq!((0..1000).filter(|_| meter.takes_pair(now, 10)).count(), 10);
    }

    #[test]
    fn workers_share_the_meter_of_a_route() {
        let feed = feed(0);
        let meter = feed.meter("a", "list");
        assert!(Arc::ptr_eq(&meter, &feed.meter("a", "list")));
        drop(meter);
        feed.meter("a", "other");
        assert_eq!(feed.shared.meters.lock().expect("nobody panicked").len(), 1, "what nobody uses is forgotten");
    }
}
