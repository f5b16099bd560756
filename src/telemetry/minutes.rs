//! What one route counted in one minute, small enough to be kept for more than a year.
//!
//! A record is the minute within its hour, the number of cells that are not zero, and for each its place and its count, both
//! as variable-length integers (LEB128). Records of the same minute add up: a process that was restarted within a minute wrote
//! the first part of it, its successor the rest.

use super::labels::ServedBy;
use super::tally::Tally;
use crate::backend::{Backend, Role};
use crate::hit_rate::Tallied;
use crate::outcome::{Cause, Outcome};

/// Rich, fallbacks by cause, excluded.
const OUTCOMES: usize = 1 + Cause::ALL.len() + 1;
const EXCLUDED: usize = OUTCOMES - 1;
const PAIRS: usize = 2 * OUTCOMES;
const SERVED: usize = PAIRS + 4;
const CALLS: usize = SERVED + 2;
const PRIMARIES: usize = CALLS + 2 * Role::ALL.len();
const RESCUED: usize = PRIMARIES + 2;
const CELLS: usize = RESCUED + 1;

/// The counts of one minute of one route, or sums of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minute([u64; CELLS]);

impl Default for Minute {
    fn default() -> Self {
        Self([0; CELLS])
    }
}

impl Minute {
    /// Adds what a worker reported.
    pub fn count(&mut self, tally: &Tally) {
        let mut calls = [[0; Role::ALL.len()]; 2];
        for (backend, role, outcome, count) in tally.outcomes() {
            self.0[backend as usize * OUTCOMES + cell(outcome)] += count;
            calls[backend as usize][role as usize] += count;
        }
        for (backend, role, times) in tally.durations() {
            // A call may end without an outcome, or, in another report, before it has one: none may be missed.
            let call = &mut calls[backend as usize][role as usize];
            *call = times.count().max(*call);
        }
        for (backend, role) in backends_and_roles() {
            self.0[calls_cell(backend, role)] += calls[backend as usize][role as usize];
        }
        for (at, (_, _, count)) in tally.pairs().enumerate() {
            self.0[PAIRS + at] += count;
        }
        let [rich, fallback, _] = tally.served_outcomes();
        self.0[SERVED] += rich;
        self.0[SERVED + 1] += fallback;
        for (by, _, count) in tally.requests() {
            if let ServedBy::Backend(backend) = by {
                self.0[PRIMARIES + backend as usize] += count;
            }
        }
        self.0[RESCUED] += tally.rescues().map(|(_, count)| count).sum::<u64>();
    }

    /// Adds another minute.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// A backend's scored answers, in whatever role.
    pub fn outcomes(&self, backend: Backend) -> Tallied {
        let at = backend as usize * OUTCOMES;
        Tallied { rich: self.0[at], fallback: self.0[at + 1..at + EXCLUDED].iter().sum() }
    }

    /// A backend's fallbacks by cause, those that were counted.
    pub fn fallbacks(&self, backend: Backend) -> impl Iterator<Item = (Cause, u64)> {
        let at = backend as usize * OUTCOMES + 1;
        let counts = Cause::ALL.into_iter().zip(self.0[at..at + Cause::ALL.len()].iter().copied());
        counts.filter(|(_, count)| *count > 0)
    }

    /// A backend's answers that were in no hit rate.
    pub fn excluded(&self, backend: Backend) -> u64 {
        self.0[backend as usize * OUTCOMES + EXCLUDED]
    }

    /// Pairs by V1's and V2's outcome: rich/rich, rich/fallback, fallback/rich, fallback/fallback.
    pub fn pairs(&self) -> [u64; 4] {
        std::array::from_fn(|at| self.0[PAIRS + at])
    }

    /// Scored answers that consumers got.
    pub fn served(&self) -> Tallied {
        Tallied { rich: self.0[SERVED], fallback: self.0[SERVED + 1] }
    }

    /// How often a backend was called in a role.
    pub fn calls(&self, backend: Backend, role: Role) -> u64 {
        self.0[calls_cell(backend, role)]
    }

    /// Requests whose answer came from a backend.
    pub fn answered(&self, backend: Backend) -> u64 {
        self.0[PRIMARIES + backend as usize]
    }

    /// Consumers that got V1's answer because V2's was a fallback.
    pub fn rescued(&self) -> u64 {
        self.0[RESCUED]
    }

    /// For the ledger; `minute` is that of the hour.
    pub fn encode(&self, minute: u8) -> Vec<u8> {
        let cells: Vec<_> = self.0.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        let mut record = vec![minute, cells.len() as u8];
        for (at, count) in cells {
            record.push(at as u8);
            let mut left = *count;
            while left >= 0x80 {
                record.push(left as u8 | 0x80);
                left >>= 7;
            }
            record.push(left as u8);
        }
        record
    }

    /// The minutes in the records of one hour, each with its number within the hour; what makes no sense ends them.
    pub fn decode(records: &[u8]) -> impl Iterator<Item = (u8, Self)> {
        let mut rest = records;
        std::iter::from_fn(move || {
            let (minute, counts, left) = one(rest)?;
            rest = left;
            Some((minute, counts))
        })
    }
}

fn one(record: &[u8]) -> Option<(u8, Minute, &[u8])> {
    let (&[minute, cells], mut rest) = record.split_first_chunk::<2>()?;
    let mut counts = Minute::default();
    for _ in 0..cells {
        let (&at, left) = rest.split_first()?;
        let (count, left) = integer(left)?;
        // A cell of a later version is passed over.
        if let Some(cell) = counts.0.get_mut(usize::from(at)) {
            *cell = count;
        }
        rest = left;
    }
    (minute < 60).then_some((minute, counts, rest))
}

fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

const fn cell(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Rich => 0,
        Outcome::Fallback(cause) => 1 + cause as usize,
        Outcome::Excluded(_) => EXCLUDED,
    }
}

const fn calls_cell(backend: Backend, role: Role) -> usize {
    CALLS + backend as usize * Role::ALL.len() + role as usize
}

fn backends_and_roles() -> impl Iterator<Item = (Backend, Role)> {
    Backend::ALL.into_iter().flat_map(|backend| Role::ALL.into_iter().map(move |role| (backend, role)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minute(cells: &[(usize, u64)]) -> Minute {
        let mut minute = Minute::default();
        for (at, count) in cells {
            minute.0[at % CELLS] = *count;
        }
        minute
    }

    #[test]
    fn counts_what_a_worker_reported() {
        let mut tally = Tally::default();
        tally.outcome(Backend::V2, Role::Shadow, Outcome::Fallback(Cause::Timeout));
        tally.outcome(Backend::V1, Role::Primary, Outcome::Rich);
        tally.outcome(Backend::V1, Role::Primary, Outcome::Excluded(Cause::Aborted));
        tally.duration(Backend::V1, Role::Shadow, std::time::Duration::from_millis(1));
        tally.pair(true, false);
        tally.served(Outcome::Rich);
        let mut minute = Minute::default();
        minute.count(&tally);
        assert_eq!(minute.outcomes(Backend::V2), Tallied { rich: 0, fallback: 1 });
        assert_eq!(minute.outcomes(Backend::V1), Tallied { rich: 1, fallback: 0 });
        assert_eq!(minute.fallbacks(Backend::V2).collect::<Vec<_>>(), [(Cause::Timeout, 1)]);
        assert_eq!(minute.excluded(Backend::V1), 1);
        assert_eq!(minute.pairs(), [0, 1, 0, 0]);
        assert_eq!(minute.served(), Tallied { rich: 1, fallback: 0 });
        assert_eq!(minute.calls(Backend::V1, Role::Primary), 2);
        assert_eq!(minute.calls(Backend::V1, Role::Shadow), 1, "a call without an outcome is a call");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            hour in prop::collection::vec((0u8..60, prop::collection::vec((0usize..CELLS, any::<u64>()), 0..9)), 0..20),
        ) {
            let records: Vec<u8> = hour.iter().flat_map(|(at, cells)| minute(cells).encode(*at)).collect();
            let read: Vec<_> = Minute::decode(&records).collect();
            let written: Vec<_> = hour.iter().map(|(at, cells)| (*at, minute(cells))).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn what_makes_no_sense_is_no_reason_to_panic(records in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Minute::decode(&records).count();
        }
    }
}
