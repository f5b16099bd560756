//! How V2's answers become what V1's consumers expect.

use std::sync::Arc;

use super::jq;
use super::value::Value;
use crate::score::{Mapping, Place, PointerError};

const WANTED: &str = "a table of V1 place = V2 place, such as { \"/customer/name\" = \"/person/fullName\" }";
const HELP: &str = "write \"/items\", \"/items/0/name\" or \"/items/*/name\", say; a key `*` is written `~2`";

/// The mapping of a `response` table; `None` where it changes nothing.
pub(super) fn response(value: &Value<'_>) -> Option<Arc<Mapping>> {
    let mut table = value.table()?;
    let program = table.get("body", jq::program);
    let mapping = table.get("map", map).unwrap_or_default();
    table.finish();
    let mapping = program.into_iter().fold(mapping, Mapping::after);
    (!mapping.is_identity()).then(|| Arc::new(mapping))
}

fn map(value: &Value<'_>) -> Option<Mapping> {
    let entries = value.table_like(WANTED)?.drain().into_iter();
    let read: Vec<_> = entries.filter_map(|entry| Some((pair(&entry)?, entry))).collect();
    let (pairs, entries): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    Mapping::new(&pairs)
        .map_err(|(index, error)| entries[index].key_error(&format!("is no place for a value: {error}"), None))
        .ok()
}

/// V1's place and V2's; both are reported where both are wrong.
fn pair(entry: &Value<'_>) -> Option<(Place, Place)> {
    let to = Place::parse(entry.key()).map_err(|error| refuse(entry, error)).ok();
    let from = entry.parsed("a JSON Pointer such as \"/person/fullName\"", HELP, Place::parse);
    Some((to?, from?))
}

fn refuse(entry: &Value<'_>, error: PointerError) {
    entry.key_error(&format!("is no place: {error}"), Some(HELP.to_owned()));
}
