//! What a gate is told: counts, which add up over workers, replicas and time.

use serde::{Deserialize, Serialize};

/// Increments for requests of one route that started in the same tick.
///
/// A request appears as `started` when it is sent to V2, and once more when its outcome is known: as
/// `rich` or `fallback`, or as `withdrawn` when it will have none. An outcome without a start is its own
/// start. Pairs may follow later than V2's outcome. Everything after the deadline is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sent to V2.
    pub started: u32,
    /// V2 answered rich.
    pub rich: u32,
    /// V2 answered with a fallback, or not at all.
    pub fallback: u32,
    /// Sent to V2, but never to be scored: excluded, aborted by the consumer, too large.
    pub withdrawn: u32,
    /// V1 answered rich, with or without a partner.
    pub v1_rich: u32,
    /// V1 answered with a fallback, with or without a partner.
    pub v1_fallback: u32,
    /// Pairs where V2 was rich and V1 was not (n01).
    pub v2_better: u32,
    /// Pairs with the same outcome (nc).
    pub concordant: u32,
    /// Pairs where V1 was rich and V2 was not (n10).
    pub v2_worse: u32,
    /// Eligible, but not sent or dropped by our own limits.
    pub shed: u32,
}

impl Counts {
    /// V2's known outcomes.
    pub(super) fn scored(&self) -> u64 {
        u64::from(self.rich) + u64::from(self.fallback)
    }

    /// Sent, and still without an outcome.
    pub(super) fn pending(&self) -> u64 {
        u64::from(self.started).saturating_sub(self.scored() + u64::from(self.withdrawn))
    }

    /// Pairs with both outcomes known.
    pub(super) fn pairs(&self) -> u64 {
        u64::from(self.v2_better) + u64::from(self.concordant) + u64::from(self.v2_worse)
    }

    /// Nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The increments that concern V2's own outcomes.
    pub(super) fn of_v2(&self) -> Self {
        Self {
            started: self.started,
            rich: self.rich,
            fallback: self.fallback,
            withdrawn: self.withdrawn,
            ..Self::default()
        }
    }

    /// The increments that concern V1 and the comparison with it.
    pub(super) fn of_v1(&self) -> Self {
        Self { started: 0, rich: 0, fallback: 0, withdrawn: 0, ..*self }
    }

    /// Adds; a count that would pass `u32::MAX` stays there (four billion in one tick).
    pub fn add(&mut self, more: &Self) {
        for (mine, more) in self.cells().into_iter().zip(more.values()) {
            *mine = mine.saturating_add(more);
        }
    }

    /// The sum; `None` where a count would pass `u32::MAX`.
    pub(super) fn plus(mut self, more: &Self) -> Option<Self> {
        let mut overflows = false;
        for (mine, more) in self.cells().into_iter().zip(more.values()) {
            let (sum, overflow) = mine.overflowing_add(more);
            *mine = sum;
            overflows |= overflow;
        }
        (!overflows).then_some(self)
    }

    /// In units of 2^`shift` requests.
    pub(super) fn shifted(mut self, shift: u32) -> Self {
        if shift > 0 {
            self.cells().into_iter().for_each(|cell| *cell = cell.checked_shr(shift).unwrap_or(0));
        }
        self
    }

    /// The same shares of half as many requests. What is not pending does not become it by rounding.
    pub(super) fn halved(&self) -> Self {
        let half = self.shifted(1);
        let pending = (self.pending() / 2) as u32;
        let is_whole = u64::from(self.started) >= self.scored() + u64::from(self.withdrawn);
        let started = if is_whole { half.rich + half.fallback + half.withdrawn + pending } else { half.started };
        Self { started, ..half }
    }

    const fn cells(&mut self) -> [&mut u32; 10] {
        [
            &mut self.started,
            &mut self.rich,
            &mut self.fallback,
            &mut self.withdrawn,
            &mut self.v1_rich,
            &mut self.v1_fallback,
            &mut self.v2_better,
            &mut self.concordant,
            &mut self.v2_worse,
            &mut self.shed,
        ]
    }

    const fn values(&self) -> [u32; 10] {
        let Self { started, rich, fallback, withdrawn, v1_rich, v1_fallback, v2_better, concordant, v2_worse, shed } =
            *self;
        [started, rich, fallback, withdrawn, v1_rich, v1_fallback, v2_better, concordant, v2_worse, shed]
    }
}

/// Sums of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// V2 answered rich.
    pub rich: u64,
    /// V2 answered with a fallback, or not within the deadline.
    pub fallback: u64,
    /// V1 answered rich.
    pub v1_rich: u64,
    /// V1 answered with a fallback.
    pub v1_fallback: u64,
    /// Pairs where V2 was rich and V1 was not.
    pub v2_better: u64,
    /// Pairs with the same outcome.
    pub concordant: u64,
    /// Pairs where V1 was rich and V2 was not.
    pub v2_worse: u64,
    /// Eligible, but not sent or dropped by our own limits.
    pub shed: u64,
}

impl Sums {
    /// V2's scored requests.
    pub fn samples(&self) -> u64 {
        self.rich + self.fallback
    }

    /// Requests with both outcomes known.
    pub fn pairs(&self) -> u64 {
        self.v2_better + self.concordant + self.v2_worse
    }

    /// V1's scored requests.
    pub fn v1_samples(&self) -> u64 {
        self.v1_rich + self.v1_fallback
    }

    pub(super) fn count(&mut self, more: &Counts) {
        self.rich += u64::from(more.rich);
        self.fallback += u64::from(more.fallback);
        self.v1_rich += u64::from(more.v1_rich);
        self.v1_fallback += u64::from(more.v1_fallback);
        self.v2_better += u64::from(more.v2_better);
        self.concordant += u64::from(more.concordant);
        self.v2_worse += u64::from(more.v2_worse);
        self.shed += u64::from(more.shed);
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.rich += more.rich;
        self.fallback += more.fallback;
        self.v1_rich += more.v1_rich;
        self.v1_fallback += more.v1_fallback;
        self.v2_better += more.v2_better;
        self.concordant += more.concordant;
        self.v2_worse += more.v2_worse;
        self.shed += more.shed;
    }
}
