//! Which places of a JSON document are there: all pointers of a rule set in one pass, without building a tree.
//!
//! The pass reads the whole document, so a body that breaks off, is not UTF-8, or goes on after its end is an error,
//! however early the places were found. Where a document holds a key twice, the last one counts, as it does for
//! `JSON.parse`, `serde_json`, Go and Python. On the way to a place, nesting is limited to `serde_json`'s 128 levels;
//! elsewhere the reader needs no stack, and nesting has no limit.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::pointer::Pointer;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape {
    /// Nothing.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// `""`, `[]` or `{}`.
    Empty,
    /// Anything else, `0` and `false` included.
    Filled,
}

/// The pointers of a rule set, merged where they share a beginning.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    root: Node,
    /// For each pointer given to [`Probe::new`], the place it stands for.
    places: Vec<usize>,
}

/// A step on the way to one or more places, and perhaps itself a place. Nodes are numbered in depth-first order, so that
/// everything below a node lies in `id..end`.
#[derive(Debug, Clone, Default)]
struct Node {
    id: usize,
    end: usize,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    key: String,
    /// The key as an array index, where it is one (RFC 6901, section 4: no sign, no leading zero).
    index: Option<usize>,
    node: Node,
}

impl Probe {
    /// Merges pointers; the order of the arguments is the order of the answers of [`Probe::shapes`].
    pub(super) fn new<'a>(pointers: impl IntoIterator<Item = &'a Pointer> + Clone) -> Self {
        let mut root = Node::default();
        for pointer in pointers.clone() {
            root.insert(pointer.tokens());
        }
        root.number(0);
        let places = pointers.into_iter().map(|pointer| root.place(pointer.tokens())).collect();
        Self { root, places }
    }

    /// What stands at each pointer of the document.
    ///
    /// # Errors
    /// When the body is not exactly one JSON document in UTF-8, or is nested too deeply on the way to a place.
    pub(super) fn shapes(&self, body: &[u8]) -> Result<impl Iterator<Item = Shape>, serde_json::Error> {
        // serde_json skips over ignored strings without looking at their encoding, hence the check of its own.
        let text = std::str::from_utf8(body).map_err(serde_json::Error::custom)?;
        let mut found = vec![Shape::Absent; self.root.end];
        let mut document = serde_json::Deserializer::from_str(text);
        self.root.look(&mut found).deserialize(&mut document)?;
        document.end()?;
        Ok(self.places.iter().map(move |&place| found[place]))
    }
}

impl Node {
    fn insert(&mut self, tokens: &[String]) {
        let Some((key, rest)) = tokens.split_first() else {
            return;
        };
        let at = self.child(key).unwrap_or_else(|| {
            self.children.push(Child::new(key));
            self.children.len() - 1
        });
        self.children[at].node.insert(rest);
    }

    /// Numbers this node and all below it, from `id`; returns the first number that is free.
    fn number(&mut self, id: usize) -> usize {
        self.id = id;
        self.end = self.children.iter_mut().fold(id + 1, |next, child| child.node.number(next));
        self.end
    }

    fn place(&self, tokens: &[String]) -> usize {
        tokens.split_first().map_or(self.id, |(key, rest)| {
            let at = self.child(key).expect("every pointer was inserted");
            self.children[at].node.place(rest)
        })
    }

    fn child(&self, key: &str) -> Option<usize> {
        self.children.iter().position(|child| child.key == key)
    }

    fn at_index(&self, index: usize) -> Option<&Node> {
        let child = self.children.iter().find(|child| child.index == Some(index))?;
        Some(&child.node)
    }

    fn look<'a>(&'a self, found: &'a mut [Shape]) -> Look<'a> {
        Look { node: self, found }
    }
}

impl Child {
    fn new(key: &str) -> Self {
        let canonical = key == "0" || !key.starts_with(['0', '+']);
        Self { key: key.to_owned(), index: key.parse().ok().filter(|_| canonical), node: Node::default() }
    }
}

/// Reads one value that lies on the way to a place.
struct Look<'a> {
    node: &'a Node,
    found: &'a mut [Shape],
}

impl Look<'_> {
    fn note(self, shape: Shape) {
        self.found[self.node.id] = shape;
    }

    fn note_size(self, is_empty: bool) {
        self.note(if is_empty { Shape::Empty } else { Shape::Filled });
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.note(Shape::Null);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.note(Shape::Filled);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.note(Shape::Filled);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.note(Shape::Filled);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.note(Shape::Filled);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.note_size(text.is_empty());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut length = 0;
        loop {
            let more = match self.node.at_index(length) {
                Some(node) => seq.next_element_seed(node.look(self.found))?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
            length += 1;
        }
        self.note_size(length == 0);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_empty = true;
        while let Some(child) = map.next_key_seed(Key(self.node))? {
            is_empty = false;
            match child {
                Some(at) => {
                    let node = &self.node.children[at].node;
                    // The key may have been here before: forget what stood below it.
                    self.found[node.id..node.end].fill(Shape::Absent);
                    map.next_value_seed(node.look(self.found))?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.note_size(is_empty);
        Ok(())
    }
}

/// Reads a key: which child of the node it leads to.
struct Key<'a>(&'a Node);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.children.is_empty() {
            return IgnoredAny::deserialize(deserializer).map(|_| None);
        }
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.child(key))
    }
}

#[cfg(test)]
mod tests;
