//! Why a request or a connection was refused: the closed set behind the label `reason` of `crossfade_refused_total`.

use http::StatusCode;

/// Why a request or a connection was refused. Nothing of it reached a backend, but for the part of a body before its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// Not a request of HTTP at all (RFC 9112, sections 3 and 5).
    Syntax,
    /// A line of the head that ends with a bare LF, or holds a bare CR (RFC 9112, section 2.2).
    LineEnd,
    /// A header line that continues on the next one (RFC 9112, section 5.2).
    ObsFold,
    /// The length of the content is said twice, in two ways, or where there may be none (RFC 9112, section 6.3).
    Framing,
    /// A transfer coding other than `chunked` alone (RFC 9112, section 6.1).
    TransferCoding,
    /// A chunk that is none, or content that ends early (RFC 9112, section 7.1).
    Chunk,
    /// A target that its method cannot have, or that is no part of a URI (RFC 9112, section 3.2).
    Target,
    /// No host, several, an impossible one, or one that contradicts the target (RFC 9112, section 3.2).
    Authority,
    /// `Connection` names a field that concerns everybody (RFC 9110, section 7.6.1).
    Nominated,
    /// An expectation other than `100-continue` (RFC 9110, section 10.1.1).
    Expectation,
    /// An upgrade in a request with content: what follows would have two readings.
    Upgrade,
    /// A method that is not served here.
    Method,
    /// `Max-Forwards` is no number, or there are several (RFC 9110, section 7.6.2).
    MaxForwards,
    /// The head is larger than `header_bytes`, or has too many fields.
    HeadSize,
    /// No dependency is configured for the request.
    NoDependency,
    /// The request wants to choose its backend, without the right token.
    ProbeToken,
    /// The request wants to choose a backend that there is not.
    ProbeBackend,
    /// `max_in_flight` was reached.
    Overload,
    /// `max_connections` was reached.
    MaxConnections,
    /// A head that took longer than `header_timeout`.
    SlowHead,
    /// A consumer that took nothing of its answer for `idle_timeout`, or did not send its content within the backend's `timeout`.
    SlowConsumer,
    /// A TLS handshake that failed: by its version, its certificate, or its want of one.
    Handshake,
    /// Frames of HTTP/2 beyond any use: resets, settings, pings, headers without end (CVE-2023-44487, CVE-2024-27316).
    Flood,
}

impl Refusal {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 23] = [
        Self::Syntax,
        Self::LineEnd,
        Self::ObsFold,
        Self::Framing,
        Self::TransferCoding,
        Self::Chunk,
        Self::Target,
        Self::Authority,
        Self::Nominated,
        Self::Expectation,
        Self::Upgrade,
        Self::Method,
        Self::MaxForwards,
        Self::HeadSize,
        Self::NoDependency,
        Self::ProbeToken,
        Self::ProbeBackend,
        Self::Overload,
        Self::MaxConnections,
        Self::SlowHead,
        Self::SlowConsumer,
        Self::Handshake,
        Self::Flood,
    ];

    /// The name used in the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::LineEnd => "line_end",
            Self::ObsFold => "obs_fold",
            Self::Framing => "framing",
            Self::TransferCoding => "transfer_coding",
            Self::Chunk => "chunk",
            Self::Target => "target",
            Self::Authority => "authority",
            Self::Nominated => "nominated",
            Self::Expectation => "expectation",
            Self::Upgrade => "upgrade",
            Self::Method => "method",
            Self::MaxForwards => "max_forwards",
            Self::HeadSize => "head_size",
            Self::NoDependency => "no_dependency",
            Self::ProbeToken => "probe_token",
            Self::ProbeBackend => "probe_backend",
            Self::Overload => "overload",
            Self::MaxConnections => "max_connections",
            Self::SlowHead => "slow_head",
            Self::SlowConsumer => "slow_consumer",
            Self::Handshake => "handshake",
            Self::Flood => "flood",
        }
    }

    /// The status of the answer, where there is one.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::TransferCoding | Self::Method => StatusCode::NOT_IMPLEMENTED,
            Self::HeadSize => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NoDependency => StatusCode::NOT_FOUND,
            Self::ProbeToken => StatusCode::FORBIDDEN,
            Self::Overload | Self::MaxConnections => StatusCode::SERVICE_UNAVAILABLE,
            Self::SlowHead | Self::SlowConsumer => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// What the consumer is told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "this is not an HTTP request",
            Self::LineEnd => "a line of the head does not end with CR LF",
            Self::ObsFold => "a header line is folded",
            Self::Framing => "the length of the content is ambiguous",
            Self::TransferCoding => "the transfer coding is not supported",
            Self::Chunk => "the content is not framed as declared",
            Self::Target => "the target does not fit the method, or is no part of a URI",
            Self::Authority => "the host is missing, repeated, invalid, or contradicts the target",
            Self::Nominated => "Connection names a field that is not the connection's",
            Self::Expectation => "the expectation cannot be met",
            Self::Upgrade => "an upgrade cannot have content",
            Self::Method => "the method is not served here",
            Self::MaxForwards => "Max-Forwards is no number",
            Self::HeadSize => "the head is too large",
            Self::NoDependency => "no dependency is configured for this request",
            Self::ProbeToken => "crossfade-backend needs the admin token in crossfade-token",
            Self::ProbeBackend => "crossfade-backend is v1 or v2",
            Self::Overload | Self::MaxConnections => "too many requests at once",
            Self::SlowHead | Self::SlowConsumer => "too slow",
            Self::Handshake => "the TLS handshake failed",
            Self::Flood => "too much that is not a request",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_place_of_its_own() {
        for (place, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            assert!(Refusal::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count() == 1);
        }
    }
}
