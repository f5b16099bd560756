//! What is studied, and how answers are compared.

use super::super::study::{Diff, Study};
use super::headers::header_name;
use super::table::Table;
use super::value::Value;
use crate::percent::Percent;
use crate::score::Pointer;
use crate::score::diff::{Identity, Ignore, Pattern, Tolerance};

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
        diff.options.tolerance = tolerance;
    }
    let rules = table.get("ignore", |value| value.list(IGNORE, ignore));
    diff.options.ignore.extend(rules.into_iter().flatten());
    for identity in table.get("ids", ids).into_iter().flatten() {
        diff.options.ids.retain(|known| known.at != identity.at);
        diff.options.ids.push(identity);
    }
    table.finish();
    diff
}

/// A number, which is relative, or a table.
fn tolerance(value: &Value<'_>) -> Option<Tolerance> {
    if !value.is_table() {
        return Some(Tolerance { relative: relative(value)?, absolute: 0.0 });
    }
    let mut table = value.table()?;
    let read = Tolerance {
        relative: table.get("relative", relative).unwrap_or_default(),
        absolute: table.get("absolute", absolute).unwrap_or_default(),
    };
    table.finish();
    Some(read)
}

fn relative(value: &Value<'_>) -> Option<f64> {
    value.number_in("a number from 0 to below 1, such as 0.001", |number| (0.0..1.0).contains(&number))
}

fn absolute(value: &Value<'_>) -> Option<f64> {
    value.number_in("a number of at least 0", |number| number >= 0.0 && number.is_finite())
}

const IGNORE: &str =
    "a list of tables such as [{ path = \"/generated_at\", until = 2027-01-31, reason = \"a clock\" }]";

fn ignore(value: &Value<'_>) -> Option<Ignore> {
    let mut table = value.table_like("a table such as { path = \"/a\", until = 2027-01-31, reason = \"a clock\" }")?;
    let path = table.required("path", "path = \"/generated_at\"");
    let until = table.required("until", "until = 2027-01-31: nothing is ignored for ever");
    let reason = table.required("reason", "reason = \"a clock\"");
    table.finish();
    Some(Ignore { path: pattern(&path?)?, until: until?.date()?, reason: reason?.str()?.to_owned() })
}

fn pattern(value: &Value<'_>) -> Option<Pattern> {
    value.parsed(
        "a JSON Pointer such as \"/items/*/name\"",
        "write \"/items/*/name\", say, where * is any key or index",
        Pattern::parse,
    )
}

fn ids(value: &Value<'_>) -> Option<Vec<Identity>> {
    let table = value.table_like("a table such as { \"/items\" = \"/id\" }")?;
    let read = table.drain().into_iter().filter_map(|entry| {
        let wrong = |error| entry.key_error(&format!("is no place: {error}"), Some("write \"/items\", say".to_owned()));
        Some(Identity { at: Pattern::parse(entry.key()).map_err(wrong).ok()?, id: pointer(&entry)? })
    });
    Some(read.collect())
}
