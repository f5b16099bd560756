//! Closed sets behind labels: who answered, and how.

use crate::backend::Backend;

/// Who answered a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedBy {
    /// A backend.
    Backend(Backend),
    /// crossfade itself refused.
    Nobody,
}

impl ServedBy {
    /// In the order of the tally's cells.
    pub const ALL: [Self; 3] = [Self::Backend(Backend::V1), Self::Backend(Backend::V2), Self::Nobody];

    /// The name used in the label `served_by`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backend(backend) => backend.as_str(),
            Self::Nobody => "none",
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Backend(backend) => backend as usize,
            Self::Nobody => 2,
        }
    }
}

/// The label `direction`: where bytes of a tunnel go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// What the consumer says.
    ToBackend,
    /// What the backend says.
    ToConsumer,
}

impl Direction {
    /// In the order of the tally's cells.
    pub const ALL: [Self; 2] = [Self::ToBackend, Self::ToConsumer];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToBackend => "to_backend",
            Self::ToConsumer => "to_consumer",
        }
    }
}

/// The label `result` of `crossfade_mapped_total`: what became of an answer of a backend whose answers are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reshaped {
    /// The consumer gets it in V1's shape.
    Mapped,
    /// It could not be mapped.
    Failed,
    /// It is larger than `score_body`.
    TooLarge,
    /// `map_memory` was in use.
    NoRoom,
    /// Its program did not run, or not end, in `rule_timeout`.
    Late,
    /// It is none that is mapped, and goes on as it came.
    Passed,
}

impl Reshaped {
    /// In the order of the tally's cells.
    pub const ALL: [Self; 6] = [Self::Mapped, Self::Failed, Self::TooLarge, Self::NoRoom, Self::Late, Self::Passed];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Failed => "failed",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Late => "late",
            Self::Passed => "passed",
        }
    }
}

/// The label `code`: the class of a status, or an answer that never was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// 1xx (101 for a connection that changed its protocol).
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx, and whatever is outside RFC 9110's classes.
    ServerError,
    /// The consumer did not get a whole answer.
    Aborted,
}

impl Code {
    /// In the order of the tally's cells.
    pub const ALL: [Self; 6] =
        [Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError, Self::Aborted];

    /// The class of a status.
    pub const fn of(status: http::StatusCode) -> Self {
        match status.as_u16() {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Aborted => "aborted",
        }
    }
}
