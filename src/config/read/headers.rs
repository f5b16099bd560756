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
            at.error(format_args!("`{}` is no header name", text.escape_debug()), "write letters, digits and - only");
        })
        .ok()
}

/// What `entry` makes of every entry of a table and its header name; the same name twice is an error, whatever its case.
pub(super) fn read<'a, T>(table: Table<'a>, mut entry: impl FnMut(HeaderName, &Value<'a>) -> Option<T>) -> Vec<T> {
    let mut names: Vec<HeaderName> = Vec::new();
    let read = table.drain().into_iter().filter_map(|value| {
        let name = header_name(&value, value.key())?;
        if names.contains(&name) {
            let help = "header names ignore case: remove one of them";
            value.key_error("is there already", Some(help.to_owned()));
        }
        names.push(name.clone());
        entry(name, &value)
    });
    read.collect()
}

/// A table of header names and wanted values.
pub(super) fn conditions(value: &Value<'_>) -> Option<Vec<HeaderMatch>> {
    let table = value.table_like("a table such as { \"x-user-id\" = [\"qa-1\"] }")?;
    Some(read(table, condition))
}

fn condition(name: HeaderName, value: &Value<'_>) -> Option<HeaderMatch> {
    let values = if value.is_array() {
        Some(value.some(EXAMPLE, "no value", one_of_several)?)
    } else {
        let text = value.str_like(EXAMPLE)?;
        (text != "*").then(|| vec![text.to_owned()])
    };
    Some(HeaderMatch { name, values })
}

fn one_of_several(item: &Value<'_>) -> Option<String> {
    let text = item.str()?;
    if text == "*" {
        item.error("`*` in a list", "write \"*\" alone for any value");
    }
    Some(text.to_owned())
}
