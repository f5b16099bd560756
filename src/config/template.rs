//! Path templates: `/v2{path}`.

use std::fmt::Write;

use super::pattern::{Captures, check_characters, identifier, is_escape, is_path};

/// A template of an upstream path: text, `{path}`, `{query}`, and the names of the route's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path,
    Query,
    Named(String),
}

impl PathTemplate {
    /// Parses a template. It starts with `/` or `{path}`; `{query}` stands after a `?` only.
    ///
    /// # Errors
    /// Says what is wrong, as [`super::PathPattern::parse`] does.
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
        Self { out: String::with_capacity(bytes), in_query: false }
    }

    /// Literal text, which was checked when it was parsed.
    fn text(&mut self, text: &str) {
        self.in_query |= text.contains('?');
        self.out.push_str(text);
    }

    /// A path, or a part of one; within the query it stays one value.
    fn value(&mut self, text: &str) {
        let in_query = self.in_query;
        self.encoded(text, |byte| is_path(byte) && !(in_query && matches!(byte, b'&' | b'+' | b';' | b'=')));
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
