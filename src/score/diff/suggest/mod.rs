//! What would make V1's answer of V2's: renames, moves, types, units and labels, inferred from pairs.
//!
//! Where V2's answer lacks or changes what V1's has, all of V2's places are guesses at where it went. A guess survives if it
//! holds in nearly all pairs and, held against chance, says something. Kept are paths, counts, ratios and digests; labels only
//! at places that the options reveal.

mod candidate;
mod columns;
mod form;
mod relation;
mod render;
mod wanted;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::columns::{Columns, are_equal};
use self::wanted::{Offers, Wanted};
use super::pattern::Maps;
use super::{Options, Pattern};

pub use render::to_toml;

/// Most places of V1's answers of a route for which a source is searched.
pub(super) const MOST_WANTED: usize = 128;
/// Most guesses per place.
pub(super) const MOST_CANDIDATES: usize = 16;

/// A way to make a value of V1's answer of one of V2's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The place in V1's answer: JSON Pointer with `*` for array indices and for keys that are data.
    pub v1: String,
    /// The place in V2's answer, as it is after the mapping that is configured already.
    pub v2: String,
    /// What is to be done with the value.
    #[serde(flatten)]
    pub transform: Transform,
    /// Pairs in which it holds.
    pub support: u64,
    /// Pairs in which the place differed and V1's value had the form in question.
    pub of: u64,
}

/// What is to be done with V2's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "transform")]
pub enum Transform {
    /// Nothing: it was renamed or moved.
    Same,
    /// A text in capitals becomes one in small letters (ASCII).
    Lower,
    /// And the other way round.
    Upper,
    /// "12" becomes 12.
    Number,
    /// 12 becomes "12", true becomes "true".
    Text,
    /// "true" becomes true.
    Truth,
    /// Seconds since 1970 become RFC 3339.
    FromSeconds,
    /// Milliseconds since 1970 become RFC 3339.
    FromMillis,
    /// RFC 3339 becomes seconds since 1970.
    ToSeconds,
    /// RFC 3339 becomes milliseconds since 1970.
    ToMillis,
    /// The number is multiplied.
    Scale {
        /// By this.
        ratio: f64,
    },
    /// Each label of V2's becomes one of V1's.
    Labels {
        /// The table.
        labels: Vec<Label>,
    },
}

/// One line of a table of labels, as JSON. A label that may not be kept and is no common one such as "Y" is `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label {
    /// V2's.
    pub v2: Option<String>,
    /// V1's.
    pub v1: Option<String>,
}

/// The search for suggestions over many pairs.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    wanted: HashMap<u64, Wanted>,
    pairs: usize,
    /// How many objects were known to have data for keys.
    maps: usize,
}

impl Search {
    /// Takes in one pair of documents that differ.
    pub(super) fn see(&mut self, v1: &Value, v2: &Value, maps: &Maps, options: &Options) {
        if self.maps != maps.len() {
            // Places below such objects have other paths now, and those that were wanted take up all the room.
            *self = Self { maps: maps.len(), ..Self::default() };
        }
        let (v1, v2) = (Columns::of(v1, maps), Columns::of(v2, maps));
        self.pairs += 1;
        let offers = Offers::new(&v1, &v2, self.pairs);
        for (at, column) in v1.sorted() {
            let is_wanted = v2.get(at).is_none_or(|other| is_changed(column.values.as_slice(), other, column));
            let known = self.wanted.len();
            let wanted = match self.wanted.entry(at) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) if is_wanted && known < MOST_WANTED => entry.insert(Wanted::new(&column.path)),
                Entry::Vacant(_) => continue,
            };
            wanted.present += 1;
            if is_wanted {
                let revealed = options.reveal.iter().any(|place: &Pattern| place.covers(&column.path));
                wanted.see(at, column, &offers, revealed);
            } else {
                wanted.see_same(column, &v2);
            }
        }
    }

    /// Takes in V1's document of a pair in which V2's says the same.
    pub(super) fn see_equal(&mut self, v1: &Value, maps: &Maps) {
        if !self.wanted.is_empty() {
            let columns = Columns::of(v1, maps);
            for (at, wanted) in &mut self.wanted {
                if let Some(column) = columns.get(*at) {
                    wanted.present += 1;
                    wanted.see_same(column, &columns);
                }
            }
        }
    }

    /// The best convincing guess per place, by path; parts of a container that moved as a whole are left out.
    pub(super) fn suggestions(&self) -> Vec<Suggestion> {
        let mut all: Vec<_> = self.wanted.values().filter_map(Wanted::best).collect();
        all.sort_by(|a, b| a.v1.cmp(&b.v1));
        let wholes: Vec<_> = all.iter().filter(|one| one.transform == Transform::Same).cloned().collect();
        let part = |one: &Suggestion, whole: &Suggestion| {
            let below = one.v1.strip_prefix(&whole.v1).filter(|rest| rest.starts_with('/'));
            one.transform == Transform::Same && below.is_some_and(|rest| one.v2 == format!("{}{rest}", whole.v2))
        };
        all.retain(|one| !wholes.iter().any(|whole| part(one, whole)));
        all
    }
}

/// Whether V2 has something else there, apart from the order. A container that is there is looked at by its parts.
fn is_changed(values: &[&Value], other: &columns::Column<'_>, column: &columns::Column<'_>) -> bool {
    let is_container = |values: &[&Value]| values.iter().any(|value| value.is_object() || value.is_array());
    !is_container(values) && !are_equal(column, other)
}
