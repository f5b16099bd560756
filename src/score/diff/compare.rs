//! Two documents in, their differences out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::digest::{self, Budget};
use super::pattern::{Maps, Trail};
use super::{Difference, Ignore, Kind, Options};

/// Most nodes of both documents that one comparison visits; documents of 1 MiB usually have fewer.
pub const MOST_NODES: u32 = 1 << 18;
/// Most missing and extra places of one comparison that are searched for moves. Beyond: they stay missing and extra.
const MOST_LOOSE: usize = 1024;
/// Most different paths of one comparison.
const MOST_PATHS: usize = 256;

/// Compares documents of one route.
///
/// Documents are compared as `serde_json` reads them: of duplicate keys the last one wins, key order does not matter, and numbers
/// beyond 64 bits are floats.
#[derive(Debug, Clone, Default)]
pub struct Comparer {
    options: Options,
}

/// What one comparison found.
#[derive(Debug, Clone, Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    /// Whether something was left out, since the documents are too large, too deep or too different.
    pub(super) truncated: bool,
}

impl Comparer {
    /// Compares by these options.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// How V2's document differs from V1's, in the order of V1's, each path and kind once. Ignored places are listed, too: what
    /// is ignored depends on the day, which [`Study::report`](super::Study::report) is told.
    pub fn compare(&self, v1: &Value, v2: &Value) -> Vec<Difference> {
        self.compare_with(&Maps::new(), v1, v2).differences
    }

    /// With the keys of `maps` taken for data.
    pub(super) fn compare_with(&self, maps: &Maps, v1: &Value, v2: &Value) -> Compared {
        let mut walk = Walk::new(&self.options, maps);
        walk.values(v1, v2);
        walk.finish()
    }

    pub(super) fn ignore(&mut self, rules: Vec<Ignore>) {
        self.options.ignore = rules;
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }
}

/// A comparison under way.
pub(super) struct Walk<'a> {
    pub(super) options: &'a Options,
    maps: &'a Maps,
    pub(super) budget: Budget,
    pub(super) trail: Trail<'a>,
    /// The paths of all that was found, by their digest.
    paths: HashMap<u64, String>,
    seen: HashSet<(u64, Kind)>,
    found: Vec<(u64, Kind, Option<u64>)>,
    missing: Vec<Loose>,
    extra: Vec<Loose>,
    overflown: bool,
}

/// A place that only one document has: what may turn out to be half of a move.
#[derive(Debug, Clone, Copy)]
struct Loose {
    path: u64,
    /// The digest of what is there; nothing for values that are too common to be recognised.
    value: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(options: &'a Options, maps: &'a Maps) -> Self {
        Self {
            options,
            maps,
            budget: Budget::new(MOST_NODES),
            trail: Trail::default(),
            paths: HashMap::new(),
            seen: HashSet::new(),
            found: Vec::new(),
            missing: Vec::new(),
            extra: Vec::new(),
            overflown: false,
        }
    }

    pub(super) fn values(&mut self, v1: &'a Value, v2: &'a Value) {
        if !self.budget.visit() {
            return;
        }
        match (v1, v2) {
            (Value::Object(v1), Value::Object(v2)) => self.inside(|walk| walk.objects(v1, v2)),
            (Value::Array(v1), Value::Array(v2)) => self.inside(|walk| walk.arrays(v1, v2)),
            (Value::Number(v1), Value::Number(v2)) if self.options.tolerance.allows(v1, v2) => {}
            _ if std::mem::discriminant(v1) != std::mem::discriminant(v2) => self.note(Kind::Type),
            _ if v1 != v2 || v1.is_number() => self.note(Kind::Value),
            _ => {}
        }
    }

    fn objects(&mut self, v1: &'a Map<String, Value>, v2: &'a Map<String, Value>) {
        for (key, value) in v1 {
            self.trail.enter(key);
            match v2.get(key) {
                Some(other) => self.values(value, other),
                None => self.missing(value),
            }
            self.trail.leave();
        }
        for (key, value) in v2.iter().filter(|(key, _)| !v1.contains_key(*key)) {
            self.trail.enter(key);
            self.extra(value);
            self.trail.leave();
        }
    }

    fn inside(&mut self, walk: impl FnOnce(&mut Self)) {
        if self.budget.descend() {
            walk(self);
            self.budget.ascend();
        }
    }

    /// Whether two values have no difference; what `values` would say, without taking notes.
    pub(super) fn are_same(&mut self, v1: &Value, v2: &Value) -> bool {
        if !self.budget.visit() || !self.budget.descend() {
            return false;
        }
        let same = match (v1, v2) {
            (Value::Number(v1), Value::Number(v2)) => self.options.tolerance.allows(v1, v2),
            (Value::Array(v1), Value::Array(v2)) => {
                v1.len() == v2.len() && v1.iter().zip(v2).all(|(v1, v2)| self.are_same(v1, v2))
            }
            (Value::Object(v1), Value::Object(v2)) => {
                let mut members = v1.iter().map(|(key, value)| (value, v2.get(key)));
                v1.len() == v2.len() && members.all(|(v1, v2)| v2.is_some_and(|v2| self.are_same(v1, v2)))
            }
            _ => v1 == v2,
        };
        self.budget.ascend();
        same
    }

    pub(super) fn missing(&mut self, value: &Value) {
        if let Some(loose) = self.loose(value, self.missing.len(), Kind::Missing) {
            self.missing.push(loose);
        }
    }

    pub(super) fn extra(&mut self, value: &Value) {
        if let Some(loose) = self.loose(value, self.extra.len(), Kind::Extra) {
            self.extra.push(loose);
        }
    }

    fn loose(&mut self, value: &Value, before: usize, kind: Kind) -> Option<Loose> {
        if before == MOST_LOOSE {
            self.note(kind);
            return None;
        }
        let value = is_telling(value).then(|| digest::value(value, &mut self.budget));
        Some(Loose { path: self.here()?, value })
    }

    /// Notes a difference where the walk stands.
    pub(super) fn note(&mut self, kind: Kind) {
        if let Some(path) = self.here() {
            self.note_at(path, kind, None);
        }
    }

    fn note_at(&mut self, path: u64, kind: Kind, to: Option<u64>) {
        if self.seen.insert((path, kind)) {
            self.found.push((path, kind, to));
        }
    }

    /// The digest of the path where the walk stands, unless there are too many of them.
    fn here(&mut self) -> Option<u64> {
        let digest = self.trail.digest(self.maps);
        let known = self.paths.len();
        match self.paths.entry(digest) {
            Entry::Vacant(_) if known == MOST_PATHS => {
                self.overflown = true;
                return None;
            }
            Entry::Vacant(entry) => _ = entry.insert(self.trail.path(self.maps)),
            Entry::Occupied(_) => {}
        }
        Some(digest)
    }

    fn finish(mut self) -> Compared {
        self.settle_moves();
        let path = |digest: &u64| self.paths[digest].clone();
        let difference = |(at, kind, to): &(u64, Kind, Option<u64>)| Difference {
            path: path(at),
            kind: *kind,
            to: to.as_ref().map(path),
        };
        let differences = self.found.iter().map(difference).collect();
        Compared { differences, truncated: self.overflown || self.budget.is_spent() }
    }

    /// What is missing here and extra there was moved; the rest is missing or extra.
    fn settle_moves(&mut self) {
        let (missing, extra) = (std::mem::take(&mut self.missing), std::mem::take(&mut self.extra));
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, loose) in extra.iter().enumerate().rev() {
            if let Some(value) = loose.value {
                places.entry(value).or_default().push(at);
            }
        }
        let mut taken = vec![false; extra.len()];
        for loose in missing {
            let place = loose.value.and_then(|value| places.get_mut(&value)?.pop());
            match place {
                // An element of an array that is gone here and new there, too.
                Some(at) if extra[at].path == loose.path => self.note_at(loose.path, Kind::Missing, None),
                Some(at) => {
                    taken[at] = true;
                    self.note_at(loose.path, Kind::Moved, Some(extra[at].path));
                }
                None => self.note_at(loose.path, Kind::Missing, None),
            }
        }
        for (loose, _) in extra.iter().zip(taken).filter(|(_, taken)| !taken) {
            self.note_at(loose.path, Kind::Extra, None);
        }
    }
}

/// Whether a value can be recognised elsewhere: not one that documents are full of, such as 0, 1, true, null or "".
pub(super) fn is_telling(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => number.as_f64().is_some_and(|x| x.fract() != 0.0 || x.abs() >= 10.0),
        Value::String(text) => text.len() >= 3,
        Value::Array(items) => items.iter().any(is_telling),
        Value::Object(members) => members.values().any(is_telling),
    }
}
