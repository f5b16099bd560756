//! Which places of a JSON document are there: all pointers of a rule set in one pass, without building a tree.
//!
//! The pass reads the whole document, so a body that breaks off, is not UTF-8, or goes on after its end is an error,
//! however early the places were found. Where a document holds a key twice, the last one counts, as it does for
//! `JSON.parse`, `serde_json`, Go and Python. On the way to a place, nesting is limited to `serde_json`'s 128 levels;
//! elsewhere the reader needs no stack, and nesting has no limit.
//!
//! The reader is our own, for speed, and takes for JSON exactly what `serde_json` does, whose visitors are the reference of the
//! tests. Like them it is stricter on the way to a place than elsewhere: numbers have to be in the range of `f64`, and
//! surrogates, in strings and in the keys of objects there, in pairs.

mod skip;
mod token;

use super::pointer::Pointer;
pub(super) use token::NotJson;
use token::{Read, expect, literal, number, space, string_from_mark, to_mark};

/// Containers within each other on the way to a place, as many as `serde_json` would read.
const DEPTH: usize = 127;

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

impl Shape {
    fn of(is_empty: bool) -> Self {
        if is_empty { Self::Empty } else { Self::Filled }
    }
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
    pub(super) fn shapes(&self, body: &[u8]) -> Result<impl Iterator<Item = Shape>, NotJson> {
        // Most JSON is ASCII, and that is told in half the time.
        if !body.is_ascii() {
            std::str::from_utf8(body).map_err(|_| NotJson)?;
        }
        let mut found = vec![Shape::Absent; self.root.end];
        let rest = Look { found: &mut found }.value(&self.root, body, DEPTH)?;
        if !space(rest).is_empty() {
            return Err(NotJson);
        }
        Ok(self.places.iter().map(move |&place| found[place]))
    }
}

impl Node {
    fn insert(&mut self, tokens: &[String]) {
        let Some((key, rest)) = tokens.split_first() else {
            return;
        };
        let at = self.child(key.as_bytes()).unwrap_or_else(|| {
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
            let at = self.child(key.as_bytes()).expect("every pointer was inserted");
            self.children[at].node.place(rest)
        })
    }

    fn child(&self, key: &[u8]) -> Option<usize> {
        self.children.iter().position(|child| child.key.as_bytes() == key)
    }

    /// Reads a key and its colon; gives the child that it leads to, and what follows.
    fn key<'d>(&self, rest: &'d [u8]) -> Result<(Option<usize>, &'d [u8]), NotJson> {
        let rest = expect(b'"', rest)?;
        let (child, after) = match to_mark(rest) {
            mark @ [b'"', after @ ..] => (self.child(&rest[..rest.len() - mark.len()]), after),
            mark => {
                let (key, after) = unescaped(rest, mark)?;
                (self.child(key.as_bytes()), after)
            }
        };
        Ok((child, expect(b':', after)?))
    }

    fn at_index(&self, index: usize) -> Option<&Node> {
        let child = self.children.iter().find(|child| child.index == Some(index))?;
        Some(&child.node)
    }
}

impl Child {
    fn new(key: &str) -> Self {
        let canonical = key == "0" || !key.starts_with(['0', '+']);
        Self { key: key.to_owned(), index: key.parse().ok().filter(|_| canonical), node: Node::default() }
    }
}

/// Reads what lies on the way to places, and notes what stands there.
struct Look<'a> {
    found: &'a mut [Shape],
}

impl Look<'_> {
    /// Reads one value; within it, `depth` more containers may lie on the way.
    fn value<'d>(&mut self, node: &Node, rest: &'d [u8], depth: usize) -> Read<'d> {
        let rest = space(rest);
        let (shape, after) = match rest {
            [b'{', after @ ..] => return self.object(node, after, depth.checked_sub(1).ok_or(NotJson)?),
            [b'[', after @ ..] => return self.array(node, after, depth.checked_sub(1).ok_or(NotJson)?),
            [b'"', after @ ..] => match to_mark(after) {
                mark @ [b'"', end @ ..] => (Shape::of(mark.len() == after.len()), end),
                mark => (Shape::Filled, unescaped(after, mark)?.1),
            },
            [b'n', ..] => (Shape::Null, literal(rest)?),
            [b't' | b'f', ..] => (Shape::Filled, literal(rest)?),
            _ => (Shape::Filled, finite(rest)?),
        };
        self.found[node.id] = shape;
        Ok(after)
    }

    /// Reads an array from behind its bracket.
    fn array<'d>(&mut self, node: &Node, rest: &'d [u8], depth: usize) -> Read<'d> {
        let mut rest = space(rest);
        let is_empty = rest.first() == Some(&b']');
        self.found[node.id] = Shape::of(is_empty);
        if is_empty {
            return Ok(&rest[1..]);
        }
        let places = node.children.iter().filter_map(|child| child.index).max();
        for index in 0..places.map_or(0, |last| last.saturating_add(1)) {
            rest = space(match node.at_index(index) {
                Some(node) => self.value(node, rest, depth)?,
                None => skip::value(rest)?,
            });
            rest = match rest {
                [b',', after @ ..] => after,
                [b']', after @ ..] => return Ok(after),
                _ => return Err(NotJson),
            };
        }
        skip::elements(rest)
    }

    /// Reads an object from behind its brace.
    fn object<'d>(&mut self, node: &Node, rest: &'d [u8], depth: usize) -> Read<'d> {
        let mut rest = space(rest);
        let is_empty = rest.first() == Some(&b'}');
        self.found[node.id] = Shape::of(is_empty);
        if is_empty {
            return Ok(&rest[1..]);
        }
        loop {
            let (child, after) = node.key(rest)?;
            rest = space(match child {
                Some(at) => {
                    let node = &node.children[at].node;
                    // The key may have been here before: forget what stood below it.
                    self.found[node.id..node.end].fill(Shape::Absent);
                    self.value(node, after, depth)?
                }
                None => skip::value(after)?,
            });
            rest = match rest {
                [b',', after @ ..] => after,
                [b'}', after @ ..] => return Ok(after),
                _ => return Err(NotJson),
            };
        }
    }
}

/// Reads a string with escapes from behind its first quotation mark, the first of them at `mark`. They are undone by
/// `serde_json`, which wants surrogates in pairs.
fn unescaped<'d>(rest: &'d [u8], mark: &'d [u8]) -> Result<(String, &'d [u8]), NotJson> {
    let after = string_from_mark(mark)?;
    let quoted = [b"\"", &rest[..rest.len() - after.len()]].concat();
    let text = serde_json::from_slice(&quoted).map_err(|_| NotJson)?;
    Ok((text, after))
}

/// Reads a number that `serde_json` can represent: none beyond the range of `f64`, such as `1e999`.
fn finite(rest: &[u8]) -> Read<'_> {
    let after = number(rest.strip_prefix(b"-").unwrap_or(rest))?;
    let written = &rest[..rest.len() - after.len()];
    let is_finite = serde_json::from_slice::<f64>(written).is_ok();
    if is_finite { Ok(after) } else { Err(NotJson) }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
