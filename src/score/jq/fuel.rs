//! What a run may take, and the functions by which a metered program pays.

use std::cell::Cell;

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, v};
use jaq_core::{Bind, Cv, DataT, Error, Exn, Lut, Native, ValXs};
use jaq_json::{Num, Val};

use super::value::{self, Stop};

/// Steps of one run. A step is some 20 to 100 ns, so that a run which uses all of them ends within a few tenths of a
/// second even on a slow machine; an answer of 1 MiB that is read through five times stays below.
const STEPS: u64 = 3 << 20;
/// Bytes that one run may build up, on top of its input: 64 MiB.
const ROOM: u64 = 64 << 20;
/// Deepest nesting of a value that a program makes; what it reads has at most 128 levels.
pub(super) const MAX_DEPTH: usize = 256;
/// Bytes that are copied in the time of one step.
const BYTES_PER_STEP: u64 = 256;
/// The least that a list or an object takes, in bytes.
const NODE: u64 = 64;
/// The length that jq may give to an integer, in bits. A product has at most twice as many before it is stopped.
const MAX_BITS: u64 = 1 << 16;

/// Pays for the shallow size of a value: before it is taken apart, after it was put together.
pub(super) const KEEP: &str = "!keep";
/// Pays for a value with all that is in it, and refuses deep ones: before it is compared, sorted or written as text.
pub(super) const WEIGH: &str = "!weigh";
/// `*` without the repetition of strings.
pub(super) const TIMES: &str = "!times";
/// Lets strings and numbers pass.
pub(super) const KEY: &str = "!key";
/// `try` without the text of the error, which would hold the value that it is about.
pub(super) const TRY: &str = "!try";

/// What is left of the fuel of one run.
pub(super) struct Fuel {
    steps: Cell<u64>,
    room: Cell<u64>,
}

impl Default for Fuel {
    fn default() -> Self {
        Self { steps: Cell::new(STEPS), room: Cell::new(ROOM) }
    }
}

/// There is not enough left.
pub(super) struct Spent;

impl Fuel {
    /// A fraction of what a run may take, for tests in builds without optimisation.
    #[cfg(test)]
    pub(super) fn fraction(part: u64) -> Self {
        Self { steps: Cell::new(STEPS / part), room: Cell::new(ROOM / part) }
    }

    fn take(&self, steps: u64, room: u64) -> Result<(), Spent> {
        let left = (self.steps.get().checked_sub(steps), self.room.get().checked_sub(room));
        self.steps.set(left.0.unwrap_or(0));
        self.room.set(left.1.unwrap_or(0));
        if left.0.is_some() && left.1.is_some() { Ok(()) } else { Err(Spent) }
    }

    /// For a value, but not for what is in it.
    fn keep(&self, value: &Val) -> Result<(), Spent> {
        match value {
            Val::Num(Num::BigInt(number)) if number.bits() > MAX_BITS => Err(Spent),
            Val::Null | Val::Bool(_) | Val::Num(_) => self.take(1, 0),
            Val::TStr(text) | Val::BStr(text) => {
                let bytes = text.len() as u64;
                self.take(1 + bytes / BYTES_PER_STEP, bytes)
            }
            Val::Arr(items) => self.take(1 + items.len() as u64, size_of::<Val>() as u64 * items.len() as u64),
            // A key, a value, and a hash, once more for the table.
            Val::Obj(fields) => self.take(1 + fields.len() as u64, 3 * size_of::<Val>() as u64 * fields.len() as u64),
        }
    }

    /// For a value and all that is in it. A value that is in it twice is paid for twice: it would be written, compared
    /// and dropped so too.
    pub(super) fn weigh(&self, value: &Val, depth: usize) -> Result<(), Spent> {
        if depth > MAX_DEPTH {
            return Err(Spent);
        }
        match value {
            Val::Null | Val::Bool(_) | Val::Num(_) | Val::TStr(_) | Val::BStr(_) => self.keep(value),
            Val::Arr(items) => {
                self.take(1, NODE)?;
                items.iter().try_for_each(|item| self.weigh(item, depth + 1))
            }
            Val::Obj(fields) => {
                self.take(1, NODE)?;
                let weigh = |(key, value)| self.weigh(key, depth + 1).and_then(|()| self.weigh(value, depth + 1));
                fields.iter().try_for_each(weigh)
            }
        }
    }
}

/// Values of `jaq_json`, and beside them the fuel.
pub(super) struct Metered;

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Tank<'a>;
}

/// What functions see of the run that they are part of.
#[derive(Clone, Copy)]
pub(super) struct Tank<'a> {
    pub(super) lut: &'a Lut<Metered>,
    pub(super) fuel: &'a Fuel,
}

impl<'a> jaq_core::data::HasLut<'a, Metered> for Tank<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.lut
    }
}

/// An exception that no jq can catch.
fn halt<'a>(_: Spent) -> Exn<'a, Val> {
    Exn::halt(0)
}

/// A function that gives back what it is given, as a path too, once `$pay` agrees.
macro_rules! identity {
    ($pay:expr) => {
        Native::<Metered>::new(|cv: Cv<'_, Metered>| {
            let paid = $pay(cv.0.data().fuel, &cv.1);
            box_once(paid.map(|()| cv.1).map_err(halt))
        })
        .with_paths(|cv| {
            let paid = $pay(cv.0.data().fuel, &cv.1.0);
            box_once(paid.map(|()| cv.1).map_err(halt))
        })
        .with_update(|cv, update| match $pay(cv.0.data().fuel, &cv.1) {
            Ok(()) => update(cv.1),
            Err(spent) => box_once(Err(halt(spent))),
        })
    };
}

/// The functions of the profile that are not jaq's.
pub(super) const OURS: [&str; 4] = ["tonumber", "fromjson", "join", "contains"];

/// The functions that the meter calls, and ours.
pub(super) fn functions() -> [Fun<Metered>; 9] {
    let closure = || Box::from([Bind::Fun(())]);
    [
        (KEEP, v(0), identity!(|fuel: &Fuel, value: &Val| fuel.keep(value))),
        (WEIGH, v(0), identity!(|fuel: &Fuel, value: &Val| fuel.weigh(value, 0))),
        (TIMES, v(2), Native::<Metered>::new(times)),
        (
            TRY,
            closure(),
            Native::<Metered>::new(try_run).with_paths(|mut cv| {
                let (filter, ctx) = cv.0.pop_fun();
                until_error(filter.paths((ctx, cv.1)))
            }),
        ),
        (KEY, v(0), Native::<Metered>::new(|cv| one(key(cv.1)))),
        ("join", v(1), Native::<Metered>::new(join)),
        ("contains", v(1), Native::<Metered>::new(contains)),
        ("tonumber", v(0), Native::<Metered>::new(|cv| one(value::to_number(cv.1)))),
        ("fromjson", v(0), Native::<Metered>::new(|cv| one(value::from_text(&cv.1)))),
    ]
}

fn one<'a>(value: Result<Val, Error<Val>>) -> ValXs<'a, Val> {
    box_once(value.map_err(Exn::from))
}

/// Numbers and objects; a string times a number may be any size, and is an error.
fn times(mut cv: Cv<'_, Metered>) -> ValXs<'_, Val> {
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    one(match (&left, &right) {
        (Val::Num(_), Val::Num(_)) | (Val::Obj(_), Val::Obj(_)) => left * right,
        _ => Err(Error::math(left, jaq_core::ops::Math::Mul, right)),
    })
}

fn key(value: Val) -> Result<Val, Error<Val>> {
    match value {
        Val::TStr(_) | Val::Num(_) => Ok(value),
        other => Err(Error::typ(other, "key")),
    }
}

/// jq's `join`; jaq's own makes a copy of the separator for each item before anybody could count.
fn join(mut cv: Cv<'_, Metered>) -> ValXs<'_, Val> {
    let separator = cv.0.pop_var();
    let joined = value::join(&cv.1, &separator, |bytes| cv.0.data().fuel.take(1, bytes as u64));
    box_once(joined.map_err(|stop| match stop {
        Stop::Failed(error) => Exn::from(error),
        Stop::Refused(spent) => halt(spent),
    }))
}

/// jq's `contains`; in lists everything is compared with everything.
fn contains(mut cv: Cv<'_, Metered>) -> ValXs<'_, Val> {
    let part = cv.0.pop_var();
    let found = value::contains(&cv.1, &part, &mut || cv.0.data().fuel.take(1, 0));
    box_once(found.map(Val::from).map_err(halt))
}

fn try_run(mut cv: Cv<'_, Metered>) -> ValXs<'_, Val> {
    let (filter, ctx) = cv.0.pop_fun();
    until_error(filter.run((ctx, cv.1)))
}

/// What comes before the first error; the meter's halt is none, and passes.
fn until_error<'a, T: 'a>(outputs: ValXs<'a, T, Val>) -> ValXs<'a, T, Val> {
    Box::new(outputs.map_while(|output| match output {
        Ok(output) => Some(Ok(output)),
        Err(exception) => exception.get_err().err().map(Err),
    }))
}
