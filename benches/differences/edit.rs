//! What a V2 does differently, on purpose: one edit at a place, in a share of the answers.

use serde_json::{Map, Value};

/// An edit of V2's answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edit {
    /// The member is gone.
    Drop,
    /// It is null.
    Null,
    /// It is some other value of its type.
    Change,
    /// A truth value is the opposite.
    Negate,
    /// It is a text.
    Text,
    /// It is a hundred times as much, as whole cents of euros.
    Cents,
    /// It is the number of milliseconds since 1970.
    Millis,
    /// A truth value is "Y" or "N".
    YesNo,
    /// A label is another one.
    Relabel,
    /// It is in capitals.
    Capitals,
    /// The array is the other way round.
    Reverse,
    /// A member of this name is new beside it.
    Add(&'static str),
    /// It has this name.
    Rename(&'static str),
    /// It is in this new object beside it, under its own name.
    Into(&'static str),
}

impl Edit {
    /// Makes the edit at all places that `path` leads to, `*` being each element or member.
    pub(crate) fn make(self, document: &mut Value, path: &str) {
        let tokens: Vec<_> = path.split('/').skip(1).collect();
        let (last, above) = tokens.split_last().expect("no edit is made to a whole document");
        each(document, above, &mut |parent| match parent {
            Value::Object(members) => self.make_in(members, last),
            Value::Array(items) => items.iter_mut().for_each(|item| *item = self.of(item)),
            _ => {}
        });
    }

    fn make_in(self, members: &mut Map<String, Value>, name: &str) {
        let Some(value) = members.get(name).cloned() else { return };
        match self {
            Self::Drop => _ = members.remove(name),
            Self::Add(new) => _ = members.insert(new.to_owned(), "new".into()),
            Self::Rename(new) => {
                members.remove(name);
                members.insert(new.to_owned(), value);
            }
            Self::Into(new) => {
                members.remove(name);
                let inner = members.entry(new).or_insert_with(|| Value::Object(Map::new()));
                inner.as_object_mut().expect("a new object").insert(name.to_owned(), value);
            }
            _ => _ = members.insert(name.to_owned(), self.of(&value)),
        }
    }

    fn of(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Null, _) => Value::Null,
            (Self::Text, value) if !value.is_string() => value.to_string().into(),
            (Self::Cents, Value::Number(number)) => ((number.as_f64().unwrap_or(0.0) * 100.0).round() as i64).into(),
            (Self::Millis, Value::String(text)) => {
                text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond).into()
            }
            (Self::YesNo, value) => if value == true { "Y" } else { "N" }.into(),
            (Self::Relabel, Value::String(text)) => {
                format!("K{}", text.len() * 7 + usize::from(text.as_bytes()[0])).into()
            }
            (Self::Capitals, Value::String(text)) => text.to_uppercase().into(),
            (Self::Reverse, Value::Array(items)) => items.iter().rev().cloned().collect(),
            (Self::Change, Value::String(text)) => format!("{text} (v2)").into(),
            (Self::Negate, Value::Bool(truth)) => (!truth).into(),
            (Self::Change, Value::Number(number)) => number
                .as_i64()
                .map_or_else(|| (number.as_f64().unwrap_or(0.0) + 1.5).into(), |whole| (whole + 1).into()),
            (_, value) => value.clone(),
        }
    }

    /// The paths at which it is to be found; all of them are right, the first one is what a finding must name.
    pub(crate) fn paths(self, path: &str) -> Vec<String> {
        let (above, name) = path.rsplit_once('/').expect("a path");
        match self {
            Self::Add(new) => vec![format!("{above}/{new}")],
            Self::Rename(new) => vec![path.to_owned(), format!("{above}/{new}")],
            Self::Into(new) => vec![path.to_owned(), format!("{above}/{new}"), format!("{above}/{new}/{name}")],
            _ => vec![path.to_owned()],
        }
    }

    /// Where V2 has the value now and what has to be done with it, if it can be mapped back.
    pub(crate) fn mapping(self, path: &str) -> Option<(String, &'static str)> {
        let (above, name) = path.rsplit_once('/').expect("a path");
        let here = |what| Some((path.to_owned(), what));
        match self {
            Self::Rename(new) => Some((format!("{above}/{new}"), "same")),
            Self::Into(new) => Some((format!("{above}/{new}/{name}"), "same")),
            Self::Text => here("number"),
            Self::Cents => here("scale"),
            Self::Millis => here("from_millis"),
            Self::YesNo | Self::Relabel | Self::Negate => here("labels"),
            Self::Capitals => here("lower"),
            _ => None,
        }
    }
}

fn each(value: &mut Value, tokens: &[&str], then: &mut impl FnMut(&mut Value)) {
    match (tokens, value) {
        ([], value) => then(value),
        (["*", rest @ ..], Value::Array(items)) => items.iter_mut().for_each(|item| each(item, rest, then)),
        (["*", rest @ ..], Value::Object(members)) => members.values_mut().for_each(|member| each(member, rest, then)),
        ([name, rest @ ..], Value::Object(members)) => {
            if let Some(member) = members.get_mut(*name) {
                each(member, rest, then);
            }
        }
        _ => {}
    }
}
