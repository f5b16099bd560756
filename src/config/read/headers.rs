//! Tables whose keys are header names.

use http::HeaderName;

use super::table::Table;
use super::value::Value;
use crate::score::HeaderMatch;

const EXAMPLE: &str = "a string, a list of strings, or \"*\" for any value";

/// A header name (RFC 9110, section 5.1), lower case.
pub(super) fn header_name(at: &Value<'_>, text: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| {
            at.error(
                format_args!("`{}` is no header name", text.escape_debug()),
                "write letters, digits and - only",
            );
        })
        .ok()
}

/// Every entry of a table by its header name; the same name twice is an error, whatever its case.
pub(super) fn read<'a, T>(table: Table<'a>, mut value: impl FnMut(&Value<'a>) -> Option<T>) -> Vec<(HeaderName, T)> {
    let mut read: Vec<(HeaderName, T)> = Vec::new();
    for entry in table.drain() {
        let Some(name) = header_name(&entry, entry.key()) else {
            continue;
        };
        if read.iter().any(|(other, _)| *other == name) {
            entry.key_error(
                "is there already",
                Some("header names ignore case: remove one of them".to_owned()),
            );
        }
        if let Some(value) = value(&entry) {
            read.push((name, value));
        }
    }
    read
}

/// A table `{ header = { NAME = VALUES } }`'s inner part.
pub(super) fn conditions(value: &Value<'_>) -> Option<Vec<HeaderMatch>> {
    let table = value.table_like("a table such as { \"x-user-id\" = [\"qa-1\"] }")?;
    let read = read(table, values);
    Some(
        read.into_iter()
            .map(|(name, values)| HeaderMatch { name, values })
            .collect(),
    )
}

/// `Some(None)` for any value.
fn values(value: &Value<'_>) -> Option<Option<Vec<String>>> {
    if value.is_array() {
        let values = value.list(EXAMPLE, |item| item.str().map(|text| (item.clone(), text)))?;
        for (item, _) in values.iter().filter(|(_, text)| *text == "*") {
            item.error("`*` in a list", "write \"*\" alone for any value");
        }
        if values.is_empty() {
            value.error("no value", format!("write {EXAMPLE}"));
        }
        return Some(Some(values.into_iter().map(|(_, text)| text.to_owned()).collect()));
    }
    let text = value.str_like(EXAMPLE)?;
    Some((text != "*").then(|| vec![text.to_owned()]))
}
