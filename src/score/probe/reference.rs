//! The same pass by `serde_json` and its visitors: what every verdict and every shape is held against.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Node, Probe, Shape};

pub(super) fn shapes(probe: &Probe, body: &[u8]) -> Result<Vec<Shape>, serde_json::Error> {
    // serde_json skips over ignored strings without looking at their encoding, hence the check of its own.
    let text = std::str::from_utf8(body).map_err(serde_json::Error::custom)?;
    let mut found = vec![Shape::Absent; probe.root.end];
    let mut document = serde_json::Deserializer::from_str(text);
    Look { node: &probe.root, found: &mut found }.deserialize(&mut document)?;
    document.end()?;
    Ok(probe.places.iter().map(|&place| found[place]).collect())
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
                Some(node) => seq.next_element_seed(Look { node, found: self.found })?.is_some(),
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
                    map.next_value_seed(Look { node, found: self.found })?;
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
        Ok(self.0.child(key.as_bytes()))
    }
}
