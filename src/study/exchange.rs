//! What a worker hands over of one request: how both legs ended, and their bodies as they came.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::feed::Kept;
use crate::config::{Dependency, Live};
use crate::outcome::Outcome;
use crate::score::{Flaws, Mapping, Scorer, decoded};

/// One request that is worth a look.
pub struct Exchange {
    /// The revision under which it was answered.
    pub live: Arc<Live>,
    /// Whose it was.
    pub dependency: Arc<Dependency>,
    /// On which of its routes.
    pub route: usize,
    /// Names V2's flaws.
    pub scorer: Arc<Scorer>,
    /// The trace it belonged to: 32 hexadecimal digits.
    pub trace: Option<String>,
    /// Both answers are there and to be compared.
    pub is_pair: bool,
    /// V2's answer is a fallback, and to be kept for people to look at.
    pub is_sample: bool,
    /// V1's leg, if it was called and counted.
    pub v1: Option<Leg>,
    /// V2's leg, if it was called and counted.
    pub v2: Option<Leg>,
    /// What V1 answered when it was asked the same again.
    pub noise: Option<Box<Answer>>,
}

/// How one backend did.
pub struct Leg {
    /// What its answer was worth.
    pub outcome: Outcome,
    /// What was wrong with it.
    pub flaws: Flaws,
    /// The answer itself, where there was one and it was kept.
    pub answer: Option<Box<Answer>>,
}

/// A complete answer.
pub struct Answer {
    /// Of the answer's head.
    pub status: StatusCode,
    /// What it says it is.
    pub kind: ContentKind,
    /// From the call to the end of the answer's head.
    pub latency: Duration,
    /// The content codings, and the headers of the allow list.
    pub headers: HeaderMap,
    /// Of its content as sent, in bytes.
    pub size: u64,
    /// The content as sent; `None` where only its size is known.
    pub content: Option<Kept>,
    /// Makes V1's shape of the content, where that is still in V2's.
    pub mapping: Option<Arc<Mapping>>,
}

impl Answer {
    /// The content as a consumer would get it, without its codings; `None` where it was not kept, or cannot be had in at most
    /// `most` bytes.
    pub(super) fn shown(&self, most: usize) -> Option<Cow<'_, [u8]>> {
        let content = self.decoded(most)?;
        let Some(mapping) = self.mapping.as_ref().filter(|_| !content.is_empty()) else { return Some(content) };
        // Programs are run before anybody looks: this one failed.
        if mapping.has_program() { None } else { Some(mapping.apply(&content).ok()?.into_owned().into()) }
    }

    /// The content as the backend meant it.
    pub(super) fn decoded(&self, most: usize) -> Option<Cow<'_, [u8]>> {
        decoded(&self.headers, self.content.as_ref()?.pieces(), most)
    }
}

/// What an answer says it is, as far as that is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentKind {
    /// It does not say.
    #[default]
    None,
    /// `application/json`, and whatever ends in `+json`.
    Json,
    /// XML.
    Xml,
    /// HTML.
    Html,
    /// Any other text.
    Text,
    /// Anything else.
    Other,
}

impl ContentKind {
    /// Of the value of `content-type`.
    pub fn of(value: &[u8]) -> Self {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let begins = |with: &[u8]| essence.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with));
        let ends = |with: &[u8]| {
            let start = essence.len().checked_sub(with.len());
            start.is_some_and(|start| essence[start..].eq_ignore_ascii_case(with))
        };
        match () {
            () if essence.is_empty() => Self::None,
            () if ends(b"/json") || ends(b"+json") || ends(b"ndjson") => Self::Json,
            () if ends(b"/html") || ends(b"/xhtml+xml") => Self::Html,
            () if ends(b"/xml") || ends(b"+xml") => Self::Xml,
            () if begins(b"text/") => Self::Text,
            () => Self::Other,
        }
    }

    /// A word; `None` where the answer does not say.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Json => Some("json"),
            Self::Xml => Some("xml"),
            Self::Html => Some("html"),
            Self::Text => Some("text"),
            Self::Other => Some("other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_one_of_a_few_words() {
        let table: [(&[u8], _); 7] = [
            (b"application/json; charset=utf-8", Some("json")),
            (b"Application/Problem+JSON", Some("json")),
            (b"text/html", Some("html")),
            (b"application/soap+xml", Some("xml")),
            (b"text/csv", Some("text")),
            (b"application/grpc", Some("other")),
            (b"", None),
        ];
        for (value, kind) in table {
            assert_eq!(ContentKind::of(value).as_str(), kind, "{}", value.escape_ascii());
        }
    }
}
