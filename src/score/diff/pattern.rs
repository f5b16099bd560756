//! Places in documents: those people write down, and the one a comparison stands at.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::digest;
use crate::score::{Pointer, PointerError};

/// Deepest path that is told; what differs further down is told there. With the cap on names it bounds the length of a path.
const DEEPEST_PATH: usize = 24;
/// Longest key that is taken for a name; a longer one is data.
const LONGEST_NAME: usize = 48;

/// A place by JSON Pointer, in which `*` stands for any one key or index: `/items/*/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<String>,
}

impl Pattern {
    /// Parses the string form.
    ///
    /// # Errors
    /// When the text is no JSON Pointer.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        Ok(Self { tokens: Pointer::parse(text)?.tokens().to_vec() })
    }

    /// Whether `path`, in the form of [`Difference`](super::Difference), is this place or below it.
    pub fn covers(&self, path: &str) -> bool {
        let mut steps = path.split('/').skip(1);
        self.tokens.iter().all(|token| steps.next().is_some_and(|step| token == "*" || *token == unescape(step)))
    }

    /// Whether `trail` is this very place.
    fn is(&self, trail: &[Step<'_>]) -> bool {
        let fits = |(token, step): (&String, &Step<'_>)| match step {
            Step::Each => token == "*",
            Step::Key(key) => token == "*" || token == key,
        };
        self.tokens.len() == trail.len() && self.tokens.iter().zip(trail).all(fits)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", escape(token)))
    }
}

/// Objects whose keys were found to be data, by [`Trail::digest`].
pub(super) type Maps = HashSet<u64>;

/// One step down.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Each,
}

/// Where a walk stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Trail<'a> {
    pub(super) fn enter(&mut self, key: &'a str) {
        self.steps.push(Step::Key(key));
    }

    /// Into the elements of an array.
    pub(super) fn enter_each(&mut self) {
        self.steps.push(Step::Each);
    }

    pub(super) fn leave(&mut self) {
        self.steps.pop();
    }

    pub(super) fn is(&self, pattern: &Pattern) -> bool {
        pattern.is(&self.steps)
    }

    /// Tells paths apart; the same for all paths that are written alike.
    pub(super) fn digest(&self, maps: &Maps) -> u64 {
        self.steps.iter().take(DEEPEST_PATH).fold(0, |path, step| match step {
            Step::Key(key) if !is_data(key) && !maps.contains(&path) => below(path, &escape(key)),
            _ => below(path, "*"),
        })
    }

    /// The path with `*` for array indices and for keys that are data.
    pub(super) fn path(&self, maps: &Maps) -> String {
        let (mut path, mut text) = (0, String::new());
        for step in self.steps.iter().take(DEEPEST_PATH) {
            let name = match step {
                Step::Key(key) if !is_data(key) && !maps.contains(&path) => escape(key),
                _ => "*".into(),
            };
            path = below(path, &name);
            text.push('/');
            text.push_str(&name);
        }
        text
    }
}

/// Each step of `path` with the digest of the path above it, outermost first.
pub(super) fn steps(path: &str) -> impl Iterator<Item = (u64, &str)> {
    path.split('/').skip(1).scan(0, |at, step| {
        let above = *at;
        *at = below(above, step);
        Some((above, step))
    })
}

/// The digest of the path one step down, and whether that step is `*`.
pub(super) fn child(path: u64, key: &str, maps: &Maps) -> (u64, bool) {
    let star = is_data(key) || maps.contains(&path);
    (if star { below(path, "*") } else { below(path, &escape(key)) }, star)
}

fn below(path: u64, name: &str) -> u64 {
    digest::join(path, digest::bytes(name.as_bytes()))
}

/// Whether a key looks like data rather than a name: a number, a UUID, a date, a long hexadecimal or other identifier, an
/// address. `*` itself is data too, so that it cannot be mistaken for the wildcard.
pub fn is_data(key: &str) -> bool {
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    let dashes = key.bytes().filter(|byte| matches!(byte, b'-' | b':' | b'.' | b'_')).count();
    let hex = key.bytes().filter(u8::is_ascii_hexdigit).count();
    key.is_empty()
        || key == "*"
        || key.len() > LONGEST_NAME
        || key.contains('@')
        || (digits > 0 && digits + dashes == key.len())
        || (digits > 0 && key.len() >= 8 && hex + dashes == key.len())
        || (digits >= 4 && key.len() >= 6)
}

fn escape(token: &str) -> Cow<'_, str> {
    if token.contains(['~', '/']) { token.replace('~', "~0").replace('/', "~1").into() } else { token.into() }
}

/// The token that a step of a path stands for.
pub(super) fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_data_becomes_a_star() {
        let names = ["name", "address2", "line_1", "utf8", "sha256", "x-request-id", "Größe", "é", "feed", "i18n"];
        for name in names {
            assert!(!is_data(name), "{name}");
        }
        let data =
            ["7", "2026-11-20", "0f8fad5b-d9cb-469f-a165-70867728950e", "deadbeef01", "a@b.example", "user_10423", ""];
        for key in data {
            assert!(is_data(key), "{key}");
        }
    }

    #[test]
    fn a_pattern_covers_its_place_and_all_below() {
        let pattern = Pattern::parse("/items/*/a~1b").expect("a pattern");
        assert!(pattern.covers("/items/*/a~1b") && pattern.covers("/items/*/a~1b/c"));
        assert!(!pattern.covers("/items/*") && !pattern.covers("/items/*/a"));
        assert!(Pattern::parse("").expect("all of it").covers("/x"));
        assert_eq!(pattern.to_string(), "/items/*/a~1b");
    }

    #[test]
    fn a_trail_is_written_with_stars_and_digested_alike() {
        let mut trail = Trail::default();
        trail.enter("users");
        trail.enter("10423");
        trail.enter("a/b");
        trail.enter_each();
        let maps = Maps::new();
        assert_eq!(trail.path(&maps), "/users/*/a~1b/*");
        assert_eq!(steps("/users/*/a~1b/*").map(|(_, step)| step).collect::<Vec<_>>(), ["users", "*", "a~1b", "*"]);
        let (users, _) = steps("/users/x").nth(1).expect("two steps");
        let mut other = Trail::default();
        other.enter("users");
        other.enter("ada");
        assert_eq!(other.path(&maps), "/users/ada");
        assert_eq!(other.path(&Maps::from([users])), "/users/*");
        assert_ne!(other.digest(&maps), other.digest(&Maps::from([users])));
    }
}
