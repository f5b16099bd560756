//! How an answer of V2 becomes what V1's consumers expect: values change their places, nothing else changes.
//!
//! `"/customer/name" = "/person/fullName"` moves what stands at V2's place, on the right, to V1's place, on the left. All
//! values are read before the first one is put, so two places can be swapped.
//!
//! - A V2 place where nothing stands: its entry does nothing, and a rule that requires the V1 place finds it `missing`.
//! - Objects that are missing on the way to a V1 place are made; what stands there and cannot hold it (`null`, a string, a
//!   number) makes room for one. In an array, an index that is there is replaced, and the next one appended.
//! - Objects that a move leaves empty are taken away as well. An element of an array is copied, for the others would change
//!   their places.
//! - A program of jq may come first; what it makes of the answer is the document then.
//! - What stands at a V1 place is replaced; what is new comes last in its object.
//! - `*` stands for each element (of an array or an object), at both places the same one: `"/items/*/name" =
//!   "/items/*/title"`. Up to its last `*` a V1 place must be the V2 place, or where another entry moves that to.
//!
//! What no entry touches goes on byte for byte, see [`tree`].

mod lookup;
mod place;
mod tree;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::Body;
use super::decode::{Undecodable, decode};
use super::jq::{JqFault, Program};
use crate::outcome::Cause;

pub(super) use lookup::Lookups;
pub use place::Place;
use place::Token;
use tree::Node;

/// Values of an answer that change their places. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping {
    /// Applied before anything is moved.
    program: Option<Program>,
    root: Scope,
    /// Of the text it was made from.
    hash: u64,
}

/// What changes within one value: the document, or each element of something in it.
#[derive(Debug, Clone, PartialEq, Default)]
struct Scope {
    moves: Vec<Move>,
    /// Where the elements stand before anything is moved, and what changes within each of them.
    each: Vec<(Vec<String>, Scope)>,
}

/// One value that changes its place.
#[derive(Debug, Clone, PartialEq)]
struct Move {
    to: Vec<String>,
    from: Vec<String>,
}

impl Mapping {
    /// A mapping of pairs of places, V1's first.
    ///
    /// # Errors
    /// The index of a pair that contradicts another one or itself, and how.
    pub fn new(pairs: &[(Place, Place)]) -> Result<Self, (usize, MappingError)> {
        let text: Vec<_> = pairs.iter().map(|(to, from)| format!("{to} = {from}")).collect();
        let pairs = pairs.iter().enumerate();
        let pairs = pairs.map(|(index, (to, from))| Pair { index, to: &to.tokens, from: &from.tokens });
        let root = Scope::new(&pairs.collect::<Vec<_>>())?;
        Ok(Self { program: None, root, hash: xxh3_64(text.join("\n").as_bytes()) })
    }

    /// Makes the answer of `program` the document whose values change their places.
    #[must_use]
    pub fn after(self, program: Program) -> Self {
        let hash = xxh3_64(format!("{:x} {}", self.hash, program.text()).as_bytes());
        Self { program: Some(program), hash, ..self }
    }

    /// Whether a program is part of it, which takes time, and [stack](super::JQ_STACK).
    pub const fn has_program(&self) -> bool {
        self.program.is_some()
    }

    /// What tells it from other mappings, in any process: two answers of V2 that are the same bytes are different
    /// representations once they were mapped differently.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether an answer is mapped: JSON (`application/json`, `text/json`, `+json`) with a status 2xx, and with content.
    /// Everything else is served, and scored, as it came.
    pub fn concerns(method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        *method != Method::HEAD && !bodiless && Self::describes(status, headers)
    }

    /// As [`concerns`](Self::concerns), also where the content itself is left out, as it is in an answer to HEAD.
    pub fn describes(status: StatusCode, headers: &HeaderMap) -> bool {
        status.is_success() && is_json(headers)
    }

    /// The content of an answer, as sent, in V1's shape and without its content codings. `cap` bounds its size without
    /// them, in bytes. No content stays none.
    ///
    /// # Errors
    /// See [`MappingFault`].
    pub fn answer(&self, headers: &HeaderMap, sent: &[Bytes], cap: usize) -> Result<Vec<u8>, MappingFault> {
        let sent = Body::Kept(sent).whole().unwrap_or_default();
        let content = decode(headers, sent, cap)?;
        if content.is_empty() {
            return Ok(Vec::new());
        }
        let mapped = self.apply(&content)?.into_owned();
        // A program may make much of little; moving values cannot.
        if self.has_program() && mapped.len() > cap { Err(MappingFault::TooLarge) } else { Ok(mapped) }
    }

    /// Whether it changes nothing, whatever the answer.
    pub fn is_identity(&self) -> bool {
        self.program.is_none() && self.root.is_identity()
    }

    /// The answer with its values in V1's places; borrowed where nothing had to be moved.
    ///
    /// # Errors
    /// When the body is not exactly one JSON document in UTF-8, the program fails on it, or an array has no place for what
    /// belongs there.
    pub fn apply<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, [u8]>, MappingFault> {
        match &self.program {
            None => self.place(body),
            Some(program) => Ok(Cow::Owned(self.place(&run(program, body)?)?.into_owned())),
        }
    }

    fn place<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, [u8]>, MappingFault> {
        let text = std::str::from_utf8(body).map_err(|_| MappingFault::NotJson)?;
        let mut document = Node::document(text)?;
        if !self.root.apply(&mut document)? {
            return Ok(Cow::Borrowed(body));
        }
        let mut mapped = String::with_capacity(text.len() + text.len() / 8);
        document.write(&mut mapped);
        Ok(Cow::Owned(mapped.into_bytes()))
    }
}

/// The content of a request, as sent, as `program` has it, and without its content codings. Takes [stack](super::JQ_STACK). `cap` bounds its size without codings, and that of what the program makes of
/// it, in bytes.
///
/// # Errors
/// See [`MappingFault`].
pub fn map_request(
    program: &Program,
    headers: &HeaderMap,
    sent: &[Bytes],
    cap: usize,
) -> Result<Vec<u8>, MappingFault> {
    let sent = Body::Kept(sent).whole().unwrap_or_default();
    let mapped = run(program, &decode(headers, sent, cap)?)?;
    if mapped.len() > cap { Err(MappingFault::TooLarge) } else { Ok(mapped) }
}

fn run(program: &Program, body: &[u8]) -> Result<Vec<u8>, MappingFault> {
    let input = serde_json::from_slice(body).map_err(|_| MappingFault::NotJson)?;
    let output = program.run(input).map_err(MappingFault::Program)?;
    serde_json::to_vec(&output).map_err(|_| MappingFault::NotJson)
}

/// Whether the content type is JSON, or built on it (RFC 6839, section 3.1).
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind.ends_with(b"+json") || kind == b"application/json" || kind == b"text/json"
}

/// A pair as far as it lies within a scope.
#[derive(Clone, Copy)]
struct Pair<'a> {
    index: usize,
    to: &'a [Token],
    from: &'a [Token],
}

impl Scope {
    fn new(pairs: &[Pair<'_>]) -> Result<Self, (usize, MappingError)> {
        let mut scope = Self::default();
        let mut within: Vec<(Vec<String>, Vec<Pair<'_>>)> = Vec::new();
        let (starred, plain): (Vec<&Pair<'_>>, Vec<_>) = pairs.iter().partition(|pair| pair.has_star());
        for pair in plain {
            scope.add(pair).map_err(|error| (pair.index, error))?;
        }
        scope.leave_in_place();
        for pair in starred {
            let (list, inner) = scope.enter(pair).map_err(|error| (pair.index, error))?;
            match within.iter_mut().find(|(known, _)| *known == list) {
                Some((_, pairs)) => pairs.push(inner),
                None => within.push((list, vec![inner])),
            }
        }
        let each = within.into_iter().map(|(list, pairs)| Ok((list, Self::new(&pairs)?)));
        scope.each = each.collect::<Result<_, _>>()?;
        Ok(scope)
    }

    fn add(&mut self, pair: &Pair<'_>) -> Result<(), MappingError> {
        let new = Move { to: keys(pair.to), from: keys(pair.from) };
        let overlaps = |old: &Move| old.to.starts_with(&new.to) || new.to.starts_with(&old.to);
        if self.moves.iter().any(overlaps) {
            return Err(MappingError::Overlap);
        }
        self.moves.push(new);
        Ok(())
    }

    /// Forgets what moves to where it is, unless something else would take it, or a part of it, from there.
    fn leave_in_place(&mut self) {
        let taken: Vec<_> = self.moves.iter().filter(|it| it.to != it.from).map(|it| it.from.clone()).collect();
        let meets = |place: &Vec<String>| taken.iter().any(|it| it.starts_with(place) || place.starts_with(it));
        self.moves.retain(|it| it.to != it.from || meets(&it.to));
    }

    /// The place of the elements that a pair with a star is about, and what it says of each.
    fn enter<'a>(&self, pair: &Pair<'a>) -> Result<(Vec<String>, Pair<'a>), MappingError> {
        let (to, from) = (split(pair.to).ok_or(MappingError::Stars)?, split(pair.from).ok_or(MappingError::Stars)?);
        if self.origin(keys(to.0)) != keys(from.0) {
            return Err(MappingError::OtherElements);
        }
        Ok((keys(from.0), Pair { index: pair.index, to: to.1, from: from.1 }))
    }

    /// Where what stands at a V1 place comes from.
    fn origin(&self, to: Vec<String>) -> Vec<String> {
        match self.moves.iter().find(|it| to.starts_with(&it.to)) {
            Some(it) => [&it.from, &to[it.to.len()..]].concat(),
            None => to,
        }
    }

    fn is_identity(&self) -> bool {
        self.moves.is_empty() && self.each.iter().all(|(_, scope)| scope.is_identity())
    }

    /// Whether anything changed.
    fn apply(&self, value: &mut Node<'_>) -> Result<bool, MappingFault> {
        let mut changed = false;
        for (list, scope) in &self.each {
            let Some(list) = value.at(list)? else { continue };
            for item in list.items()? {
                changed |= scope.apply(&mut item.value)?;
            }
        }
        let mut read = Vec::with_capacity(self.moves.len());
        for it in &self.moves {
            read.extend(value.at(&it.from)?.map(|found| (it, found.clone())));
        }
        for (it, _) in &read {
            if it.from.is_empty() {
                *value = Node::Text("{}");
            } else {
                value.take_away(&it.from)?;
            }
        }
        changed |= !read.is_empty();
        read.into_iter().try_for_each(|(it, found)| value.put(&it.to, found))?;
        Ok(changed)
    }
}

impl Pair<'_> {
    fn has_star(&self) -> bool {
        self.to.contains(&Token::Each) || self.from.contains(&Token::Each)
    }
}

/// The tokens before the first star and those behind it.
fn split(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let star = tokens.iter().position(|token| *token == Token::Each)?;
    Some((&tokens[..star], &tokens[star + 1..]))
}

fn keys(tokens: &[Token]) -> Vec<String> {
    let key = |token: &Token| match token {
        Token::Key(key) => Some(key.clone()),
        Token::Each => None,
    };
    tokens.iter().filter_map(key).collect()
}

/// Why places do not make a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingError {
    /// Two V1 places are the same, or one lies within the other.
    Overlap,
    /// One place has more stars than the other.
    Stars,
    /// Up to a star, V1's place is neither V2's nor where that is moved to.
    OtherElements,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlap => "this V1 place is, holds or lies within that of an earlier entry",
            Self::Stars => "both places need the same number of `*`",
            Self::OtherElements => "up to the last `*`, both places have to name the same elements",
        })
    }
}

impl std::error::Error for MappingError {}

/// Why an answer could not be mapped. Says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingFault {
    /// It is not exactly one JSON document in UTF-8.
    NotJson,
    /// An array on the way to a V1 place is too short to have this index.
    NoSuchIndex(usize),
    /// The program failed on it.
    Program(JqFault),
    /// Its content coding is unknown, or was broken off.
    Coding,
    /// Its content, without its coding, is larger than the cap.
    TooLarge,
}

impl MappingFault {
    /// The cause of the fallback that such an answer is.
    pub const fn cause(self) -> Cause {
        match self {
            Self::NotJson | Self::Coding => Cause::Decode,
            Self::NoSuchIndex(_) | Self::Program(_) => Cause::Rule,
            Self::TooLarge => Cause::TooLarge,
        }
    }
}

impl From<Undecodable> for MappingFault {
    fn from(error: Undecodable) -> Self {
        match error {
            Undecodable::Broken => Self::Coding,
            Undecodable::TooLarge => Self::TooLarge,
        }
    }
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("it is no JSON document"),
            Self::NoSuchIndex(index) => write!(f, "an array in it has no place for index {index}"),
            Self::Program(fault) => fault.fmt(f),
            Self::Coding => f.write_str("its content coding is unknown or broken"),
            Self::TooLarge => f.write_str("it is too large"),
        }
    }
}

impl std::error::Error for MappingFault {}

#[cfg(test)]
mod tests;
