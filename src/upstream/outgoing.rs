//! What a backend is asked, and who hears what happens beside its answer.

use http::{HeaderMap, Request, StatusCode};

use super::UpstreamError;
use super::retry::Retrying;
use crate::wire::Spelling;

/// A request on its way to a backend.
#[derive(Debug)]
pub struct Outgoing<B> {
    /// Its URI is a path and query, its authority the `Host`.
    pub request: Request<B>,
    /// How the consumer spelled its head.
    pub spelling: Option<Spelling>,
}

impl<B> Outgoing<B> {
    /// Gives up the head, but for its method: it holds on to what was read together with it.
    pub(super) fn drop_head(&mut self) {
        self.spelling = None;
        *self.request.headers_mut() = HeaderMap::new();
        *self.request.uri_mut() = http::Uri::default();
        self.request.extensions_mut().clear();
    }
}

/// Hears what happens to a request beside its answer.
pub trait Ear {
    /// A try failed, or another one is made.
    fn retrying(&self, what: Retrying) {
        let _ = what;
    }

    /// Whether a failure says nothing about the endpoint: its request's own consumer is to blame.
    fn spares(&self, error: &UpstreamError) -> bool {
        let _ = error;
        false
    }

    /// An interim answer came (RFC 9110, section 15.2).
    fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        let _ = (status, headers);
    }
}

/// Hears nothing.
impl Ear for () {}
