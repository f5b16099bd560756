//! Path patterns (`/recommendations/{user}`) and path templates (`/v2{path}`).

/// A pattern of a request path: literal segments, `{name}` for one segment, a final `{name...}` for the rest.
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
