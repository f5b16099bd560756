//! One answer as scoring sees it: borrowed from the exchange, never kept.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

/// A complete answer of one backend.
///
/// Failures without a complete answer (no connection, timeout, reset) are the caller's to name, as
/// [`Score::Fallback`](super::Score::Fallback).
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Method of the request; an answer to `HEAD` has no body to judge.
    pub method: &'a Method,
    /// The request was conditional, see [`is_conditional`]: a 304 is then what the consumer hoped for.
    pub conditional: bool,
    /// Final status, never 1xx.
    pub status: StatusCode,
    /// The answer's headers; only `content-encoding`, `content-type` and `grpc-status` are read.
    pub headers: &'a HeaderMap,
    /// What came after the content; only `grpc-status` is read.
    pub trailers: Option<&'a HeaderMap>,
    /// The answer's content, as sent.
    pub body: Body<'a>,
    /// From sending the request to the end of the answer's head.
    pub head_latency: Duration,
    /// It is in V2's shape, and rules hold for what the scorer's [`Mapping`](super::Mapping) makes of it.
    pub unmapped: bool,
}

/// The content of an answer, as sent: before any content decoding.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// All of it, in pieces as they arrived.
    Kept(&'a [Bytes]),
    /// Only its size in bytes is known: no rule looks at it
    /// ([`Scorer::needs_body`](super::Scorer::needs_body) is false), or it is larger than the caller keeps.
    Counted(u64),
}

impl<'a> Body<'a> {
    /// Size as sent, in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Kept(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::Counted(size) => *size,
        }
    }

    /// The content in one piece; `None` where it was only counted. Copies only when there are several pieces.
    pub(super) fn whole(&self) -> Option<Cow<'a, [u8]>> {
        match *self {
            Self::Kept([]) => Some(Cow::Borrowed(&[])),
            Self::Kept([piece]) => Some(Cow::Borrowed(piece)),
            Self::Kept(pieces) => Some(Cow::Owned(pieces.concat())),
            Self::Counted(_) => None,
        }
    }
}

/// Whether a request asks for an answer only if something has changed (RFC 9110, sections 13.1.2 and 13.1.3).
pub fn is_conditional(request: &HeaderMap) -> bool {
    request.keys().any(|name| *name == header::IF_NONE_MATCH || *name == header::IF_MODIFIED_SINCE)
}
