//! Forms in which two values can be the same although they are written differently.

use jiff::Timestamp;
use serde_json::{Number, Value};

use super::Transform;
use super::columns::exact;
use crate::score::diff::digest;

/// How many forms there are.
pub(super) const FORMS: usize = 4;

/// A form: what is left of a value once the way it is written is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// The value itself.
    Exact,
    /// What it says as text: 12 and "12", true and "true".
    Text,
    /// The instant, to the second: RFC 3339, or seconds or milliseconds since 1970.
    Instant,
    /// A text in lower case.
    Folded,
}

impl Form {
    pub(super) const ALL: [Self; FORMS] = [Self::Exact, Self::Text, Self::Instant, Self::Folded];

    /// Of all values in any order; nothing where one has no such form, or none says anything.
    pub(super) fn digest_all(self, values: &[&Value]) -> Option<u64> {
        let told = values.iter().any(|value| !value.is_null());
        let sum = values.iter().try_fold(0_u64, |sum, value| Some(sum.wrapping_add(self.digest(value)?)))?;
        told.then(|| digest::join(values.len() as u64, sum))
    }

    fn digest(self, value: &Value) -> Option<u64> {
        match (self, value) {
            (Self::Exact, value) => Some(exact(value)),
            (_, Value::Null) | (Self::Text, Value::Bool(_) | Value::Number(_)) => Some(digest::scalar(value)),
            (Self::Text, Value::String(text)) => spoken(text),
            (Self::Instant, value) => Some(digest::join(4, seconds(value)? as u64)),
            (Self::Folded, Value::String(text)) => Some(digest::bytes(text.to_ascii_lowercase().as_bytes())),
            _ => None,
        }
    }

    /// What makes V1's value of V2's, which has the same form; nothing where nothing is to be done or nobody could say what.
    pub(super) fn transform(self, v1: &Value, v2: &Value) -> Option<Transform> {
        match (self, v1, v2) {
            (Self::Exact, ..) => Some(Transform::Same),
            (Self::Text, Value::Number(_), Value::String(_)) => Some(Transform::Number),
            (Self::Text, Value::String(_), Value::Number(_) | Value::Bool(_)) => Some(Transform::Text),
            (Self::Text, Value::Bool(_), Value::String(_)) => Some(Transform::Truth),
            (Self::Instant, Value::String(_), Value::Number(number)) => {
                Some(if is_millis(number) { Transform::FromMillis } else { Transform::FromSeconds })
            }
            (Self::Instant, Value::Number(number), Value::String(_)) => {
                Some(if is_millis(number) { Transform::ToMillis } else { Transform::ToSeconds })
            }
            (Self::Folded, Value::String(v1), _) if *v1 == v1.to_ascii_uppercase() => Some(Transform::Upper),
            (Self::Folded, Value::String(v1), _) if *v1 == v1.to_ascii_lowercase() => Some(Transform::Lower),
            _ => None,
        }
    }
}

/// The digest of the number or truth value that a text spells.
fn spoken(text: &str) -> Option<u64> {
    match serde_json::from_str::<Value>(text).ok()? {
        Value::Number(number) => Some(digest::number(&number)),
        truth @ Value::Bool(_) => Some(digest::scalar(&truth)),
        _ => None,
    }
}

/// Seconds since 1970 of instants from 1973 on; smaller numbers are rarely instants.
fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) if text.len() >= 20 => text.parse::<Timestamp>().ok().map(Timestamp::as_second),
        Value::Number(number) => match number.as_f64()? {
            seconds if (1e8..1e10).contains(&seconds) => Some(seconds as i64),
            millis if (1e11..1e13).contains(&millis) => Some((millis / 1000.0).floor() as i64),
            _ => None,
        },
        _ => None,
    }
}

fn is_millis(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number >= 1e11)
}
