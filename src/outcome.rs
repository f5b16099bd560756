//! What an answer was worth, and why: the closed sets behind the labels `outcome` and `cause`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The worth of one answer of one backend.
///
/// Only [`Outcome::Rich`] and [`Outcome::Fallback`] enter a hit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The data the consumer hoped for: every rule of the route holds.
    Rich,
    /// The consumer would show its fallback.
    Fallback(Cause),
    /// Not the backend's doing; counted, but in no hit rate.
    Excluded(Cause),
}

impl Outcome {
    /// The name used in the label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rich => "rich",
            Self::Fallback(_) => "fallback",
            Self::Excluded(_) => "excluded",
        }
    }

    /// The cause, `None` for a rich answer.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Rich => None,
            Self::Fallback(cause) | Self::Excluded(cause) => Some(cause),
        }
    }

    /// `Some(true)` for rich, `Some(false)` for fallback, `None` for excluded: what a hit rate sees.
    pub const fn scored(self) -> Option<bool> {
        match self {
            Self::Rich => Some(true),
            Self::Fallback(_) => Some(false),
            Self::Excluded(_) => None,
        }
    }
}

/// Why an answer is a fallback or excluded. A closed set, so that it can be a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Cause {
    /// No connection to the backend.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No answer within the backend's `timeout`, or a body that stopped for `idle_timeout`.
    Timeout,
    /// The backend broke the connection or the framing of its answer.
    Reset,
    /// The answer could not be decoded: content coding, or JSON where rules need JSON.
    Decode,
    /// 401 or 403.
    Auth,
    /// A 5xx, or a status that the route does not list.
    Status,
    /// A required place is absent or null.
    Missing,
    /// A place, or the whole body, is empty or too short.
    Empty,
    /// Slower than `max_latency`.
    Slow,
    /// A jq rule said no (fallback), or an `exclude` rule matched (excluded).
    Rule,
    /// The consumer's own mistake; excluded when both backends agree or only one was asked.
    ClientError,
    /// The consumer left before the answer was complete.
    Aborted,
    /// The answer is larger than can be scored.
    TooLarge,
}

impl Cause {
    /// All causes, in the order of their discriminants.
    pub const ALL: [Self; 14] = [
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Decode,
        Self::Auth,
        Self::Status,
        Self::Missing,
        Self::Empty,
        Self::Slow,
        Self::Rule,
        Self::ClientError,
        Self::Aborted,
        Self::TooLarge,
    ];

    /// The name used in the label `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Decode => "decode",
            Self::Auth => "auth",
            Self::Status => "status",
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::Slow => "slow",
            Self::Rule => "rule",
            Self::ClientError => "client_error",
            Self::Aborted => "aborted",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
