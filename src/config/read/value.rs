//! A reader of one value: knows where it stands, turns it into the type that is wanted, or reports why not.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use http::{Method, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::super::problem::Severity;
use super::sink::Sink;
use super::suggest;
use super::table::{Table, kind};
use crate::percent::Percent;

/// Longest duration: far beyond any sense, and far below what overflows an `Instant`.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);
/// Largest size: far beyond any memory, and far below what overflows a `usize`.
const MAX_SIZE: u64 = 1 << 40;

/// A value of the document, with its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    sink: &'a Sink<'a>,
    path: String,
    key: &'a str,
    key_span: Range<usize>,
    written: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub(super) fn entry(
        sink: &'a Sink<'a>,
        parent: &str,
        key: &'a Spanned<DeString<'a>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        let name = key.get_ref().as_ref();
        let dot = if parent.is_empty() { "" } else { "." };
        Self {
            sink,
            path: format!("{parent}{dot}{}", name.escape_debug()),
            key: name,
            key_span: key.span(),
            written: value,
        }
    }

    /// The key as written; empty for the items of an array.
    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    pub(super) fn key_span(&self) -> &Range<usize> {
        &self.key_span
    }

    /// Reports what is wrong with the value.
    pub(super) fn error(&self, what: impl fmt::Display, help: impl Into<String>) {
        self.push(Severity::Error, &self.written.span(), &what, Some(help.into()));
    }

    /// Reports what is wrong with a part of the string that the value is.
    pub(super) fn error_inside(&self, part: &Range<usize>, what: impl fmt::Display, help: impl Into<String>) {
        let (span, text) = (self.written.span(), self.str().unwrap_or_default());
        let written = self.sink.source().get(span.clone()).unwrap_or_default();
        let place = super::jq::place(written, span.start, text, part);
        self.push(Severity::Error, &place, &what, Some(help.into()));
    }

    /// Warns about the value.
    pub(super) fn warn(&self, what: impl fmt::Display, help: impl Into<String>) {
        self.push(Severity::Warning, &self.written.span(), &what, Some(help.into()));
    }

    /// Reports what is wrong with the key; reads as one sentence that begins with the key's path.
    pub(super) fn key_error(&self, what: &str, help: Option<String>) {
        let message = format!("`{}` {what}", self.path);
        self.sink.push(Severity::Error, &self.key_span, message, help);
    }

    /// Warns about the table or item as a whole.
    pub(super) fn key_warn(&self, what: &str, help: &str) {
        self.push(Severity::Warning, &self.key_span, &what, Some(help.to_owned()));
    }

    fn push(&self, severity: Severity, span: &Range<usize>, what: &dyn fmt::Display, help: Option<String>) {
        let message = format!("`{}`: {what}", self.path);
        self.sink.push(severity, span, message, help);
    }

    fn wanted<T>(&self, wanted: &str) -> Option<T> {
        let found = kind(self.written.get_ref());
        let message = format!("`{}` cannot be {found}", self.path);
        let help = Some(format!("write {wanted}"));
        self.sink.push(Severity::Error, &self.written.span(), message, help);
        None
    }

    pub(super) fn raw(&self) -> &'a DeValue<'a> {
        self.written.get_ref()
    }

    pub(super) fn str(&self) -> Option<&'a str> {
        self.str_like("a string")
    }

    /// A string; `wanted` says of which form.
    pub(super) fn str_like(&self, wanted: &str) -> Option<&'a str> {
        match self.raw() {
            DeValue::String(text) => Some(text),
            _ => self.wanted(wanted),
        }
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match self.raw() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wanted("`true` or `false`"),
        }
    }

    /// The items of an array; `wanted` shows one.
    pub(super) fn items(&self, wanted: &str) -> Option<Vec<Self>> {
        match self.raw() {
            DeValue::Array(items) => Some(items.iter().enumerate().map(|(n, item)| self.item(n, item)).collect()),
            _ => self.wanted(wanted),
        }
    }

    fn item(&self, n: usize, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { sink: self.sink, path: format!("{}[{n}]", self.path), key: "", key_span: value.span(), written: value }
    }

    /// Each item of an array, read; items that are wrong are reported and left out.
    pub(super) fn list<T>(&self, wanted: &str, read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let items = self.items(wanted)?;
        Some(items.iter().filter_map(read).collect())
    }

    /// As [`Value::list`], but an empty array is reported too; `empty` says what is missing.
    pub(super) fn some<T>(&self, wanted: &str, empty: &str, read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let items = self.items(wanted)?;
        if items.is_empty() {
            self.error(empty, format!("write {wanted}"));
        }
        Some(items.iter().filter_map(read).collect())
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(self.raw(), DeValue::Array(_))
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.raw(), DeValue::Table(_))
    }

    pub(super) fn is_str(&self) -> bool {
        matches!(self.raw(), DeValue::String(_))
    }

    /// A table; `wanted` shows one.
    pub(super) fn table_like(&self, wanted: &str) -> Option<Table<'a>> {
        match self.raw() {
            DeValue::Table(table) => Some(Table::new(self.sink, self.path.clone(), self.key_span.clone(), table)),
            _ => self.wanted(wanted),
        }
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        self.table_like("a table")
    }

    /// A string that some type can parse.
    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        wanted: &str,
        help: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.str_like(wanted)?;
        parse(text).map_err(|error| self.error(error, help)).ok()
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        let text = self.str_like(&format!("one of {}", suggest::list(&names)))?;
        let found = words.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            self.error(format_args!("`{}` is not possible here", text.escape_debug()), suggest::help(text, &names));
        }
        found.map(|(_, value)| *value)
    }

    /// A duration above zero, at most ten years.
    pub(super) fn duration(&self) -> Option<Duration> {
        let duration = self.duration_or_zero()?;
        if duration.is_zero() {
            self.error("a duration of zero", "write a duration above zero");
            return None;
        }
        Some(duration)
    }

    /// A duration, at most ten years.
    pub(super) fn duration_or_zero(&self) -> Option<Duration> {
        const HELP: &str = "a duration is a string with a unit, such as \"250ms\", \"5s\", \"10m\" or \"1h 30m\"";
        if let DeValue::Integer(_) | DeValue::Float(_) = self.raw() {
            self.error("a number without a unit", HELP);
            return None;
        }
        let duration = self.parsed("a duration such as \"250ms\"", HELP, |text| {
            humantime::parse_duration(text)
                .map_err(|error| format!("`{}` is no duration: {error}", text.escape_debug()))
        })?;
        if duration > MAX_DURATION {
            self.error("longer than ten years", "write a shorter duration");
            return None;
        }
        Some(duration)
    }

    /// A size in bytes, above zero, at most 1 TiB.
    pub(super) fn size(&self) -> Option<usize> {
        const HELP: &str = "a size is a string with a unit, such as \"64KiB\" or \"1MiB\"";
        if let DeValue::Integer(_) | DeValue::Float(_) = self.raw() {
            self.error("a number without a unit", HELP);
            return None;
        }
        let size = self.parsed("a size such as \"64KiB\"", HELP, |text| {
            ByteSize::from_str(text).map_err(|_| format!("`{}` is no size", text.escape_debug()))
        })?;
        if !(1..=MAX_SIZE).contains(&size.as_u64()) {
            self.error("outside 1 byte to 1 TiB", HELP);
            return None;
        }
        usize::try_from(size.as_u64()).ok()
    }

    /// A whole number of at least `least`.
    pub(super) fn count(&self, least: u64) -> Option<u64> {
        let DeValue::Integer(written) = self.raw() else {
            return self.wanted("a whole number");
        };
        let number = u64::from_str_radix(written.as_str(), written.radix()).ok();
        let number = number.filter(|n| *n >= least);
        if number.is_none() {
            self.error(format_args!("{written} is out of range"), format!("write a whole number of at least {least}"));
        }
        number
    }

    /// Any number.
    pub(super) fn number(&self) -> Option<f64> {
        match self.raw() {
            DeValue::Integer(written) => i64::from_str_radix(written.as_str(), written.radix())
                .ok()
                .map(|n| n as f64)
                .or_else(|| self.wanted("a number of a sensible size")),
            DeValue::Float(written) => written.as_str().parse().ok(),
            _ => self.wanted("a number"),
        }
    }

    /// A number that passes `test`; `range` says which do.
    pub(super) fn number_in(&self, range: &str, test: impl FnOnce(f64) -> bool) -> Option<f64> {
        let number = self.number()?;
        if !test(number) {
            self.error(format_args!("{number} is out of range"), format!("write {range}"));
            return None;
        }
        Some(number)
    }

    pub(super) fn percent(&self) -> Option<Percent> {
        let number = self.number()?;
        Percent::from_f64(number)
            .map_err(|error| {
                self.error(format_args!("{number} is no percentage: {error}"), "write a number such as 5 or 0.125");
            })
            .ok()
    }

    /// The status of a final answer.
    pub(super) fn status(&self) -> Option<StatusCode> {
        const RANGE: &str = "a status between 200 and 599";
        let number = self.number_in(RANGE, |n| (200.0..600.0).contains(&n) && n.fract() == 0.0)?;
        StatusCode::from_u16(number as u16).ok()
    }

    /// A method in capitals (RFC 9110, section 9.1: methods are case-sensitive).
    pub(super) fn method(&self) -> Option<Method> {
        let text = self.str_like("a method such as \"GET\"")?;
        let upper = text.to_ascii_uppercase();
        if upper != text {
            self.error("methods are case-sensitive", format!("write \"{}\"", upper.escape_debug()));
            return None;
        }
        Method::from_bytes(text.as_bytes())
            .map_err(|_| {
                self.error(format_args!("`{}` is no method", text.escape_debug()), "write \"GET\", say");
            })
            .ok()
    }

    /// A day.
    pub(super) fn date(&self) -> Option<Date> {
        const HELP: &str = "write a day without quotes, such as 2027-01-31";
        let DeValue::Datetime(date) = self.raw() else {
            return self.wanted("a day such as 2027-01-31 (without quotes)");
        };
        let text = date.to_string();
        Date::from_str(&text).ok().filter(|_| date.time.is_none()).or_else(|| {
            self.error(format_args!("{text} is no day"), HELP);
            None
        })
    }

    /// An instant, with its offset from UTC.
    pub(super) fn timestamp(&self) -> Option<Timestamp> {
        const HELP: &str = "write date, time and offset without quotes, such as 2026-11-20T08:00:00Z";
        let DeValue::Datetime(date) = self.raw() else {
            return self.wanted("an instant such as 2026-11-20T08:00:00Z (without quotes)");
        };
        let text = date.to_string();
        Timestamp::from_str(&text).map_err(|_| self.error(format_args!("{text} is no instant"), HELP)).ok()
    }
}
