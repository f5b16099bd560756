//! Relations between two columns that have to be learned: a constant ratio, a table of labels.

use serde_json::Value;

use super::columns::Column;
use super::form::Form;
use super::{Label, Transform};
use crate::score::diff::digest;

/// Most labels of an enumeration.
const MOST_LABELS: usize = 12;
/// Longest label in bytes.
const LONGEST_LABEL: usize = 40;
/// Two numbers are the same when their first digits are, this many after the first: a ratio of doubles is exact to some 15.
const DIGITS: i32 = 8;

/// How V1's column follows from V2's.
#[derive(Debug, Clone)]
pub(super) enum Relation {
    /// Equal in a form.
    Form(Form, Transform),
    /// V1 is V2 times this.
    Ratio(f64),
    /// Each of V2's labels stands for one of V1's.
    Labels(Labels),
}

/// What one pair says about a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    /// Of V1's column.
    pub(super) actual: u64,
    /// Of what V1's column would be, by V2's.
    pub(super) predicted: Option<u64>,
}

impl Relation {
    /// Nothing where this pair cannot speak for or against the relation.
    pub(super) fn say(&mut self, v1: &Column<'_>, v2: Option<&Column<'_>>) -> Option<Said> {
        match self {
            Self::Form(form, _) => {
                Some(Said { actual: v1.digest(*form)?, predicted: v2.and_then(|v2| v2.digest(*form)) })
            }
            Self::Ratio(ratio) => {
                Some(Said { actual: v1.numbers()?, predicted: v2.and_then(|v2| scaled(&v2.values, *ratio)) })
            }
            Self::Labels(labels) => labels.say(v1, v2),
        }
    }
}

/// The ratio of the first two numbers of which neither is zero; never near 1.
pub(super) fn ratio(v1: &Column<'_>, v2: &Column<'_>) -> Option<f64> {
    if v1.values.len() != v2.values.len() {
        return None;
    }
    let mut both = v1.values.iter().zip(&v2.values).map(|(a, b)| (a.as_f64(), b.as_f64()));
    let ratio = both.find_map(|both| match both {
        (Some(a), Some(b)) if a != 0.0 && b != 0.0 => Some(a / b),
        _ => None,
    })?;
    let ratio = rounded(ratio);
    (ratio.is_finite() && ratio != 0.0 && (ratio - 1.0).abs() > 1e-3).then_some(ratio)
}

/// A ratio without the error of its division: 1/100 instead of 0.010000000000000002.
fn rounded(ratio: f64) -> f64 {
    let near = |x: f64| (x - x.round()).abs() < 1e-9 * x.abs() && x.abs() >= 1.0;
    match ratio {
        ratio if near(ratio) => ratio.round(),
        ratio if near(1.0 / ratio) => 1.0 / (1.0 / ratio).round(),
        ratio => ratio,
    }
}

/// The digest of numbers, each times `ratio`, in any order; nothing where one is no number.
pub(super) fn scaled(values: &[&Value], ratio: f64) -> Option<u64> {
    let digest = |value: &&Value| if value.is_null() { Some(0) } else { Some(significant(value.as_f64()? * ratio)) };
    values.iter().try_fold(0_u64, |sum, value| Some(sum.wrapping_add(digest(value)?)))
}

/// The digest of a number's first digits.
fn significant(number: f64) -> u64 {
    if number == 0.0 {
        return 0;
    }
    let exponent = number.abs().log10().floor() as i32 - DIGITS;
    let digits = (number / 10_f64.powi(exponent)).round();
    // Rounded up to one digit more, or the logarithm fell short: the same number has one form.
    let (digits, exponent) =
        if digits.abs() >= 10_f64.powi(DIGITS + 1) { (digits / 10.0, exponent + 1) } else { (digits, exponent) };
    digest::join(digits.round() as i64 as u64, exponent as u64)
}

/// Which of V1's labels stands for each of V2's, by majority.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels {
    rows: Vec<Entry>,
    /// Whether the labels themselves may be kept.
    revealed: bool,
    pub(super) is_full: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    v2: u64,
    v1: u64,
    votes: u32,
    /// The labels as JSON, where they may be kept.
    text: Option<Label>,
}

impl Labels {
    pub(super) fn new(revealed: bool) -> Self {
        Self { revealed, ..Self::default() }
    }

    /// A column of labels: short texts, truth values, small integers.
    pub(super) fn fit(column: &Column<'_>) -> bool {
        column.values.iter().all(|value| is_label(value)) && column.first().is_some()
    }

    fn say(&mut self, v1: &Column<'_>, v2: Option<&Column<'_>>) -> Option<Said> {
        let actual = v1.values.iter().fold(0_u64, |sum, value| sum.wrapping_add(digest::scalar(value)));
        let Some(v2) = v2.filter(|v2| v2.values.len() == v1.values.len() && v2.values.iter().all(|v2| is_label(v2)))
        else {
            return Some(Said { actual, predicted: None });
        };
        let label = |value: &&Value| self.of(digest::scalar(value));
        let known = v2.values.iter().try_fold(0_u64, |sum, value| Some(sum.wrapping_add(label(value)?)));
        for (v1, v2) in v1.values.iter().zip(&v2.values) {
            self.learn(v1, v2);
        }
        known.map(|known| Said { actual, predicted: Some(known) })
    }

    fn of(&self, v2: u64) -> Option<u64> {
        self.rows.iter().find(|row| row.v2 == v2).map(|row| row.v1)
    }

    /// The majority vote of Boyer and Moore (1981), per label of V2.
    fn learn(&mut self, v1: &Value, v2: &Value) {
        let (label1, label2) = (digest::scalar(v1), digest::scalar(v2));
        let text = || Label { v1: Some(v1.to_string()), v2: Some(v2.to_string()) };
        let has_room = self.rows.len() < MOST_LABELS;
        match self.rows.iter_mut().find(|row| row.v2 == label2) {
            Some(row) if row.v1 == label1 => row.votes = row.votes.saturating_add(1),
            Some(row) if row.votes > 0 => row.votes -= 1,
            Some(row) => *row = Entry { v1: label1, votes: 1, text: self.revealed.then(text), ..*row },
            None if has_room => {
                self.rows.push(Entry { v2: label2, v1: label1, votes: 1, text: self.revealed.then(text) });
            }
            None => self.is_full = true,
        }
    }

    /// The table, by rising digest of nothing but what is written: labels that may not be told are `None`.
    pub(super) fn told(&self) -> Vec<Label> {
        let told =
            |row: &Entry| row.text.clone().unwrap_or_else(|| Label { v1: well_known(row.v1), v2: well_known(row.v2) });
        let mut labels: Vec<_> = self.rows.iter().map(told).collect();
        labels.sort();
        labels
    }

    /// Whether more than one label was seen and no two of V2's stand for one of V1's.
    pub(super) fn is_one_to_one(&self) -> bool {
        let mut targets: Vec<_> = self.rows.iter().map(|row| row.v1).collect();
        targets.sort_unstable();
        targets.dedup();
        targets.len() == self.rows.len() && targets.len() > 1
    }
}

/// Labels that say nothing about anyone, as JSON; they can be recognised by their digest.
fn well_known(digest: u64) -> Option<String> {
    const WORDS: &[&str] = &[
        "null",
        "true",
        "false",
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "-1",
        "\"\"",
        "\"0\"",
        "\"1\"",
        "\"2\"",
        "\"3\"",
        "\"true\"",
        "\"false\"",
        "\"True\"",
        "\"False\"",
        "\"TRUE\"",
        "\"FALSE\"",
        "\"Y\"",
        "\"N\"",
        "\"y\"",
        "\"n\"",
        "\"yes\"",
        "\"no\"",
        "\"Yes\"",
        "\"No\"",
        "\"YES\"",
        "\"NO\"",
        "\"T\"",
        "\"F\"",
        "\"t\"",
        "\"f\"",
        "\"on\"",
        "\"off\"",
        "\"ON\"",
        "\"OFF\"",
        "\"A\"",
        "\"I\"",
        "\"active\"",
        "\"inactive\"",
        "\"ACTIVE\"",
        "\"INACTIVE\"",
        "\"enabled\"",
        "\"disabled\"",
        "\"ENABLED\"",
        "\"DISABLED\"",
        "\"open\"",
        "\"closed\"",
        "\"OPEN\"",
        "\"CLOSED\"",
    ];
    let is = |word: &&&str| serde_json::from_str(word).is_ok_and(|value: Value| digest::scalar(&value) == digest);
    WORDS.iter().find(is).map(|word| (*word).to_owned())
}

fn is_label(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text.len() <= LONGEST_LABEL,
        Value::Number(number) => number.as_i64().is_some_and(|number| (-1..1000).contains(&number)),
        _ => false,
    }
}
