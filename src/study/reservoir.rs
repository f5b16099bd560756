//! A few of many: the newest ones, and some drawn at random from all that were newest once.

use std::collections::VecDeque;

use crate::random::Random;

/// How many of each.
pub(super) const EACH: usize = 8;

/// The newest [`EACH`], and [`EACH`] of the older ones, each of which is in here with the same chance (Vitter, "Random sampling
/// with a reservoir", ACM TOMS 1985, algorithm R).
#[derive(Debug)]
pub(super) struct Reservoir<T> {
    newest: VecDeque<T>,
    older: Vec<T>,
    /// How many were ever pushed out of the newest.
    aged: u64,
}

impl<T> Default for Reservoir<T> {
    fn default() -> Self {
        Self { newest: VecDeque::new(), older: Vec::new(), aged: 0 }
    }
}

impl<T> Reservoir<T> {
    /// From what was kept, in the order of [`iter`](Self::iter), and how many were pushed out.
    pub(super) fn restored(kept: Vec<T>, aged: u64) -> Self {
        let mut older = kept;
        let newest = older.split_off(older.len().saturating_sub(EACH));
        older.truncate(EACH);
        Self { aged: aged.max(older.len() as u64), older, newest: newest.into() }
    }

    /// One more; what falls out is handed back.
    pub(super) fn push(&mut self, item: T, random: &Random) -> Option<T> {
        self.newest.push_back(item);
        if self.newest.len() <= EACH {
            return None;
        }
        let aged = self.newest.pop_front()?;
        self.aged += 1;
        if self.older.len() < EACH {
            self.older.push(aged);
            return None;
        }
        let lot = random.next() % self.aged;
        match usize::try_from(lot).ok().and_then(|lot| self.older.get_mut(lot)) {
            Some(place) => Some(std::mem::replace(place, aged)),
            None => Some(aged),
        }
    }

    /// Gives one up, an older one first.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.older.pop().or_else(|| self.newest.pop_front())
    }

    /// How many were ever pushed out of the newest.
    pub(super) const fn aged(&self) -> u64 {
        self.aged
    }

    /// The older ones in no particular order, then the newest, the newest of them last.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.older.iter().chain(&self.newest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.older.is_empty() && self.newest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_an_even_choice_of_the_rest() {
        let random = Random::default();
        let mut sum = 0;
        for _ in 0..400 {
            let mut reservoir = Reservoir::default();
            let fallen = (0..1000).filter_map(|n| reservoir.push(n, &random)).count();
            let kept: Vec<_> = reservoir.iter().copied().collect();
            assert_eq!((kept.len(), fallen), (2 * EACH, 1000 - 2 * EACH));
            assert_eq!(kept[EACH..], [992, 993, 994, 995, 996, 997, 998, 999]);
            sum += kept[..EACH].iter().sum::<u32>();
        }
        let mean = f64::from(sum) / 3200.0;
        // The standard error of the mean of 3200 numbers spread evenly over 0..992 is 5.
        assert!((mean - 495.5).abs() < 30.0, "{mean}");
    }

    #[test]
    fn is_restored_as_it_was() {
        let random = Random::default();
        let mut reservoir = Reservoir::default();
        for n in 0..11 {
            reservoir.push(n, &random);
        }
        let restored = Reservoir::restored(reservoir.iter().copied().collect(), reservoir.aged());
        assert_eq!(restored.iter().collect::<Vec<_>>(), reservoir.iter().collect::<Vec<_>>());
        assert_eq!(restored.newest.len(), EACH);
    }
}
