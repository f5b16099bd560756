//! What is studied, and how answers are compared.

use super::super::study::{Diff, Ignore, Study};
use super::headers::header_name;
use super::table::Table;
use super::value::Value;
use crate::percent::Percent;
use crate::score::Pointer;

/// More pairs a second are no better evidence.
const MOST_PAIRS: u64 = 1000;

pub(super) fn study(mut table: Table<'_>) -> Study {
    let default = Study::default();
    let study = Study {
        cpu: table.get("cpu", cpu).unwrap_or(default.cpu),
        pairs: table.get("pairs", pairs).unwrap_or(default.pairs),
        allow: table
            .get("allow", |value| value.list("a list of JSON Pointers, such as [\"/error/code\"]", pointer))
            .unwrap_or_default(),
        allow_headers: table
            .get("allow_headers", |value| {
                value.list("a list of header names, such as [\"x-cache\"]", |item| header_name(item, item.str()?))
            })
            .unwrap_or_default(),
    };
    table.finish();
    study
}

fn cpu(value: &Value<'_>) -> Option<Percent> {
    let cpu = value.percent()?;
    if cpu == Percent::ZERO {
        value.error("no time at all", "write a share of one core such as 5; `pairs = 0` compares nothing");
        return None;
    }
    Some(cpu)
}

fn pairs(value: &Value<'_>) -> Option<u32> {
    let pairs = value.count(0)?;
    if pairs > MOST_PAIRS {
        value.error(format_args!("{pairs} is out of range"), format!("write at most {MOST_PAIRS}"));
    }
    u32::try_from(pairs).ok()
}

fn pointer(value: &Value<'_>) -> Option<Pointer> {
    value.parsed("a JSON Pointer such as \"/items\"", "write \"/items\" or \"/error/code\", say", Pointer::parse)
}

/// The table `diff` of a dependency, or of a route, which adds to that of its dependency.
pub(super) fn diff(mut table: Table<'_>, base: &Diff) -> Diff {
    let mut diff = base.clone();
    if let Some(noise) = table.get("noise", Value::percent) {
        diff.noise = noise;
    }
    if let Some(tolerance) = table.get("tolerance", tolerance) {
        diff.tolerance = tolerance;
    }
    let ignore = table.get("ignore", |value| {
        value.list("a list of tables such as [{ path = \"/generated_at\", until = 2027-01-01T00:00:00Z }]", ignore)
    });
    diff.ignore.extend(ignore.into_iter().flatten());
    diff.ids.extend(table.get("ids", ids).into_iter().flatten());
    table.finish();
    diff
}

fn tolerance(value: &Value<'_>) -> Option<f64> {
    value.number_in("a number from 0 to below 1, such as 0.001", |number| (0.0..1.0).contains(&number))
}

fn ignore(value: &Value<'_>) -> Option<Ignore> {
    let mut table = value.table_like("a table such as { path = \"/generated_at\", until = 2027-01-01T00:00:00Z }")?;
    let path = table.required("path", "path = \"/generated_at\"");
    let until = table.required("until", "until = 2027-01-01T00:00:00Z: nothing is ignored for ever");
    let reason = table.get("reason", |value| Some(value.str()?.to_owned()));
    table.finish();
    Some(Ignore { path: place(&path?)?, until: until?.timestamp()?, reason })
}

/// The place of a field; `*` stands for every item of an array.
fn place(value: &Value<'_>) -> Option<String> {
    pointer(value).map(|place| place.to_string())
}

fn ids(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let table = value.table_like("a table such as { \"/items\" = \"/id\" }")?;
    let read = table.drain().into_iter().filter_map(|entry| {
        let array = Pointer::parse(entry.key());
        if let Err(error) = &array {
            entry.key_error(&format!("is no place: {error}"), Some("write \"/items\", say".to_owned()));
        }
        Some((array.ok()?.to_string(), place(&entry)?))
    });
    Some(read.collect())
}
