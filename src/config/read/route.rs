//! The routes of a dependency, and what makes an answer rich on each.

use http::Method;

use super::super::deployment::{OTHER, Route};
use super::super::pattern::PathPattern;
use super::super::study::Diff;
use super::deployment::check_name;
use super::fit::{self, Surroundings};
use super::headers;
use super::jq;
use super::study;
use super::table::Table;
use super::value::Value;
use crate::score::{AnswerHeader, Exclude, Pattern, Pointer, Rules, TextRules};

/// The routes in file order, and the implied last one.
///
/// `diff` is how the dependency wants answers compared; a route may add to that.
pub(super) fn read_all(table: &mut Table<'_>, surroundings: &Surroundings<'_>, diff: &Diff) -> Vec<Route> {
    let items = table.get("route", |value| value.items("tables such as [[dependency.NAME.route]]"));
    let mut names = Vec::new();
    let read = items.into_iter().flatten().filter_map(|item| {
        let route = route(&item, &mut names, diff)?;
        Some((item, route))
    });
    let read: Vec<_> = read.collect();
    if table.is_sound() {
        fit::check(table, &read, surroundings);
    }
    let routes = read.into_iter().map(|(_, route)| route);
    routes.chain(std::iter::once(Route { diff: diff.clone(), ..Route::other() })).collect()
}

fn route<'a>(item: &Value<'a>, names: &mut Vec<&'a str>, base: &Diff) -> Option<Route> {
    let mut table = item.table()?;
    let name = table.required("name", "name = \"list\"");
    let name = name.and_then(|value| name_of(&value, names));
    let (methods, path) = table.get("match", Value::table).map(matches).unwrap_or_default();
    let rules = table.get("score", Value::table).map(rules).unwrap_or_default();
    let diff = table.get("diff", Value::table).map_or_else(|| base.clone(), |table| study::diff(table, base));
    table.finish();
    Some(Route { name: name?.to_owned(), methods, path, rules, diff })
}

fn name_of<'a>(value: &Value<'a>, names: &mut Vec<&'a str>) -> Option<&'a str> {
    let text = value.str()?;
    if names.contains(&text) {
        value.error(format_args!("a second route named `{}`", text.escape_debug()), "choose another name");
    }
    names.push(text);
    check_name(text, &[OTHER]).map_err(|what| value.error(what, "choose another name")).ok()?;
    Some(text)
}

fn matches(mut table: Table<'_>) -> (Vec<Method>, Option<PathPattern>) {
    let methods = table.get("methods", |value| value.list("a list of methods, such as [\"GET\"]", Value::method));
    let path = table.get("path", |value| {
        const HELP: &str = "write literal segments, {name} for one segment, a final {name...} for the rest";
        value.parsed("a path such as \"/recommendations/{user}\"", HELP, PathPattern::parse)
    });
    table.finish();
    (methods.unwrap_or_default(), path)
}

fn rules(mut table: Table<'_>) -> Rules {
    let rules = Rules {
        status: statuses(&mut table),
        required: pointers(&mut table, "required"),
        non_empty: pointers(&mut table, "non_empty"),
        min_bytes: table.get("min_bytes", |value| value.count(1)),
        max_latency: table.get("max_latency", Value::duration),
        headers: table.get("header", answer_headers).unwrap_or_default(),
        text: TextRules {
            contains: texts(&mut table, "contains"),
            lacks: texts(&mut table, "lacks"),
            matches: patterns(&mut table, "matches"),
            mismatches: patterns(&mut table, "mismatches"),
        },
        rich: table.get("rich", jq::program),
        exclude: table.get("exclude", Value::table).map(exclude).unwrap_or_default(),
    };
    for status in rules.status.iter().filter(|status| rules.exclude.status.contains(status)) {
        table.warn(
            &format!("status {} is excluded, and never counts as rich", status.as_u16()),
            "remove it from `status` or from `exclude`",
        );
    }
    table.finish();
    rules
}

fn statuses(table: &mut Table<'_>) -> Vec<http::StatusCode> {
    let read = table.get("status", |value| value.list("a list of statuses, such as [200]", Value::status));
    read.unwrap_or_default()
}

fn pointers(table: &mut Table<'_>, key: &'static str) -> Vec<Pointer> {
    const WANTED: &str = "a list of JSON Pointers, such as [\"/items\"]";
    let read = table.get(key, |value| {
        value.list(WANTED, |item| {
            item.parsed(
                "a JSON Pointer such as \"/items\"",
                "write \"/items\" or \"/items/0/name\", say",
                Pointer::parse,
            )
        })
    });
    read.unwrap_or_default()
}

/// Strings that an answer holds, or does not hold. An empty one stands in everything.
fn texts(table: &mut Table<'_>, key: &'static str) -> Vec<String> {
    let text = |item: &Value<'_>| {
        let text = item.str()?;
        if text.is_empty() {
            item.error("an empty string", "write what shall be looked for, such as \"<product\"");
        }
        Some(text.to_owned())
    };
    table.get(key, |value| value.list("a list of strings, such as [\"<product\"]", text)).unwrap_or_default()
}

fn patterns(table: &mut Table<'_>, key: &'static str) -> Vec<Pattern> {
    const WANTED: &str = "a list of regular expressions, such as [\"<price>[0-9]+\"]";
    const HELP: &str = "the syntax is that of https://docs.rs/regex: no look-around, no backreferences";
    let read =
        table.get(key, |value| value.list(WANTED, |item| item.parsed("a regular expression", HELP, Pattern::parse)));
    read.unwrap_or_default()
}

fn answer_headers(value: &Value<'_>) -> Option<Vec<AnswerHeader>> {
    let table = value.table_like("a table such as { \"content-type\" = \"text/html*\" }")?;
    Some(headers::read(table, |name, entry| {
        let values = if entry.is_array() {
            entry.some("a list of strings", "no value", |item| item.str().map(ToOwned::to_owned))?
        } else {
            vec![entry.str_like("a string such as \"text/html*\", or a list of strings")?.to_owned()]
        };
        Some(AnswerHeader { name, values })
    }))
}

fn exclude(mut table: Table<'_>) -> Exclude {
    let exclude =
        Exclude { status: statuses(&mut table), headers: table.get("header", headers::conditions).unwrap_or_default() };
    table.finish();
    exclude
}
