//! Path patterns: `/recommendations/{user}`.
//!
//! A path has one reading: dots, empty segments and percent-encoding are matched literally, never decoded or removed,
//! so that what is matched here is what the backend gets.

use std::fmt;

/// A pattern of a request path: literal segments, `{name}` for one segment, a final `{name...}` for the rest.
///
/// `{name}` matches one segment that is not empty. `{name...}` matches everything after its slash, also nothing:
/// `/files/{rest...}` matches `/files/` and `/files/a/b`, not `/files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One(String),
    Rest(String),
}

/// What the names of a pattern stand for in one path. Borrows both; finding a value walks the path again, which is
/// cheaper than storing values that nobody asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Captures<'a> {
    of: Option<(&'a PathPattern, &'a str)>,
}

impl<'a> Captures<'a> {
    /// The captures of a route without a pattern.
    pub const NONE: Self = Self { of: None };

    /// The part of the path that a name stands for, as it was received; `None` when the pattern has no such name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (pattern, path) = self.of?;
        let mut rest = path.strip_prefix('/')?;
        for segment in &pattern.segments {
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::One(own) if own == name => return Some(head),
                Segment::Rest(own) if own == name => return Some(rest),
                _ => rest = tail,
            }
        }
        None
    }
}

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Says what is wrong: no slash at the start, a character that no path may hold (RFC 3986, section 3.3), a name that
    /// is no identifier or stands twice, `{name...}` before the end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or_else(|| format!("`{}` does not start with /", text.escape_debug()))?;
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        let pattern = Self { segments };
        pattern.names_once()?;
        Ok(pattern)
    }

    fn names_once(&self) -> Result<(), String> {
        for (n, segment) in self.segments.iter().enumerate() {
            if matches!(segment, Segment::Rest(_)) && n + 1 < self.segments.len() {
                return Err("{name...} stands before the end".to_owned());
            }
            if let Some(name) = segment.name()
                && self.segments[..n].iter().any(|other| other.name() == Some(name))
            {
                return Err(format!("{{{name}}} stands twice"));
            }
        }
        Ok(())
    }

    /// The captures, if the whole path matches. Does not allocate.
    pub fn matches<'a>(&'a self, path: &'a str) -> Option<Captures<'a>> {
        let mut rest = Some(path.strip_prefix('/')?);
        for segment in &self.segments {
            let (head, tail) = match rest?.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (rest?, None),
            };
            match segment {
                Segment::Rest(_) => return Some(Captures { of: Some((self, path)) }),
                Segment::Literal(text) if text != head => return None,
                Segment::One(_) if head.is_empty() => return None,
                Segment::Literal(_) | Segment::One(_) => rest = tail,
            }
        }
        rest.is_none().then_some(Captures { of: Some((self, path)) })
    }

    /// The one path that matches; `None` for a pattern with names.
    pub fn literal(&self) -> Option<String> {
        self.segments.iter().all(|segment| segment.name().is_none()).then(|| self.to_string())
    }

    /// Whether a name stands in the pattern.
    pub fn captures_name(&self, name: &str) -> bool {
        self.segments.iter().any(|segment| segment.name() == Some(name))
    }

    /// Whether some path that matches lies below a prefix of whole segments.
    pub(super) fn can_be_below(&self, prefix: &str) -> bool {
        let mut own = self.segments.iter();
        for wanted in prefix.split('/').skip(1) {
            match own.next() {
                Some(Segment::Literal(text)) if text != wanted => return false,
                Some(Segment::Rest(_)) => return true,
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    /// Whether every path that `other` matches is matched by this pattern as well.
    pub(super) fn covers(&self, other: &Self) -> bool {
        for (n, own) in self.segments.iter().enumerate() {
            let covered = match (own, other.segments.get(n)) {
                (Segment::Rest(_), Some(_)) => return true,
                (Segment::One(_), Some(Segment::Literal(text))) => !text.is_empty(),
                (Segment::One(_), Some(Segment::One(_))) => true,
                (Segment::Literal(own), Some(Segment::Literal(theirs))) => own == theirs,
                _ => false,
            };
            if !covered {
                return false;
            }
        }
        self.segments.len() == other.segments.len()
    }
}

/// As it was written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::One(name) => write!(f, "/{{{name}}}"),
            Segment::Rest(name) => write!(f, "/{{{name}...}}"),
        })
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::One(name) | Self::Rest(name) => Some(name),
        }
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        check_characters(text)?;
        return Ok(Segment::Literal(text.to_owned()));
    };
    match inner.strip_suffix("...") {
        Some(name) => Ok(Segment::Rest(identifier(name)?)),
        None => Ok(Segment::One(identifier(inner)?)),
    }
}

pub(super) fn identifier(name: &str) -> Result<String, String> {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if name.contains(['{', '}']) {
        return Err("a {name} takes a whole segment".to_owned());
    }
    if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("{{{}}} is no name: use letters, digits and _", name.escape_debug()));
    }
    if matches!(name, "path" | "query") {
        return Err(format!("{{{name}}} means the whole {name} of the request"));
    }
    Ok(name.to_owned())
}

/// Whether a text is a literal path: starts with a slash, and holds what RFC 3986, section 3.3 allows.
pub(super) fn check_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err(format!("`{}` does not start with /", text.escape_debug()));
    }
    check_characters(text)
}

pub(super) fn check_characters(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let wrong = (0..bytes.len()).find(|at| !(is_path(bytes[*at]) || is_escape(&bytes[*at..])));
    Err(match wrong.map(|at| bytes[at]) {
        None => return Ok(()),
        Some(b'{' | b'}') => "a {name} takes a whole segment",
        Some(b'%') => "% is followed by two hexadecimal digits",
        Some(b'?' | b'#') => "a path ends before ? and #",
        Some(_) => "a character that no path may hold: write it percent-encoded",
    }
    .to_owned())
}

/// Characters of a path: pchar and the slash (RFC 3986, section 3.3), without the percent sign.
pub(super) const fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
        )
}

/// Whether the bytes begin with a percent-encoded one.
pub(super) fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
