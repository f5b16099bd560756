//! What is wrong with bytes that should be a message.

use crate::refusal::Refusal;

/// Why bytes are no message, or one with two readings. Nobody can say where the next message begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a head of HTTP/1 (RFC 9112, sections 3 to 5).
    #[error("not a head of HTTP/1")]
    Syntax,
    /// A line of the head that ends with a bare LF, or holds a bare CR (RFC 9112, section 2.2).
    #[error("a line of the head does not end with CR LF")]
    LineEnd,
    /// A header line that continues on the next one (RFC 9112, section 5.2).
    #[error("a header line is folded")]
    ObsFold,
    /// The length of the content is said twice, or in two ways (RFC 9112, section 6.3).
    #[error("the length of the content is ambiguous")]
    Framing,
    /// A transfer coding other than `chunked` alone (RFC 9112, section 6.1).
    #[error("the transfer coding is not supported")]
    TransferCoding,
    /// A target that is no part of a URI, or has a fragment (RFC 9112, section 3.2).
    #[error("the target is no part of a URI")]
    Target,
    /// Content that is not chunked as it says it is (RFC 9112, section 7.1).
    #[error("the content is not framed as declared")]
    Chunk,
    /// A head larger than it may be, or of too many lines.
    #[error("the head is too large")]
    HeadSize,
    /// The bytes end before the content does.
    #[error("the content ends early")]
    Cut,
}

impl Fault {
    /// The reason that a request with this fault is refused for.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Syntax => Refusal::Syntax,
            Self::LineEnd => Refusal::LineEnd,
            Self::ObsFold => Refusal::ObsFold,
            Self::Framing => Refusal::Framing,
            Self::TransferCoding => Refusal::TransferCoding,
            Self::Target => Refusal::Target,
            Self::Chunk | Self::Cut => Refusal::Chunk,
            Self::HeadSize => Refusal::HeadSize,
        }
    }
}
