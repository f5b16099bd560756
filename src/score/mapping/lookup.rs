//! Where V1's places stand in an answer that has not been mapped, so that rules about places need no mapped copy of it.
//!
//! Worked out once, and only where it is exact: `None` stands for "map it and look". That is where the mapping may fail, where
//! a place holds a part of what moves, and where arrays could be in the way of what is put.

use super::super::pointer::Pointer;
use super::super::probe::{NotJson, Probe, Shape};
use super::tree::index;
use super::{Mapping, Scope};

/// Where some of V1's places stand.
#[derive(Debug, Clone)]
pub(in crate::score) struct Lookups {
    probe: Probe,
    /// The numbers of the probe's places.
    found: Vec<Lookup<usize>>,
}

/// Where one of V1's places stands.
#[derive(Debug, Clone, PartialEq)]
enum Lookup<T> {
    At(T),
    /// At the second place if anything stands at the first one, else at the third.
    Moved([T; 3]),
    /// Whatever stood there was moved away.
    Nowhere,
}

impl Lookups {
    /// `None` where only mapping can tell.
    pub(in crate::score) fn new<'a>(mapping: &Mapping, places: impl Iterator<Item = &'a Pointer>) -> Option<Self> {
        if mapping.has_program() || mapping.root.may_fail() {
            return None;
        }
        let found = places.map(|place| mapping.root.lookup(place.tokens())).collect::<Option<Vec<_>>>()?;
        let mut pointers = Vec::new();
        let mut number = |tokens: &Vec<String>| {
            pointers.push(Pointer::of(tokens.clone()));
            pointers.len() - 1
        };
        let found = found.iter().map(|lookup| match lookup {
            Lookup::At(place) => Lookup::At(number(place)),
            Lookup::Moved(places) => Lookup::Moved(places.each_ref().map(&mut number)),
            Lookup::Nowhere => Lookup::Nowhere,
        });
        let found = found.collect();
        Some(Self { probe: Probe::new(&pointers), found })
    }

    /// What stands at each of the places once the answer is mapped.
    ///
    /// # Errors
    /// As [`Probe::shapes`].
    pub(in crate::score) fn shapes(&self, body: &[u8]) -> Result<impl Iterator<Item = Shape>, NotJson> {
        let shapes: Vec<_> = self.probe.shapes(body)?.collect();
        Ok(self.found.iter().map(move |lookup| match *lookup {
            Lookup::At(place) => shapes[place],
            Lookup::Moved([from, moved, _]) if shapes[from] != Shape::Absent => shapes[moved],
            Lookup::Moved([.., otherwise]) => shapes[otherwise],
            Lookup::Nowhere => Shape::Absent,
        }))
    }
}

impl Scope {
    /// Whether an array may lack the index that something is put at.
    fn may_fail(&self) -> bool {
        let has_index = |path: &[String]| path.iter().any(|key| index(key).is_some());
        self.moves.iter().any(|it| has_index(&it.to)) || self.each.iter().any(|(_, scope)| scope.may_fail())
    }

    fn lookup(&self, place: &[String]) -> Option<Lookup<Vec<String>>> {
        if self.moves.iter().any(|it| makes_way(&it.to, place)) {
            return None;
        }
        let moved = self.moves.iter().find(|it| place.starts_with(&it.to));
        let touched = self.moves.iter().filter(|it| it.from.starts_with(place) || place.starts_with(&it.from));
        let place = place.to_vec();
        let lookup = if let Some(it) = moved {
            let others = touched.filter(|other| *other != it).count();
            let there = [&it.from, &place[it.to.len()..]].concat();
            (others == 0).then(|| Lookup::Moved([it.from.clone(), there, place]))?
        } else {
            match touched.map(|it| is_taken_whole(&it.from, &place)).reduce(|all, one| all && one) {
                None => Lookup::At(place),
                Some(true) => Lookup::Nowhere,
                Some(false) => return None,
            }
        };
        let is_within =
            |place: &Vec<String>| self.each.iter().any(|(list, _)| place.starts_with(list) && place != list);
        let changed = match &lookup {
            Lookup::At(place) => is_within(place),
            Lookup::Moved(places) => places.iter().any(is_within),
            Lookup::Nowhere => false,
        };
        (!changed).then_some(lookup)
    }
}

/// Whether putting something at `to` may change what stands at a place that is no part of it: one that holds it, or one in an
/// array that has to make way.
fn makes_way(to: &[String], place: &[String]) -> bool {
    let common = to.iter().zip(place).take_while(|(a, b)| a == b).count();
    common < to.len() && place.get(common).is_none_or(|key| index(key).is_some())
}

/// Whether nothing is left of a place when `from` has been taken away. Elements of arrays are not.
fn is_taken_whole(from: &[String], place: &[String]) -> bool {
    place.starts_with(from) && from.last().is_some_and(|key| index(key).is_none())
}
