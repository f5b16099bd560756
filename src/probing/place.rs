//! Where a step is taken: one endpoint of one backend, and what its keys in `crossfade.toml` are called.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::report::{Found, Step, StepName};
use crate::backend::Backend;
use crate::config::{BackendSpec, Dependency, Endpoint, Route};

/// One endpoint of one backend.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) dependency: Arc<Dependency>,
    pub(super) backend: Backend,
    pub(super) spec: BackendSpec,
    pub(super) endpoint: Endpoint,
    /// When the probe has to be over.
    pub(super) due: Instant,
}

impl Place {
    /// A key of the backend's table, such as `dependency.recs.v2.url`.
    pub(super) fn key(&self, key: impl Display) -> String {
        format!("`dependency.{}.{}.{key}`", self.dependency.name, self.backend)
    }

    /// A key of a route's rules.
    pub(super) fn rule(&self, route: &Route, key: &str) -> String {
        format!("`score.{key}` of route `{}` of `dependency.{}`", route.name, self.dependency.name)
    }

    /// The key that says where the endpoint is.
    pub(super) fn url(&self) -> String {
        self.key(if self.spec.endpoints.len() > 1 { "urls" } else { "url" })
    }

    /// What is left of `within` before the probe has to be over.
    pub(super) fn clip(&self, within: Duration) -> Duration {
        within.min(self.due.saturating_duration_since(Instant::now()))
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.due
    }

    /// A step of this place.
    pub(super) fn step(&self, address: Option<SocketAddr>, name: StepName, took: Option<Duration>, it: Found) -> Step {
        let Found { state, wrong, cause, finding, remedy } = it;
        Step {
            backend: self.backend,
            endpoint: self.endpoint.authority.to_string(),
            address: address.map(|address| address.to_string()),
            name,
            request: None,
            state,
            ms: took.map(|took| (took.as_secs_f64() * 1e5).round() / 100.0),
            wrong,
            cause,
            finding: printable(&finding),
            remedy,
        }
    }
}

/// Findings quote what peers say, down to the names in their certificates: nothing of it may steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
