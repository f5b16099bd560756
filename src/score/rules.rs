//! The rules of one route, validated: what makes an answer rich.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use super::jq::Program;
use super::pointer::Pointer;
use super::text::TextRules;

/// What counts as rich on one route. The default is the rule of a route without a `score` table: 2xx with a body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Statuses that may be rich; empty: any 2xx.
    pub status: Vec<StatusCode>,
    /// Places that must be present and not null.
    pub required: Vec<Pointer>,
    /// Places that must be present, not null, and not `""`, `[]` or `{}`.
    pub non_empty: Vec<Pointer>,
    /// Least size of the decoded body, in bytes; `None`: at least one byte.
    pub min_bytes: Option<u64>,
    /// Longest time to the end of the answer's head; `None`: any.
    pub max_latency: Option<Duration>,
    /// What the answer's headers must say.
    pub headers: Vec<AnswerHeader>,
    /// What the decoded body must say, as text.
    pub text: TextRules,
    /// Must be true of the decoded body, which is JSON.
    pub rich: Option<Program>,
    /// What is counted in no hit rate.
    pub exclude: Exclude,
}

/// A header that an answer must have.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerHeader {
    /// The name, lower case.
    pub name: HeaderName,
    /// Any of these values, whatever their case; one that ends with `*` stands for all that begin like it, `"*"` for any.
    pub values: Vec<String>,
}

impl AnswerHeader {
    /// Whether one of the header's values is one of the wanted ones.
    pub(super) fn holds(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(&self.name)
            .iter()
            .any(|value| self.values.iter().any(|wanted| is_like(value.as_bytes(), wanted)))
    }
}

fn is_like(value: &[u8], wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => value.get(..beginning.len()).is_some_and(|it| it.eq_ignore_ascii_case(beginning.as_bytes())),
        None => value.eq_ignore_ascii_case(wanted.as_bytes()),
    }
}

/// Answers and requests that enter no hit rate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exclude {
    /// Statuses of the answer.
    pub status: Vec<StatusCode>,
    /// Headers of the request; all consumers' synthetic traffic carries one, say.
    pub headers: Vec<HeaderMatch>,
}

impl Exclude {
    /// Whether a request is excluded, whatever its answer: it has one of the `headers`.
    pub fn matches_request(&self, request: &HeaderMap) -> bool {
        self.headers.iter().any(|wanted| wanted.matches(request))
    }
}

/// A header with a wanted value.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatch {
    /// The name, lower case.
    pub name: HeaderName,
    /// Any of these values; `None` (written `"*"`): the header is present.
    pub values: Option<Vec<String>>,
}

impl HeaderMatch {
    /// Whether one of the header's values is, byte for byte, one of the wanted ones.
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        let mut present = headers.get_all(&self.name).iter();
        match &self.values {
            None => present.next().is_some(),
            Some(wanted) => present.any(|value| wanted.iter().any(|want| want.as_bytes() == value.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn synthetic(values: Option<&[&str]>) -> Exclude {
        let values = values.map(|values| values.iter().map(ToString::to_string).collect());
        let name = HeaderName::from_static("x-synthetic");
        Exclude { status: Vec::new(), headers: vec![HeaderMatch { name, values }] }
    }

    #[test]
    fn an_answer_header_is_like_one_of_its_values() {
        let html =
            HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("Text/HTML; charset=utf-8"))]);
        let holds = |values: &[&str]| {
            let values = values.iter().map(ToString::to_string).collect();
            AnswerHeader { name: http::header::CONTENT_TYPE, values }.holds(&html)
        };
        assert!(holds(&["text/html*"]) && holds(&["*"]) && holds(&["x", "text/html; charset=UTF-8"]));
        assert!(!holds(&["text/html"]) && !holds(&["text/xml*"]) && !holds(&[]));
        assert!(!AnswerHeader { name: http::header::ETAG, values: vec!["*".to_owned()] }.holds(&html));
    }

    #[test]
    fn excludes_requests_by_presence_or_by_any_of_their_values() {
        let mut request = HeaderMap::new();
        assert!(!synthetic(None).matches_request(&request));
        request.append("x-synthetic", HeaderValue::from_static("probe"));
        request.append("x-synthetic", HeaderValue::from_static("load"));
        assert!(synthetic(None).matches_request(&request));
        assert!(synthetic(Some(&["other", "load"])).matches_request(&request));
        assert!(!synthetic(Some(&["Load"])).matches_request(&request), "values are compared byte for byte");
        assert!(!Exclude::default().matches_request(&request));
    }
}
