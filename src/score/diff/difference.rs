//! One way in which two answers differ.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is different at a place. V1's answer is what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Only V1's answer has the place.
    Missing,
    /// Only V2's answer has the place.
    Extra,
    /// Both have it, with values of different JSON types. An integer and a fraction are both numbers.
    Type,
    /// Both have it, of one type, with different values.
    Value,
    /// The elements are there, in another order.
    Order,
    /// Missing here, and the same value is extra elsewhere.
    Moved,
    /// At least one of the bodies is no JSON, and their bytes differ.
    Body,
    /// The status codes differ; bodies are not compared then.
    Status,
    /// The media types differ, parameters aside.
    ContentType,
}

impl Kind {
    /// As it is written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Value => "value",
            Self::Order => "order",
            Self::Moved => "moved",
            Self::Body => "body",
            Self::Status => "status",
            Self::ContentType => "content_type",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A difference between two answers; each path and kind is named once per comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// JSON Pointer with `*` for array indices and for keys that are data; empty for the whole document.
    pub path: String,
    /// What is different there.
    pub kind: Kind,
    /// Where the value is in V2's answer, for [`Kind::Moved`].
    pub to: Option<String>,
}
