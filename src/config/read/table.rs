//! A reader of one table: takes the keys it knows, and complains about the rest.

use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::super::problem::Severity;
use super::sink::Sink;
use super::suggest;
use super::value::Value;

/// One table of the document, and what has been taken from it.
pub(super) struct Table<'a> {
    sink: &'a Sink<'a>,
    /// Dotted path of the table, empty for the document itself.
    path: String,
    /// Where to point when something is missing: the table's own key.
    at: Range<usize>,
    entries: Vec<Value<'a>>,
    known: Vec<&'static str>,
    /// How many errors the document had when reading of this table began.
    errors_before: usize,
}

impl<'a> Table<'a> {
    pub(super) fn root(sink: &'a Sink<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(sink, String::new(), 0..0, table)
    }

    /// `at` is where the table's key stands.
    pub(super) fn new(sink: &'a Sink<'a>, path: String, at: Range<usize>, table: &'a DeTable<'a>) -> Self {
        let mut entries: Vec<_> = table.iter().map(|(key, value)| Value::entry(sink, &path, key, value)).collect();
        entries.sort_by_key(|entry| entry.key_span().start);
        Self { sink, path, at, entries, known: Vec::new(), errors_before: sink.errors() }
    }

    /// Takes a key; `None` when it is absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let at = self.entries.iter().position(|entry| entry.key() == key)?;
        Some(self.entries.remove(at))
    }

    /// Takes a key and reads it; `None` when it is absent, or wrong (and reported).
    pub(super) fn get<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        self.take(key).and_then(|value| read(&value))
    }

    /// Takes a key that must be there; `help` shows how it would look.
    pub(super) fn required(&mut self, key: &'static str, help: &str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.missing(&format!("`{key}` is missing"), help);
        }
        value
    }

    /// Reports keys that are part of the language, but without effect in this version: nobody shall believe that they
    /// are in force.
    pub(super) fn unsupported(&mut self, keys: &[&str]) {
        let (refused, entries) = self.entries.drain(..).partition(|entry| keys.contains(&entry.key()));
        self.entries = entries;
        let refused: Vec<Value<'_>> = refused;
        for entry in refused {
            entry.key_error("is not supported by this version of crossfade", Some("remove it".to_owned()));
        }
    }

    /// Whether a key is there, and not yet taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key() == key)
    }

    /// Takes everything that is left: for tables whose keys are names.
    pub(super) fn drain(mut self) -> Vec<Value<'a>> {
        std::mem::take(&mut self.entries)
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        let unknown = |entry: &&Value<'_>| !self.sink.lost_header_before(entry.key_span().start);
        for entry in self.entries.iter().filter(unknown) {
            let help =
                if self.known.is_empty() { "remove it".to_owned() } else { suggest::help(entry.key(), &self.known) };
            entry.key_error("is not a known key", Some(help));
        }
    }

    /// Reports that something is not there.
    pub(super) fn missing(&self, what: &str, help: &str) {
        self.sink.missing(&self.at, self.place(what), Some(help.to_owned()));
    }

    /// Whether nothing in the table was wrong so far. Only then is it judged how its values fit together: a default
    /// that stands in for a wrong value would be blamed for what nobody wrote.
    pub(super) fn is_sound(&self) -> bool {
        self.sink.is_whole() && self.sink.errors() == self.errors_before
    }

    /// Warns about how the values of the table fit together, if each is right by itself.
    pub(super) fn warn(&self, what: &str, help: &str) {
        if !self.is_sound() {
            return;
        }
        self.sink.push(Severity::Warning, &self.at, self.place(what), Some(help.to_owned()));
    }

    fn place(&self, what: &str) -> String {
        if self.path.is_empty() { what.to_owned() } else { format!("`{}`: {what}", self.path) }
    }

    /// A duration above zero.
    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.get(key, Value::duration).unwrap_or(default)
    }

    /// A size in bytes, above zero.
    pub(super) fn size(&mut self, key: &'static str, default: usize) -> usize {
        self.get(key, Value::size).unwrap_or(default)
    }

    /// A whole number of at least `least`.
    pub(super) fn count(&mut self, key: &'static str, least: u64, default: usize) -> usize {
        self.get(key, |value| value.count(least)).map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX))
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, key: &'static str, default: bool) -> bool {
        self.get(key, Value::bool).unwrap_or(default)
    }
}

/// What kind of thing a value is, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
