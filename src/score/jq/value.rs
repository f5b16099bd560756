//! Values on their way into jq and out of it.

use std::str::FromStr;

use jaq_core::Error;
use jaq_json::{Num, Val};
use serde_json::{Number, Value};

use super::JqFault;
use super::fuel::Fuel;

/// Deepest nesting of a value that comes in or goes out: that of `serde_json`.
const MAX_DEPTH: usize = 128;

/// A tree becomes a value of jq.
pub(super) fn from_json(json: Value, depth: usize) -> Result<Val, JqFault> {
    if depth > MAX_DEPTH {
        return Err(JqFault::NotJson);
    }
    Ok(match json {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(value),
        Value::Number(number) => Val::Num(from_number(&number)),
        Value::String(text) => Val::utf8_str(text.into_bytes()),
        Value::Array(items) => items.into_iter().map(|item| from_json(item, depth + 1)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let field = |(key, value): (String, _)| Ok((Val::utf8_str(key.into_bytes()), from_json(value, depth + 1)?));
            Val::obj(fields.into_iter().map(field).collect::<Result<_, JqFault>>()?)
        }
    })
}

fn from_number(number: &Number) -> Num {
    let integer = number.as_i64().map(Num::from_integral).or_else(|| number.as_u64().map(Num::from_integral));
    integer.unwrap_or_else(|| Num::Float(number.as_f64().unwrap_or(f64::NAN)))
}

/// A value of jq becomes a tree. What the value holds twice stands in the tree twice, and is paid for.
pub(super) fn to_json(value: &Val, depth: usize, fuel: &Fuel) -> Result<Value, JqFault> {
    if depth == 0 {
        fuel.weigh(value, 0).map_err(|_| JqFault::Exhausted)?;
    } else if depth > MAX_DEPTH {
        return Err(JqFault::Exhausted);
    }
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(value) => Value::Bool(*value),
        Val::Num(number) => to_json_number(number),
        Val::TStr(_) | Val::BStr(_) => Value::String(text(value)),
        Val::Arr(items) => {
            Value::Array(items.iter().map(|item| to_json(item, depth + 1, fuel)).collect::<Result<_, _>>()?)
        }
        Val::Obj(fields) => {
            let field = |(key, value): (&Val, &Val)| match key {
                Val::TStr(_) => Ok((text(key), to_json(value, depth + 1, fuel)?)),
                // jaq lets anything be a key; JSON does not.
                _ => Err(JqFault::Failed),
            };
            Value::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
        }
    })
}

fn text(value: &Val) -> String {
    match value {
        Val::TStr(text) | Val::BStr(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

/// An integer stays one as far as 64 bits go; what JSON has no number for is null, as jq prints it.
fn to_json_number(number: &Num) -> Value {
    let integer = match number {
        Num::Int(number) => Some(Number::from(*number as i64)),
        Num::BigInt(number) => u64::from_str(&number.to_string()).ok().map(Number::from),
        _ => None,
    };
    integer.or_else(|| Number::from_f64(to_f64(number))).map_or(Value::Null, Value::Number)
}

fn to_f64(number: &Num) -> f64 {
    match number {
        Num::Int(number) => *number as f64,
        Num::Float(number) => *number,
        Num::BigInt(number) => number.to_string().parse().unwrap_or(f64::NAN),
        Num::Dec(number) => number.parse().unwrap_or(f64::NAN),
    }
}

/// jq's truth: all but `false` and `null`.
pub(super) fn is_true(value: &Val) -> bool {
    !matches!(value, Val::Null | Val::Bool(false))
}

/// jq's `tonumber`: numbers, and strings that are numbers of JSON.
pub(super) fn to_number(value: Val) -> Result<Val, Error<Val>> {
    match &value {
        Val::Num(_) => Ok(value),
        Val::TStr(text) => {
            serde_json::from_slice(text).map(|number| Val::Num(from_number(&number))).map_err(|_| failed())
        }
        _ => Err(failed()),
    }
}

/// jq's `fromjson`, but for one document, by `serde_json`.
pub(super) fn from_text(value: &Val) -> Result<Val, Error<Val>> {
    match value {
        Val::TStr(text) => serde_json::from_slice(text).map_err(|_| failed()),
        _ => Err(failed()),
    }
}

/// jq's `join`: strings as they are, null as nothing, numbers and truth values as text. `pay` is asked before each piece, with
/// its size.
///
/// # Errors
/// Either jq's own error, or that `pay` refused.
pub(super) fn join<S>(
    items: &Val,
    separator: &Val,
    mut pay: impl FnMut(usize) -> Result<(), S>,
) -> Result<Val, Stop<S>> {
    let (Val::Arr(items), Val::TStr(separator)) = (items, separator) else { return Err(Stop::Failed(failed())) };
    let mut joined = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let separator = if at == 0 { &[][..] } else { separator };
        let written;
        let item: &[u8] = match item {
            Val::Null => &[],
            Val::TStr(text) => text,
            Val::Bool(_) | Val::Num(_) => {
                written = item.to_string();
                written.as_bytes()
            }
            _ => return Err(Stop::Failed(failed())),
        };
        pay(separator.len() + item.len()).map_err(Stop::Refused)?;
        joined.extend_from_slice(separator);
        joined.extend_from_slice(item);
    }
    Ok(Val::utf8_str(joined))
}

/// Why something ended early.
pub(super) enum Stop<S> {
    /// As jq does.
    Failed(Error<Val>),
    /// The fuel is spent.
    Refused(S),
}

/// jq's `contains`. `pay` is asked before each comparison.
///
/// # Errors
/// `pay` refused.
pub(super) fn contains<S>(whole: &Val, part: &Val, pay: &mut impl FnMut() -> Result<(), S>) -> Result<bool, S> {
    pay()?;
    match (whole, part) {
        (Val::TStr(whole), Val::TStr(part)) => Ok(memchr::memmem::find(whole, part).is_some()),
        (Val::Arr(whole), Val::Arr(part)) => {
            all(part.iter(), |part| any(whole.iter(), |whole| contains(whole, part, pay)))
        }
        (Val::Obj(whole), Val::Obj(part)) => {
            all(part.iter(), |(key, part)| whole.get(key).map_or(Ok(false), |whole| contains(whole, part, pay)))
        }
        _ => Ok(whole == part),
    }
}

fn all<T, S>(mut items: impl Iterator<Item = T>, mut test: impl FnMut(T) -> Result<bool, S>) -> Result<bool, S> {
    items.try_fold(true, |all, item| Ok(all && test(item)?))
}

fn any<T, S>(mut items: impl Iterator<Item = T>, mut test: impl FnMut(T) -> Result<bool, S>) -> Result<bool, S> {
    items.try_fold(false, |any, item| Ok(any || test(item)?))
}

fn failed() -> Error<Val> {
    Error::new(Val::Null)
}
