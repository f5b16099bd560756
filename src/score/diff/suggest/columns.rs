//! A document by its paths: what stands at each of them, in order.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;

use super::form::{FORMS, Form};
use super::relation::scaled;
use crate::score::diff::digest::{self, Budget};
use crate::score::diff::pattern::{Maps, Trail, child};

/// Most nodes of one document that are looked at for suggestions.
const MOST_NODES: u32 = 1 << 16;
/// Most paths of one document.
const MOST_COLUMNS: usize = 512;
/// Most values at one path.
const MOST_VALUES: usize = 4096;

/// What stands at one path: a single value, or, below an array or a map, that of each element.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub(super) path: String,
    pub(super) values: Vec<&'a Value>,
    forms: [OnceCell<Option<u64>>; FORMS],
    numbers: OnceCell<Option<u64>>,
}

impl Column<'_> {
    /// The digest of all values in this form, in any order; nothing where one of them has no such form.
    pub(super) fn digest(&self, form: Form) -> Option<u64> {
        *self.forms[form as usize].get_or_init(|| form.digest_all(&self.values))
    }

    /// The digest of all values as numbers; nothing where one of them is none.
    pub(super) fn numbers(&self) -> Option<u64> {
        *self.numbers.get_or_init(|| scaled(&self.values, 1.0))
    }

    /// The first value that is there.
    pub(super) fn first(&self) -> Option<&Value> {
        self.values.iter().copied().find(|value| !value.is_null())
    }
}

/// The columns of a document, by the digest of their path.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    columns: HashMap<u64, Column<'a>>,
}

impl<'a> Columns<'a> {
    /// Scalars at all paths; containers, too, where a JSON Pointer leads to them.
    pub(super) fn of(document: &'a Value, maps: &'a Maps) -> Self {
        let mut walk =
            Walk { maps, trail: Trail::default(), budget: Budget::new(MOST_NODES), columns: Self::default() };
        walk.enter(document, 0, false);
        walk.columns
    }

    pub(super) fn get(&self, path: u64) -> Option<&Column<'a>> {
        self.columns.get(&path)
    }

    /// In the order of their paths, so that one document always gives the same.
    pub(super) fn sorted(&self) -> Vec<(u64, &Column<'a>)> {
        let mut all: Vec<_> = self.columns.iter().map(|(digest, column)| (*digest, column)).collect();
        all.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
        all
    }
}

struct Walk<'a> {
    maps: &'a Maps,
    trail: Trail<'a>,
    budget: Budget,
    columns: Columns<'a>,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, value: &'a Value, path: u64, many: bool) {
        if !self.budget.visit() || !self.budget.descend() {
            return;
        }
        match value {
            Value::Object(members) => {
                self.container(value, path, many);
                for (key, member) in members {
                    let (below, star) = child(path, key, self.maps);
                    self.trail.enter(key);
                    self.enter(member, below, many || star);
                    self.trail.leave();
                }
            }
            Value::Array(items) => {
                self.container(value, path, many);
                self.trail.enter_each();
                let below = child(path, "*", self.maps).0;
                for item in items {
                    self.enter(item, below, true);
                }
                self.trail.leave();
            }
            scalar => self.put(scalar, path),
        }
        self.budget.ascend();
    }

    fn container(&mut self, value: &'a Value, path: u64, many: bool) {
        if !many && path != 0 {
            self.put(value, path);
        }
    }

    fn put(&mut self, value: &'a Value, path: u64) {
        let known = self.columns.columns.len();
        match self.columns.columns.entry(path) {
            Entry::Occupied(mut column) if column.get().values.len() < MOST_VALUES => {
                column.get_mut().values.push(value);
            }
            Entry::Vacant(entry) if known < MOST_COLUMNS => {
                let path = self.trail.path(self.maps);
                entry.insert(Column { path, values: vec![value], forms: Default::default(), numbers: OnceCell::new() });
            }
            _ => {}
        }
    }
}

/// Whether both hold the same elements, perhaps in another order.
pub(super) fn are_equal(a: &Column<'_>, b: &Column<'_>) -> bool {
    let whole = |column: &Column<'_>| column.digest(Form::Exact);
    a.values.len() == b.values.len() && whole(a) == whole(b)
}

/// The digest of a container or scalar.
pub(super) fn exact(value: &Value) -> u64 {
    digest::value(value, &mut Budget::new(MOST_NODES))
}
