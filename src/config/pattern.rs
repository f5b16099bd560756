//! Path patterns (`/recommendations/{user}`) and path templates (`/v2{path}`).
//!
//! A path has one reading: dots, empty segments and percent-encoding are matched literally, never decoded or removed,
//! so that what is matched here is what the backend gets.

use std::fmt::Write;

/// A pattern of a request path: literal segments, `{name}` for one segment, a final `{name...}` for the rest.
///
/// `{name}` matches one segment that is not empty. `{name...}` matches everything after its slash, also nothing:
/// `/files/{rest...}` matches `/files/` and `/files/a/b`, not `/files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

/// A template of an upstream path: text, `{path}`, `{query}`, and the names of the route's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One(String),
    Rest(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path,
    Query,
    Named(String),
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
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| format!("`{}` does not start with /", text.escape_debug()))?;
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

    /// Whether a name stands in the pattern.
    pub fn captures_name(&self, name: &str) -> bool {
        self.segments.iter().any(|segment| segment.name() == Some(name))
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

fn identifier(name: &str) -> Result<String, String> {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!(
            "{{{}}} is no name: use letters, digits and _",
            name.escape_debug()
        ));
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

fn check_characters(text: &str) -> Result<(), String> {
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
const fn is_path(byte: u8) -> bool {
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
fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

impl PathTemplate {
    /// Parses a template. It starts with `/` or `{path}`; `{query}` stands after a `?` only.
    ///
    /// # Errors
    /// Says what is wrong, as [`PathPattern::parse`] does.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') && !text.starts_with("{path}") {
            return Err("starts with neither / nor {path}".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').ok_or("a { without its }")?;
            push_text(&mut pieces, before);
            pieces.push(Piece::named(name)?);
            rest = tail;
        }
        push_text(&mut pieces, rest);
        let template = Self { pieces };
        template.check()?;
        Ok(template)
    }

    fn check(&self) -> Result<(), String> {
        let mut in_query = false;
        for piece in &self.pieces {
            match piece {
                Piece::Query if !in_query => return Err("{query} stands before any ?".to_owned()),
                Piece::Text(text) => in_query = check_text(text, in_query)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The names that a route has to capture.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Named(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The path and query to send: always valid by RFC 3986, whatever a lenient parser let through.
    ///
    /// `query` comes without its `?`. A template without a `?` keeps the query as it is. Values put into a query have
    /// `&`, `+`, `;` and `=` encoded, so that they stay one value. A template with a name that the route did not capture
    /// does not apply: path and query stay as they are.
    /// So does the `*` of `OPTIONS *`, which is no path (RFC 9112, section 3.2.4).
    pub fn render(&self, path: &str, query: Option<&str>, captures: &Captures<'_>) -> String {
        if path == "*" {
            return path.to_owned();
        }
        let mut out = Rendering::with_capacity(path.len() + query.map_or(0, str::len) + 16);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.text(text),
                Piece::Path => out.value(path),
                Piece::Query => out.query(query.unwrap_or_default()),
                Piece::Named(name) => match captures.get(name) {
                    Some(value) => out.value(value),
                    None => return unchanged(path, query),
                },
            }
        }
        out.finish(query)
    }
}

impl Piece {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "path" => Ok(Self::Path),
            "query" => Ok(Self::Query),
            name => identifier(name).map(Self::Named),
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Checks literal text of a template; says whether the query has begun after it.
fn check_text(text: &str, in_query: bool) -> Result<bool, String> {
    match text.split_once('?') {
        None if in_query => check_characters(&text.replace('?', "")).map(|()| true),
        None => check_characters(text).map(|()| false),
        Some((path, query)) => {
            check_characters(path)?;
            check_characters(&query.replace('?', "")).map(|()| true)
        }
    }
}

fn unchanged(path: &str, query: Option<&str>) -> String {
    let mut out = Rendering::with_capacity(path.len() + query.map_or(0, str::len) + 1);
    out.value(path);
    out.finish(query)
}

/// A path and query being written.
struct Rendering {
    out: String,
    in_query: bool,
}

impl Rendering {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
            in_query: false,
        }
    }

    /// Literal text, which was checked when it was parsed.
    fn text(&mut self, text: &str) {
        self.in_query |= text.contains('?');
        self.out.push_str(text);
    }

    /// A path, or a part of one; within the query it stays one value.
    fn value(&mut self, text: &str) {
        let in_query = self.in_query;
        self.encoded(text, |byte| {
            is_path(byte) && !(in_query && matches!(byte, b'&' | b'+' | b';' | b'='))
        });
    }

    /// A query (RFC 3986, section 3.4).
    fn query(&mut self, text: &str) {
        self.encoded(text, |byte| is_path(byte) || byte == b'?');
    }

    fn encoded(&mut self, text: &str, plain: impl Fn(u8) -> bool) {
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            if plain(*byte) || is_escape(&bytes[at..]) {
                self.out.push(char::from(*byte));
            } else {
                write!(self.out, "%{byte:02X}").expect("a String takes every write");
            }
        }
    }

    /// Appends the query where the template has none of its own; an empty one that was there leaves no `?`.
    fn finish(mut self, query: Option<&str>) -> String {
        match query {
            Some(query) if !self.in_query => {
                self.out.push('?');
                self.query(query);
            }
            None if self.in_query => {
                let kept = self.out.trim_end_matches(['?', '&']).len();
                self.out.truncate(kept);
            }
            _ => {}
        }
        if !self.out.starts_with('/') {
            self.out.insert(0, '/');
        }
        self.out
    }
}

#[cfg(test)]
mod tests;
