//! Why a backend gave no answer, or only a part of one.

use std::io;

use http::StatusCode;

use crate::outcome::Cause;
use crate::score::MappingFault;
use crate::wire::Fault;

/// Any error of a request's content.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub enum Breakage {
    /// The connection broke.
    #[error("the connection broke")]
    Connection(#[source] io::Error),
    /// The endpoint closed the connection.
    #[error("the endpoint closed the connection before the answer was over")]
    Cut,
    /// What came is not HTTP/1.1.
    #[error(transparent)]
    Fault(Fault),
    /// An exchange in HTTP/2 failed.
    #[error(transparent)]
    Http2(hyper::Error),
}

impl Breakage {
    /// Whether what came is to blame, and not that it ended.
    pub fn is_parse(&self) -> bool {
        match self {
            Self::Fault(fault) => *fault != Fault::Cut,
            Self::Http2(error) => error.is_parse(),
            Self::Connection(_) | Self::Cut => false,
        }
    }
}

/// Why a backend gave no answer, only a part of one, or one that nobody can use. Never the consumer's fault.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name has no address.
    #[error("failed to resolve the name of the endpoint")]
    Resolve(#[source] io::Error),
    /// Nobody accepted the connection.
    #[error("failed to connect to the endpoint")]
    Connect(#[source] io::Error),
    /// Nobody accepted the connection in `connect_timeout`.
    #[error("failed to connect within the connect timeout")]
    ConnectTimeout,
    /// The TLS handshake failed: the source says whether it is the certificate (expired, for another name, by an unknown
    /// authority), the version, or the network.
    #[error("failed to agree on TLS with the endpoint")]
    Tls(#[source] io::Error),
    /// No head of an answer in `timeout`, or a whole shadow's answer not in `timeout`.
    #[error("failed to get an answer within the timeout")]
    Timeout,
    /// The body stopped for `idle_timeout`.
    #[error("failed to get more of the body within the idle timeout")]
    Idle,
    /// The connection broke, or what came is not HTTP.
    #[error("failed to read the answer")]
    Broken(#[from] Breakage),
    /// The backend changed the protocol without being asked to.
    #[error("failed to use an answer that switches protocols unasked")]
    Unasked,
    /// The answer says its length twice, or has a transfer coding other than `chunked`: a sign of a response that was split
    /// or smuggled (RFC 9112, section 6.3).
    #[error("failed to tell the length of the answer")]
    Ambiguous,
    /// The body of the request ended early: the consumer left, or the copy was given up.
    #[error("failed to send the whole request")]
    Unsent(#[source] BoxError),
    /// The answer is in V2's shape, and cannot be mapped to what V1's consumers expect.
    #[error("failed to map the answer: {0}")]
    Unmappable(MappingFault),
    /// The request cannot be mapped to what the backend wants. Its fault is the consumer's, or the mapping's.
    #[error("failed to map the request: {0}")]
    Unfit(MappingFault),
    /// The copy of a request was cut before it could be mapped.
    #[error("failed to read the whole copy of the request")]
    Cut,
    /// All of `map_memory` is in use: a limit of ours, which no backend can do anything about.
    #[error("failed to find room for mapping")]
    Crowded,
    /// A program did not begin or end within `rule_timeout`: no backend can do anything about that either.
    #[error("failed to map in time")]
    Late,
}

impl UpstreamError {
    pub(super) fn from_http2(error: hyper::Error) -> Self {
        if error.is_user() { Self::Unsent(error.into()) } else { Self::Broken(Breakage::Http2(error)) }
    }

    /// The cause of the fallback that this failure is.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Resolve(_) | Self::Connect(_) | Self::ConnectTimeout => Cause::Connect,
            Self::Tls(_) => Cause::Tls,
            Self::Timeout | Self::Idle => Cause::Timeout,
            Self::Broken(error) if error.is_parse() => Cause::Decode,
            Self::Unasked | Self::Ambiguous => Cause::Decode,
            Self::Broken(_) | Self::Unsent(_) => Cause::Reset,
            Self::Unmappable(fault) => fault.cause(),
            Self::Cut => Cause::Aborted,
            Self::Unfit(MappingFault::TooLarge) | Self::Crowded => Cause::TooLarge,
            Self::Unfit(_) | Self::Late => Cause::Rule,
        }
    }

    /// The status that a consumer gets in place of the answer (RFC 9110, sections 15.6.3 and 15.6.5).
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Timeout | Self::Idle | Self::ConnectTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Crowded | Self::Late => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unfit(MappingFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether it says nothing about the backend: our own limits, and requests that were never sent.
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Crowded | Self::Late | Self::Unfit(_) | Self::Cut)
    }

    /// The error type of the `Proxy-Status` field (RFC 9209, section 2.3).
    pub fn proxy_status(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "dns_error",
            Self::Connect(_) => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::Tls(error) if is_certificate(error) => "tls_certificate_error",
            Self::Tls(_) => "tls_protocol_error",
            Self::Timeout => "http_response_timeout",
            Self::Idle => "connection_read_timeout",
            Self::Broken(error) if error.is_parse() => "http_protocol_error",
            Self::Unasked => "http_upgrade_failed",
            Self::Ambiguous => "http_protocol_error",
            Self::Broken(_) | Self::Unsent(_) => "connection_terminated",
            Self::Unfit(MappingFault::TooLarge) => "http_request_error",
            Self::Unmappable(MappingFault::TooLarge) => "http_response_body_size",
            Self::Unmappable(MappingFault::Coding) => "http_response_content_coding",
            Self::Unmappable(_) | Self::Unfit(_) => "proxy_configuration_error",
            Self::Crowded | Self::Late | Self::Cut => "proxy_internal_response",
        }
    }
}

/// Whether it is the endpoint's certificate that is to blame.
fn is_certificate(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}
