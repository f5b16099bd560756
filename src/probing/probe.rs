//! A probe from its beginning to its end: endpoints side by side, their addresses and steps one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::asking::Asking;
use super::place::Place;
use super::report::{Report, State, StepName};
use super::visit::{Requests, Visit};
use crate::backend::Backend;
use crate::config::Dependency;

/// The longest time of a whole probe; what is not done by then is not reached.
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// Endpoints of a backend that are probed.
const MOST_ENDPOINTS: usize = 16;

/// Probes a dependency's backends, and says of each step what it found. Takes at most a minute. `score_body` is the limit of
/// the same name.
pub async fn probe(dependency: &Arc<Dependency>, asking: Asking, score_body: usize) -> Report {
    let backends = asking.backends.clone();
    visit_all(dependency, &backends, Some((Arc::new(asking), score_body))).await
}

/// Probes the connections of every backend of a dependency, up to ALPN, without any request.
pub async fn check_connections(dependency: &Arc<Dependency>) -> Report {
    visit_all(dependency, &Backend::ALL, None).await
}

/// What is asked for, and the most bytes of an answer that are scored.
type Asked = Option<(Arc<Asking>, usize)>;

/// All endpoints at once; their steps in the order of the configuration.
async fn visit_all(dependency: &Arc<Dependency>, backends: &[Backend], asked: Asked) -> Report {
    let due = Instant::now() + LONGEST;
    let mut visits = JoinSet::new();
    for backend in backends {
        let Some(spec) = dependency.backend(*backend) else { continue };
        for endpoint in spec.endpoints.iter().take(MOST_ENDPOINTS) {
            let (dependency, spec, endpoint) = (Arc::clone(dependency), spec.clone(), endpoint.clone());
            let place = Place { dependency, backend: *backend, spec, endpoint, due };
            let (asked, at) = (asked.clone(), visits.len());
            visits.spawn(async move { (at, visit(place, asked).await) });
        }
    }
    let mut visited = visits.join_all().await;
    visited.sort_by_key(|(at, _)| *at);
    let (mut steps, mut scored) = (Vec::new(), Vec::new());
    for (_, mut visit) in visited {
        visit.name_unvisited(MOST_ENDPOINTS);
        steps.extend(visit.steps);
        scored.extend(visit.scored);
    }
    let passed = steps.iter().all(|step| step.state != State::Failed);
    Report { dependency: dependency.name.clone(), passed, steps, scored }
}

async fn visit(place: Place, asked: Asked) -> Visit {
    let mut visit = Visit::new(place);
    let line = visit.connect().await;
    if let Some((asking, cap)) = asked {
        let asked = Requests { asking: &asking, cap };
        match line {
            Some(line) => visit.request_all(&asked, line).await,
            None => visit.reach_no(&asked, StepName::Http),
        }
        visit.name_unasked(&asking);
    }
    visit
}
