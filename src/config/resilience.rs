//! How a backend that fails is dealt with: asked once more, or left out for a while.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::percent::Percent;

/// When a backend is asked once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most tries of one request, the first one included; at least 1, which is never again.
    pub attempts: u32,
    /// Retries never exceed this share of the requests that may be retried.
    pub budget: Percent,
    /// The longest pause before the second try; it doubles with each further one. The pause is a random part of it, at
    /// least half.
    pub backoff: Duration,
    /// The longest that one try may take; `None`: a try may take all the time that the backend's `timeout` leaves, so
    /// that none is left for another one after it.
    pub try_timeout: Option<Duration>,
    /// Methods that may be sent twice although they are not safe.
    pub idempotent: Vec<Method>,
}

/// How a backend's endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query of the request, behind the endpoint's base path.
    pub path: String,
    /// From one check to the next of the same endpoint; default 5 s.
    pub interval: Duration,
    /// From the beginning of a check, connection included, to the end of the answer's head; default 1 s.
    pub timeout: Duration,
    /// Statuses of an endpoint that is well; empty: every 2xx.
    pub status: Vec<StatusCode>,
}

impl RetryPolicy {
    /// Whether requests with this method may be sent twice: safe ones (RFC 9110, section 9.2.1) and those that the
    /// configuration says are idempotent.
    pub fn allows(&self, method: &Method) -> bool {
        self.attempts > 1 && (method.is_safe() || self.idempotent.contains(method))
    }
}
