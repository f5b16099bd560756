//! A document of which only the objects and arrays on the way to a place are taken apart. Everything else is a piece of the
//! original text and goes on byte for byte: numbers keep their digits, objects their order, layout and duplicate keys.
//!
//! Each level is read by `serde_json`, which validates all of it: once the root was opened, the whole text is known to be
//! JSON. Reading does not recurse, and the depth of a tree is that of the deepest place.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::MappingFault;

/// A value of the document.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    /// As it was written; an object or array only until it is opened, or if it is empty.
    Text(&'a str),
    Object(Vec<Item<'a>>),
    Array(Vec<Item<'a>>),
}

/// A member of an object or an element of an array.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// From the comma or bracket before it to its value: the key as written, and white space.
    before: Cow<'a, str>,
    /// Empty for elements.
    key: Cow<'a, str>,
    pub(super) value: Node<'a>,
    /// From its value to the comma or bracket after it.
    after: &'a str,
}

impl<'a> Node<'a> {
    /// The document.
    ///
    /// # Errors
    /// When the text is not exactly one JSON document.
    pub(super) fn document(text: &'a str) -> Result<Self, MappingFault> {
        let mut root = Self::Text(text.trim_matches([' ', '\t', '\r', '\n']));
        if !root.open()? {
            serde_json::from_str::<&RawValue>(text).map_err(|_| MappingFault::NotJson)?;
        }
        Ok(root)
    }

    /// What is in it, each with its key where it is an object; nothing for a scalar.
    pub(super) fn items(&mut self) -> Result<&mut [Item<'a>], MappingFault> {
        self.open()?;
        Ok(match self {
            Self::Object(items) | Self::Array(items) => items,
            Self::Text(_) => &mut [],
        })
    }

    /// What stands at a place; of a key that is there twice, the last one.
    pub(super) fn at(&mut self, path: &[String]) -> Result<Option<&mut Self>, MappingFault> {
        let Some((key, rest)) = path.split_first() else { return Ok(Some(self)) };
        match self.child(key)? {
            Some(child) => child.at(rest),
            None => Ok(None),
        }
    }

    fn child(&mut self, key: &str) -> Result<Option<&mut Self>, MappingFault> {
        self.open()?;
        let found = match self {
            Self::Object(items) => items.iter_mut().rfind(|item| item.key == key),
            Self::Array(items) => index(key).and_then(|at| items.get_mut(at)),
            Self::Text(_) => None,
        };
        Ok(found.map(|item| &mut item.value))
    }

    /// Takes away what stands at a place, with the objects that this leaves empty. Elements of arrays stay: the others would
    /// change their places. Whether nothing is left.
    pub(super) fn take_away(&mut self, path: &[String]) -> Result<bool, MappingFault> {
        let Some((key, rest)) = path.split_first() else { return Ok(true) };
        let Some(child) = self.child(key)? else { return Ok(false) };
        let gone = child.take_away(rest)?;
        let Self::Object(items) = self else { return Ok(false) };
        if gone {
            items.retain(|item| item.key != *key);
        }
        Ok(items.is_empty())
    }

    /// Puts a value at a place, and objects where there is nothing on the way that could hold it.
    ///
    /// # Errors
    /// When an array on the way has neither that index nor room for it as its next one.
    pub(super) fn put(&mut self, path: &[String], value: Self) -> Result<(), MappingFault> {
        let Some((key, rest)) = path.split_first() else {
            *self = value;
            return Ok(());
        };
        self.open()?;
        if let (Self::Text("[]") | Self::Array(_), Some(at)) = (&*self, index(key)) {
            return self.element(at)?.put(rest, value);
        }
        self.member(key).put(rest, value)
    }

    fn element(&mut self, at: usize) -> Result<&mut Self, MappingFault> {
        if let Self::Text(_) = self {
            *self = Self::Array(Vec::new());
        }
        let Self::Array(items) = self else { return Err(MappingFault::NoSuchIndex(at)) };
        if at == items.len() {
            items.push(Item::element());
        }
        items.get_mut(at).map(|item| &mut item.value).ok_or(MappingFault::NoSuchIndex(at))
    }

    fn member(&mut self, key: &str) -> &mut Self {
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        match self {
            Self::Object(items) => only(items, key),
            other => other,
        }
    }

    /// Takes the value apart, one level; whether it can be.
    fn open(&mut self) -> Result<bool, MappingFault> {
        let Self::Text(text) = *self else { return Ok(true) };
        let is_object = match text.as_bytes().first() {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return Ok(false),
        };
        let items = level(text).map_err(|_| MappingFault::NotJson)?;
        *self = match (items.is_empty(), is_object) {
            // Blanks between the brackets are not worth a rule of their own.
            (true, true) => Self::Text("{}"),
            (true, false) => Self::Text("[]"),
            (false, true) => Self::Object(items),
            (false, false) => Self::Array(items),
        };
        Ok(true)
    }

    /// Writes the value.
    pub(super) fn write(&self, out: &mut String) {
        let (brackets, items) = match self {
            Self::Text(text) => return out.push_str(text),
            Self::Object(items) => (['{', '}'], items),
            Self::Array(items) => (['[', ']'], items),
        };
        out.push(brackets[0]);
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&item.before);
            item.value.write(out);
            out.push_str(item.after);
        }
        out.push(brackets[1]);
    }
}

impl Item<'_> {
    /// An element that is about to be put.
    const fn element() -> Self {
        Self { before: Cow::Borrowed(""), key: Cow::Borrowed(""), value: Node::Text("null"), after: "" }
    }

    /// A member that is about to be put.
    fn member(key: &str) -> Self {
        let before = Cow::Owned(format!("{}:", serde_json::Value::from(key)));
        Self { before, key: Cow::Owned(key.to_owned()), ..Self::element() }
    }
}

/// The one member of that key: the last one that is there, without those before it, or a new one.
fn only<'i, 'a>(items: &'i mut Vec<Item<'a>>, key: &str) -> &'i mut Node<'a> {
    let is_it = |item: &Item<'_>| item.key == key;
    let at = if let Some(last) = items.iter().rposition(is_it) {
        let mut next = 0;
        items.retain(|item| {
            next += 1;
            next > last || !is_it(item)
        });
        items.iter().position(is_it)
    } else {
        items.push(Item::member(key));
        None
    };
    let at = at.unwrap_or(items.len() - 1);
    &mut items[at].value
}

/// The key as an array index, where it is one (RFC 6901, section 4: no sign, no leading zero).
pub(super) fn index(key: &str) -> Option<usize> {
    let canonical = key == "0" || !key.starts_with(['0', '+']);
    key.parse().ok().filter(|_| canonical)
}

/// The items of an object or array that fills the text.
fn level(text: &str) -> Result<Vec<Item<'_>>, serde_json::Error> {
    let mut document = serde_json::Deserializer::from_str(text);
    let items = Level(text).deserialize(&mut document)?;
    document.end()?;
    Ok(items)
}

/// Reads one level of a text.
struct Level<'a>(&'a str);

impl<'a> DeserializeSeed<'a> for Level<'a> {
    type Value = Vec<Item<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Level<'a> {
    /// One more item, whose value has been read; the piece before it belongs to it and to the one before.
    fn push(&self, items: &mut Vec<Item<'a>>, end: &mut usize, key: Cow<'a, str>, value: &'a RawValue) {
        let value = value.get();
        let start = value.as_ptr() as usize - self.0.as_ptr() as usize;
        let between = &self.0[*end..start];
        let before = match items.last_mut() {
            None => between,
            Some(last) => {
                let (after, before) = between.split_once(',').unwrap_or(("", between));
                last.after = after;
                before
            }
        };
        *end = start + value.len();
        items.push(Item { before: Cow::Borrowed(before), key, value: Node::Text(value), after: "" });
    }

    fn finish(&self, mut items: Vec<Item<'a>>, end: usize) -> Vec<Item<'a>> {
        if let Some(last) = items.last_mut() {
            last.after = &self.0[end..self.0.len() - 1];
        }
        items
    }
}

impl<'a> Visitor<'a> for Level<'a> {
    type Value = Vec<Item<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut end) = (Vec::new(), 1);
        while let Some(key) = map.next_key_seed(Key)? {
            let value = map.next_value()?;
            self.push(&mut items, &mut end, key, value);
        }
        Ok(self.finish(items, end))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut end) = (Vec::new(), 1);
        while let Some(value) = seq.next_element()? {
            self.push(&mut items, &mut end, Cow::Borrowed(""), value);
        }
        Ok(self.finish(items, end))
    }
}

/// A key, borrowed where nothing in it is escaped.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
