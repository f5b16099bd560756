//! The rules of one route, validated: what makes an answer rich.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::pointer::Pointer;

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
    /// What is counted in no hit rate.
    pub exclude: Exclude,
}

/// Answers and requests that enter no hit rate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exclude {
    /// Statuses of the answer.
    pub status: Vec<StatusCode>,
    /// Headers of the request; all consumers' synthetic traffic carries one, say.
    pub headers: Vec<HeaderMatch>,
}

/// A header with a wanted value.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatch {
    /// The name, lower case.
    pub name: HeaderName,
    /// Any of these values; `None` (written `"*"`): the header is present.
    pub values: Option<Vec<String>>,
}
