//! Requests by the tick in which they started, until every outcome of the tick is known.
//!
//! Counted when they end, slow failures are always missing from the newest evidence, and a backend that
//! hangs looks perfect. Counted by their start, a tick is complete once nothing is pending or the deadline
//! has passed, and ticks are handed on strictly in order.

use super::counts::Counts;

/// Longest ring. Deadlines of more ticks share buckets: 27 of them keep a route under 2 KiB.
const MOST_BUCKETS: u32 = 27;

/// A ring of buckets from the oldest incomplete one to the running one.
///
/// V2's outcomes and the pairs become complete independently: `v2_from` runs ahead of `pairs_from`.
/// Buckets are numbered from the beginning of time: tick / width.
#[derive(Debug, Clone)]
pub(super) struct Cohorts {
    /// In units of 2^`shift` requests.
    buckets: Box<[Counts]>,
    /// Not 0 while a bucket has more than four billion requests: they keep their shares.
    shift: u32,
    /// Ticks after which a pending request is a fallback.
    deadline: u32,
    /// Nothing that started before this tick belongs to the epoch.
    epoch: u64,
    /// The running tick.
    now: u64,
    /// First bucket with V2 outcomes not handed on.
    v2_from: u64,
    /// First bucket with pairs not handed on; the oldest one in the ring.
    pairs_from: u64,
    /// First bucket after all that hold anything.
    end: u64,
}

/// V2's outcomes of one bucket, none of them pending any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) bucket: u64,
    pub(super) rich: u64,
    /// With those that were pending at the deadline.
    pub(super) fallback: u64,
    /// How many were pending at the deadline.
    pub(super) expired: u64,
}

impl Cohorts {
    pub(super) fn new(deadline_ticks: u64, now: u64) -> Self {
        // A deadline is at most some days, in tenths of a second.
        let deadline = u32::try_from(deadline_ticks.max(1)).unwrap_or(u32::MAX);
        let len = deadline.div_ceil(width(deadline)) + 2;
        let mut ring = Self {
            buckets: vec![Counts::default(); len as usize].into(),
            shift: 0,
            deadline,
            epoch: 0,
            now: 0,
            v2_from: 0,
            pairs_from: 0,
            end: 0,
        };
        ring.clear(now);
        ring
    }

    /// A new epoch: requests that started before `now` never count.
    pub(super) fn clear(&mut self, now: u64) {
        self.buckets.fill(Counts::default());
        self.shift = 0;
        self.epoch = now;
        self.now = now;
        self.v2_from = now / self.width();
        self.pairs_from = self.v2_from;
        self.end = self.v2_from;
    }

    /// Ticks per bucket.
    pub(super) fn width(&self) -> u64 {
        width(self.deadline).into()
    }

    /// The bucket of the running tick.
    pub(super) fn running(&self) -> u64 {
        self.now / self.width()
    }

    /// Counts requests by their start; returns what counts.
    ///
    /// Too late, or from before the epoch: nothing. For a bucket that was handed on before the deadline:
    /// in the oldest bucket that is left. From the future (clocks differ): in the newest the ring can hold.
    pub(super) fn admit(&mut self, start_tick: u64, counts: &Counts) -> Counts {
        if start_tick < self.epoch || self.is_due(start_tick / self.width()) {
            return Counts::default();
        }
        let newest = self.pairs_from + self.buckets.len() as u64 - 1;
        let bucket = (start_tick / self.width()).min(newest);
        self.put(bucket.max(self.v2_from), &counts.of_v2());
        self.put(bucket.max(self.pairs_from), &counts.of_v1());
        *counts
    }

    fn put(&mut self, bucket: u64, counts: &Counts) {
        if counts.is_empty() {
            return;
        }
        let sum = loop {
            match self.slot(bucket).plus(&counts.shifted(self.shift)) {
                Some(sum) => break sum,
                None => self.shrink(),
            }
        };
        *self.slot(bucket) = sum;
        self.end = self.end.max(bucket + 1);
    }

    /// Makes room for more than a count can hold.
    fn shrink(&mut self) {
        self.shift += 1;
        self.buckets.iter_mut().for_each(|bucket| *bucket = bucket.halved());
    }

    /// A count of a bucket as a number of requests.
    pub(super) fn in_full(&self, count: u64) -> u64 {
        count << self.shift
    }

    fn slot(&mut self, bucket: u64) -> &mut Counts {
        let len = self.buckets.len() as u64;
        &mut self.buckets[(bucket % len) as usize]
    }

    fn at(&self, bucket: u64) -> &Counts {
        &self.buckets[(bucket % self.buckets.len() as u64) as usize]
    }

    /// Time passed in which nothing came, and nothing had to be handed on: an empty ring starts at the running bucket, so
    /// that what comes next finds its place, and all of one request the same one.
    pub(super) fn wake(&mut self, now: u64) {
        self.advance(now);
        self.skip_silence();
    }

    /// Time passes. Call [`Self::next_v2`] and [`Self::next_pairs`] until they are empty afterwards.
    pub(super) fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// The next bucket whose V2 outcomes are final.
    pub(super) fn next_v2(&mut self) -> Option<Finished> {
        while self.v2_from < self.running().min(self.end) {
            let bucket = self.v2_from;
            let counts = *self.at(bucket);
            let [rich, fallback, expired] =
                [counts.rich.into(), counts.fallback.into(), counts.pending()].map(|count| self.in_full(count));
            if expired > 0 && !self.is_due(bucket) {
                return None;
            }
            self.v2_from += 1;
            let fallback = fallback + expired;
            if rich + fallback > 0 {
                return Some(Finished { bucket, rich, fallback, expired });
            }
        }
        None
    }

    /// The next bucket whose pairs are final. Call after [`Self::next_v2`].
    pub(super) fn next_pairs(&mut self) -> Option<(u64, Counts)> {
        while self.pairs_from < self.v2_from {
            let bucket = self.pairs_from;
            let counts = *self.at(bucket);
            if counts.pairs() < counts.scored() && !self.is_due(bucket) {
                return None;
            }
            *self.slot(bucket) = Counts::default();
            self.pairs_from += 1;
            if !counts.of_v1().is_empty() {
                return Some((bucket, counts));
            }
        }
        self.skip_silence();
        None
    }

    /// With nothing left to wait for, the ring starts at the running bucket.
    fn skip_silence(&mut self) {
        if self.pairs_from >= self.end {
            self.pairs_from = self.pairs_from.max(self.running());
            self.v2_from = self.pairs_from;
            self.shift = 0;
        }
    }

    fn is_due(&self, bucket: u64) -> bool {
        self.now >= self.due_at(bucket)
    }

    fn due_at(&self, bucket: u64) -> u64 {
        (bucket + 1) * self.width() + u64::from(self.deadline)
    }

    /// Buckets whose V2 outcomes are not final, oldest first; their counts are not [in full](Self::in_full).
    pub(super) fn unfinished_v2(&self) -> impl Iterator<Item = (u64, &Counts)> {
        (self.v2_from..self.end).map(|bucket| (bucket, self.at(bucket)))
    }

    /// Buckets whose pairs are not final, oldest first.
    pub(super) fn unfinished_pairs(&self) -> impl Iterator<Item = (u64, &Counts)> {
        (self.pairs_from..self.end).map(|bucket| (bucket, self.at(bucket)))
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// The tick at which something becomes final without another word; `u64::MAX`: never.
    pub(super) fn due(&self) -> u64 {
        let running_ends = (self.end > self.running()).then(|| (self.running() + 1) * self.width());
        let v2 = (self.v2_from < self.end).then(|| self.due_at(self.v2_from));
        let pairs = (self.pairs_from < self.end).then(|| self.due_at(self.pairs_from));
        [running_ends, v2, pairs].into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

/// Ticks per bucket with this deadline.
const fn width(deadline: u32) -> u32 {
    deadline.div_ceil(MOST_BUCKETS - 2)
}

#[cfg(test)]
mod tests;
