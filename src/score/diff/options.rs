//! How a route's answers are compared.

use jiff::civil::Date;
use serde::Serialize;

use super::Pattern;
use crate::score::Pointer;

/// How the answers of one route are compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Arrays whose elements have an identity. All others are compared by position, once equal elements, and objects that
    /// share a member which is unique among them, have found each other.
    pub ids: Vec<Identity>,
    /// How far apart two numbers may be. Default: not at all.
    pub tolerance: Tolerance,
    /// Differences that are known and accepted, for a time.
    pub ignore: Vec<Ignore>,
    /// Places whose labels may be kept and printed by suggestions, as V1's path. Default: none, no value is kept.
    pub reveal: Vec<Pattern>,
}

/// Elements of the array `at` are the same thing where their value at `id` is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The array.
    pub at: Pattern,
    /// The place of the identity inside of each element.
    pub id: Pointer,
}

/// Two numbers count as equal when they differ by at most the greater one of both bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tolerance {
    /// A share of the larger number, e.g. 0.001. Zero: none.
    pub relative: f64,
    /// In the number's own unit. Zero: none.
    pub absolute: f64,
}

/// A difference that is not counted at a place and below it, until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignore {
    /// The place.
    #[serde(serialize_with = "as_text")]
    pub path: Pattern,
    /// The last day on which the rule holds, in UTC; from the next day on the difference counts again and the rule is
    /// reported as expired.
    pub until: Date,
    /// Why, in the words of whoever wrote it.
    pub reason: String,
}

impl Ignore {
    /// Whether the rule is in force on a day.
    pub fn holds(&self, today: Date) -> bool {
        today <= self.until
    }
}

fn as_text<S: serde::Serializer>(pattern: &Pattern, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(pattern)
}
