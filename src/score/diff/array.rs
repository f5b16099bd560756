//! Which element of V1's array is to be compared with which one of V2's.
//!
//! With a configured identity: those of the same identity. Otherwise equal elements find each other first, wherever they are; of
//! what is left, objects by a member that is unique among them and mostly the same on both sides, and the rest by position.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::Kind;
use super::compare::Walk;
use super::digest;
use crate::score::Pointer;

/// Most members of an object that are tried as an identity.
const MOST_TRIED: usize = 16;

/// Places of elements in an array, ascending.
type Places = Vec<usize>;

impl<'a> Walk<'a> {
    pub(super) fn arrays(&mut self, v1: &'a [Value], v2: &'a [Value]) {
        let options = self.options;
        let identity = options.ids.iter().find(|identity| self.trail.is(&identity.at));
        self.trail.enter_each();
        let mut pairs = Vec::new();
        match identity {
            Some(identity) => self.by_identity(v1, v2, &identity.id, &mut pairs),
            None => self.by_position(v1, v2, &mut pairs),
        }
        self.trail.leave();
        if !is_ascending(&mut pairs) {
            self.note(Kind::Order);
        }
    }

    fn by_identity(&mut self, v1: &'a [Value], v2: &'a [Value], id: &Pointer, pairs: &mut Vec<(usize, usize)>) {
        let of = |elements: &[Value]| -> Vec<Option<u64>> {
            elements.iter().map(|element| follow(element, id).map(digest::scalar)).collect()
        };
        let (ids1, ids2) = (of(v1), of(v2));
        let (known1, anonymous1): (Places, Places) = (0..v1.len()).partition(|&at| ids1[at].is_some());
        let (known2, anonymous2): (Places, Places) = (0..v2.len()).partition(|&at| ids2[at].is_some());
        let (met, gone, new) = meet(&known1, &known2, |at| ids1[at], |at| ids2[at]);
        self.compare_pairs(v1, v2, &met);
        pairs.extend(met);
        self.report_loose(v1, v2, &gone, &new);
        self.in_turn(v1, v2, &anonymous1, &anonymous2);
    }

    fn by_position(&mut self, v1: &'a [Value], v2: &'a [Value], pairs: &mut Vec<(usize, usize)>) {
        let (rest1, rest2) = self.different(v1, v2, pairs);
        if rest1.is_empty() || rest2.is_empty() {
            self.report_loose(v1, v2, &rest1, &rest2);
            return;
        }
        let digests1: HashMap<_, _> = rest1.iter().map(|&at| (at, digest::value(&v1[at], &mut self.budget))).collect();
        let digests2: HashMap<_, _> = rest2.iter().map(|&at| (at, digest::value(&v2[at], &mut self.budget))).collect();
        let (equal, rest1, rest2) =
            meet(&rest1, &rest2, |at| digests1.get(&at).copied(), |at| digests2.get(&at).copied());
        pairs.extend(equal);
        let Some(key) = identity_of(v1, v2, &rest1, &rest2) else {
            return self.in_turn(v1, v2, &rest1, &rest2);
        };
        let id = |element: &Value| element.get(key).map(digest::scalar);
        let (met, gone, new) = meet(&rest1, &rest2, |at| id(&v1[at]), |at| id(&v2[at]));
        self.compare_pairs(v1, v2, &met);
        pairs.extend(met);
        self.report_loose(v1, v2, &gone, &new);
    }

    /// The elements that differ: by position in arrays of one length, between the equal heads and tails of others.
    fn different(&mut self, v1: &[Value], v2: &[Value], pairs: &mut Vec<(usize, usize)>) -> (Places, Places) {
        if v1.len() == v2.len() {
            let rest: Places = (0..v1.len()).filter(|&at| !self.are_same(&v1[at], &v2[at])).collect();
            // Equal elements matter for the order only where others might have changed places.
            if rest.len() > 1 {
                pairs.extend((0..v1.len()).filter(|at| rest.binary_search(at).is_err()).map(|at| (at, at)));
            }
            return (rest.clone(), rest);
        }
        let least = v1.len().min(v2.len());
        let head = (0..least).take_while(|&at| self.are_same(&v1[at], &v2[at])).count();
        let from_end = |elements: &'_ [Value], back: usize| elements.len() - 1 - back;
        let tail = (0..least - head)
            .take_while(|&back| self.are_same(&v1[from_end(v1, back)], &v2[from_end(v2, back)]))
            .count();
        ((head..v1.len() - tail).collect(), (head..v2.len() - tail).collect())
    }

    fn in_turn(&mut self, v1: &'a [Value], v2: &'a [Value], rest1: &[usize], rest2: &[usize]) {
        let both = rest1.len().min(rest2.len());
        let pairs: Vec<_> = rest1.iter().copied().zip(rest2.iter().copied()).collect();
        self.compare_pairs(v1, v2, &pairs);
        self.report_loose(v1, v2, &rest1[both..], &rest2[both..]);
    }

    fn compare_pairs(&mut self, v1: &'a [Value], v2: &'a [Value], pairs: &[(usize, usize)]) {
        for &(at1, at2) in pairs {
            self.values(&v1[at1], &v2[at2]);
        }
    }

    fn report_loose(&mut self, v1: &[Value], v2: &[Value], gone: &[usize], new: &[usize]) {
        for &at in gone {
            self.missing(&v1[at]);
        }
        for &at in new {
            self.extra(&v2[at]);
        }
    }
}

/// A member by which at least half of the elements find each other, the one that joins most.
fn identity_of<'a>(v1: &'a [Value], v2: &[Value], rest1: &[usize], rest2: &[usize]) -> Option<&'a str> {
    if rest1.len().max(rest2.len()) < 2 {
        return None;
    }
    let first = v1[*rest1.first()?].as_object()?;
    let most = rest1.len().max(rest2.len());
    let names = first.iter().filter(|(_, value)| value.is_string() || value.is_i64() || value.is_u64());
    let names: Vec<_> = names.take(MOST_TRIED).collect();
    let joined = names.into_iter().map(|(name, _)| {
        let ids1 = unique(rest1.iter().map(|&at| v1[at].get(name)));
        let ids2 = unique(rest2.iter().map(|&at| v2[at].get(name)));
        let both = ids1.zip(ids2).map_or(0, |(ids1, ids2)| ids1.intersection(&ids2).count());
        (both, name.as_str())
    });
    // Of equals, the first one: `max_by_key` would take the last.
    let (both, name) = joined.rev().max_by_key(|(both, _)| *both)?;
    (2 * both >= most).then_some(name)
}

/// Joins places whose keys are equal, each with the first one that is left; and the places without a partner on both sides.
fn meet(
    places1: &[usize],
    places2: &[usize],
    key1: impl Fn(usize) -> Option<u64>,
    key2: impl Fn(usize) -> Option<u64>,
) -> (Vec<(usize, usize)>, Places, Places) {
    let mut waiting: HashMap<u64, VecDeque<usize>> = HashMap::new();
    for &at in places2 {
        if let Some(key) = key2(at) {
            waiting.entry(key).or_default().push_back(at);
        }
    }
    let (mut met, mut alone) = (Vec::new(), Places::new());
    for &at in places1 {
        match key1(at).and_then(|key| waiting.get_mut(&key)?.pop_front()) {
            Some(partner) => met.push((at, partner)),
            None => alone.push(at),
        }
    }
    let mut taken: Places = met.iter().map(|&(_, at)| at).collect();
    taken.sort_unstable();
    let left = places2.iter().copied().filter(|at| taken.binary_search(at).is_err()).collect();
    (met, alone, left)
}

/// The digests of scalars, if all are there and no two are equal.
fn unique<'a>(values: impl Iterator<Item = Option<&'a Value>>) -> Option<HashSet<u64>> {
    let mut digests = HashSet::new();
    for value in values {
        let value = value.filter(|value| value.is_string() || value.is_number())?;
        if !digests.insert(digest::scalar(value)) {
            return None;
        }
    }
    Some(digests)
}

fn follow<'a>(element: &'a Value, id: &Pointer) -> Option<&'a Value> {
    id.tokens().iter().try_fold(element, |value, token| match value {
        Value::Object(members) => members.get(token),
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Whether elements that belong together stand in one order.
fn is_ascending(pairs: &mut [(usize, usize)]) -> bool {
    pairs.sort_unstable();
    pairs.windows(2).all(|pair| pair[0].1 < pair[1].1)
}
