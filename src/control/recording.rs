//! Everything that the judges are told, in the order in which they are told it: enough to have them say the same again.
//!
//! A record is one byte for its kind, and numbers as variable-length integers (LEB128), or JSON with its length. What a tick
//! brought is a handful of bytes for each route with news. Nothing of a request is in here: counts, by route and start.

use serde::{Deserialize, Serialize};

use super::migration::SavedMigration;
use crate::config::Dependency;
use crate::console::Verb;
use crate::gate::Counts;
use crate::hit_rate::Tallied;
use crate::outcome::Cause;

/// The counts of requests of one route that started in the same tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) dependency: usize,
    pub(super) route: usize,
    pub(super) start: u64,
    pub(super) counts: Counts,
}

/// When something happens: the tick, and the second of the calendar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Now {
    pub(super) tick: u64,
    pub(super) unix_s: i64,
}

/// The rollout file in force, and what the judges need to know of the dependencies.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) now: Now,
    pub(super) rollout: String,
    pub(super) dependencies: Vec<Judged>,
    /// At the beginning of a file: what is gone on with, by name.
    pub(super) saved: std::collections::BTreeMap<String, SavedMigration>,
    /// The file goes on where the one before it ends.
    pub(super) continues: bool,
}

/// A dependency, as far as it is judged. Addresses, headers and rules are not in here; only that they changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Judged {
    pub(super) name: String,
    pub(super) routes: Vec<String>,
    pub(super) has_v1: bool,
    pub(super) timeout_ms: u64,
    /// Another one when anything else about it changed.
    pub(super) generation: u64,
}

impl Judged {
    pub(super) fn new(dependency: &Dependency, generation: u64) -> Self {
        Self {
            name: dependency.name.clone(),
            routes: dependency.routes.iter().map(|route| route.name.clone()).collect(),
            has_v1: dependency.v1.is_some(),
            timeout_ms: dependency.v2.timeout.as_millis() as u64,
            generation,
        }
    }
}

/// One record.
#[derive(Debug)]
pub(super) enum Record {
    /// The beginning of a file.
    Begin(Config),
    /// The files were changed.
    Edit(Config),
    /// Why V2 gave so many fallbacks on a route, as was reported before the tick that follows: dependency, route, cause, count.
    Blame(usize, usize, Cause, u32),
    /// A tick, before it is judged; whether a step up could have been recorded.
    Tick(Now, bool, Vec<Seen>),
    /// A person's verb for a dependency.
    Order(Now, usize, Verb),
    /// A step up of a dependency is recorded, and in force.
    Risen(Now, usize),
    /// A step up of a dependency could not be recorded.
    Fell(usize),
    /// The evidence of a dependency begins anew, after a drill.
    Forgotten(Now, usize),
    /// Mirroring began: against which counts a dependency's V1 is watched.
    Watched(Now, usize, Tallied),
    /// What a dependency's judge said: a change, as JSON.
    Verdict(usize, String),
}

const BEGIN: u8 = 1;
const EDIT: u8 = 2;
const TICK: u8 = 3;
const HELD_TICK: u8 = 4;
const ORDER: u8 = 5;
const RISEN: u8 = 6;
const FELL: u8 = 7;
const VERDICT: u8 = 8;
const FORGOTTEN: u8 = 9;
const BLAME: u8 = 10;
const WATCHED: u8 = 11;

/// Appends a record; `last` is the time of the last tick.
pub(super) fn write(record: &Record, last: &mut Now, to: &mut Vec<u8>) {
    match record {
        Record::Begin(config) => json(BEGIN, config, to),
        Record::Edit(config) => json(EDIT, config, to),
        Record::Tick(now, may_rise, seen) => {
            to.push(if *may_rise { TICK } else { HELD_TICK });
            time(*now, last, to);
            number(seen.len() as u64, to);
            for seen in seen {
                counts(seen, now.tick, to);
            }
        }
        Record::Blame(dependency, route, cause, fallbacks) => {
            to.push(BLAME);
            number(*dependency as u64, to);
            number(*route as u64, to);
            to.push(*cause as u8);
            number((*fallbacks).into(), to);
        }
        Record::Order(now, dependency, verb) => {
            to.push(ORDER);
            time(*now, last, to);
            number(*dependency as u64, to);
            to.push(*verb as u8);
        }
        Record::Risen(now, dependency) | Record::Forgotten(now, dependency) => {
            to.push(if matches!(record, Record::Risen(..)) { RISEN } else { FORGOTTEN });
            time(*now, last, to);
            number(*dependency as u64, to);
        }
        Record::Watched(now, dependency, Tallied { rich, fallback }) => {
            to.push(WATCHED);
            time(*now, last, to);
            for count in [*dependency as u64, *rich, *fallback] {
                number(count, to);
            }
        }
        Record::Fell(dependency) => {
            to.push(FELL);
            number(*dependency as u64, to);
        }
        Record::Verdict(dependency, verdict) => {
            to.push(VERDICT);
            number(*dependency as u64, to);
            text(verdict.as_bytes(), to);
        }
    }
}

fn json(kind: u8, value: &impl Serialize, to: &mut Vec<u8>) {
    to.push(kind);
    text(&serde_json::to_vec(value).expect("plain data can always be written as JSON"), to);
}

fn text(bytes: &[u8], to: &mut Vec<u8>) {
    number(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// Time as it passed since the last one; clocks may jump either way.
fn time(now: Now, last: &mut Now, to: &mut Vec<u8>) {
    signed(now.tick.wrapping_sub(last.tick).cast_signed(), to);
    signed(now.unix_s.wrapping_sub(last.unix_s), to);
    *last = now;
}

fn counts(seen: &Seen, now: u64, to: &mut Vec<u8>) {
    number(seen.dependency as u64, to);
    number(seen.route as u64, to);
    signed(now.wrapping_sub(seen.start).cast_signed(), to);
    let counts = cells(&seen.counts);
    let mask = counts.iter().enumerate().fold(0, |mask, (at, count)| mask | u64::from(*count > 0) << at);
    number(mask, to);
    counts.into_iter().filter(|count| *count > 0).for_each(|count| number(count.into(), to));
}

const fn cells(counts: &Counts) -> [u32; 10] {
    [
        counts.started,
        counts.rich,
        counts.fallback,
        counts.withdrawn,
        counts.v1_rich,
        counts.v1_fallback,
        counts.v2_better,
        counts.concordant,
        counts.v2_worse,
        counts.shed,
    ]
}

fn number(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Small numbers of either sign are short.
fn signed(value: i64, to: &mut Vec<u8>) {
    number(((value << 1) ^ (value >> 63)).cast_unsigned(), to);
}

/// Reads records back; `None` at the end, and where they make no sense.
pub(super) struct Records<'a> {
    rest: &'a [u8],
    last: &'a mut Now,
}

impl<'a> Records<'a> {
    /// `last` as it was when the first of them was written.
    pub(super) const fn new(bytes: &'a [u8], last: &'a mut Now) -> Self {
        Self { rest: bytes, last }
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn index(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.index()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    fn time(&mut self) -> Option<Now> {
        let (ticks, seconds) = (self.signed()?, self.signed()?);
        self.last.tick = self.last.tick.wrapping_add(ticks.cast_unsigned());
        self.last.unix_s = self.last.unix_s.wrapping_add(seconds);
        Some(*self.last)
    }

    fn config(&mut self) -> Option<Config> {
        serde_json::from_slice(self.text()?).ok()
    }

    fn seen(&mut self, now: u64) -> Option<Seen> {
        let (dependency, route) = (self.index()?, self.index()?);
        let start = now.wrapping_sub(self.signed()?.cast_unsigned());
        let mask = self.number()?;
        let mut counts = [0; 10];
        for (at, count) in counts.iter_mut().enumerate() {
            if mask >> at & 1 == 1 {
                *count = u32::try_from(self.number()?).ok()?;
            }
        }
        let [started, rich, fallback, withdrawn, v1_rich, v1_fallback, v2_better, concordant, v2_worse, shed] = counts;
        let counts =
            Counts { started, rich, fallback, withdrawn, v1_rich, v1_fallback, v2_better, concordant, v2_worse, shed };
        Some(Seen { dependency, route, start, counts })
    }

    fn tick(&mut self, may_rise: bool) -> Option<Record> {
        let now = self.time()?;
        let count = self.index()?;
        // Each is five bytes or more: a length that cannot be is no reason to reserve memory.
        let mut seen = Vec::with_capacity(count.min(self.rest.len() / 5));
        for _ in 0..count {
            seen.push(self.seen(now.tick)?);
        }
        Some(Record::Tick(now, may_rise, seen))
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        Some(match self.byte()? {
            BEGIN => Record::Begin(self.config()?),
            EDIT => Record::Edit(self.config()?),
            TICK => self.tick(true)?,
            HELD_TICK => self.tick(false)?,
            ORDER => {
                let (now, dependency, verb) = (self.time()?, self.index()?, self.byte()?);
                Record::Order(now, dependency, *Verb::ALL.get(usize::from(verb))?)
            }
            RISEN => Record::Risen(self.time()?, self.index()?),
            FORGOTTEN => Record::Forgotten(self.time()?, self.index()?),
            WATCHED => {
                let (now, dependency) = (self.time()?, self.index()?);
                // More than was ever counted makes no sense.
                let mut count = || Some(u64::from(u32::try_from(self.number()?).ok()?));
                Record::Watched(now, dependency, Tallied { rich: count()?, fallback: count()? })
            }
            BLAME => {
                let (dependency, route, cause) = (self.index()?, self.index()?, self.byte()?);
                let cause = *Cause::ALL.get(usize::from(cause))?;
                Record::Blame(dependency, route, cause, u32::try_from(self.number()?).ok()?)
            }
            FELL => Record::Fell(self.index()?),
            VERDICT => Record::Verdict(self.index()?, String::from_utf8(self.text()?.to_vec()).ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            ticks in prop::collection::vec((any::<u64>(), any::<i64>(), any::<bool>(), 0usize..4, any::<[u32; 3]>()), 0..20),
        ) {
            let (mut bytes, mut last, mut written) = (Vec::new(), Now::default(), Vec::new());
            for (tick, unix_s, may_rise, count, [started, rich, shed]) in ticks {
                let counts = Counts { started, rich, shed, ..Counts::default() };
                let seen = Seen { dependency: count, route: 300, start: tick.wrapping_sub(3), counts };
                let record = Record::Tick(Now { tick, unix_s }, may_rise, vec![seen; count]);
                write(&record, &mut last, &mut bytes);
                written.push(format!("{record:?}"));
            }
            let mut last = Now::default();
            let read: Vec<_> = Records::new(&bytes, &mut last).map(|record| format!("{record:?}")).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn what_makes_no_sense_is_no_reason_to_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Records::new(&bytes, &mut Now::default()).count();
        }
    }
}
