//! `probe`: V2 asked by hand, with the configuration in force.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;

use super::Admin;
use super::leaving::Peer;
use super::problem::Problem;
use super::routes::Shared;
use crate::backend::Role;
use crate::console::{EventKind, Note};
use crate::probing::{self, Asking, Report, Wish};

/// Probes at once: they are people's work, and share their thread with the gate.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Probes a dependency's V2, and records what was found. What was begun is finished and recorded even when whoever asked
/// has left.
pub(super) async fn probe(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Report>, Problem> {
    admin.check_write(&headers, peer)?;
    let wrong = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
    let wish = if body.is_empty() { Ok(Wish::default()) } else { serde_json::from_slice(&body) };
    // The error's own words would repeat what they are about, which may be a secret.
    let wish: Wish = wish.map_err(|error| {
        let example = r#"{"paths": ["/recommendations/1"], "headers": ["accept: application/json"], "count": 1}"#;
        wrong(format!("the body is like `{example}`: see line {}, column {}", error.line(), error.column()))
    })?;
    let live = admin.live.load();
    let unknown = || {
        let known: Vec<&str> = live.deployment.dependencies.iter().map(|it| it.name.as_str()).collect();
        Problem::not_found(format!("no dependency is named `{name}`; there are: {}", known.join(", ")))
    };
    let (_, dependency) = live.deployment.dependency(&name).ok_or_else(unknown)?;
    let asking = Asking::new(&wish, dependency).map_err(|error| wrong(error.to_string()))?;
    let busy = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "two probes are under way already; try again");
    let turn = AT_ONCE.try_acquire().map_err(busy)?;
    let (dependency, score_body) = (Arc::clone(dependency), live.deployment.limits.score_body);
    let probing = tokio::spawn(async move {
        let _turn = turn;
        let report = probing::probe(&dependency, asking, score_body).await;
        count(&admin, &report);
        let note = Note { dependency: name, kind: EventKind::Probe, by: wish.by, text: report.sentence() };
        admin.console.note(note).await?;
        Ok(Json(report))
    });
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the probe ended in an error; see the log");
    probing.await.map_err(failed)?
}

/// Outcomes of role `probe`, among the counters alone: in no window, no hit rate, and no evidence for the gate.
fn count(admin: &Admin, report: &Report) {
    let mut totals = admin.totals.lock();
    let dependency = totals.dependency(&report.dependency, admin.second());
    for scored in &report.scored {
        let tally = dependency.routes.entry(scored.route.clone()).or_default();
        tally.outcome(scored.backend, Role::Probe, scored.outcome);
        if let Some(latency) = scored.latency {
            tally.duration(scored.backend, Role::Probe, latency);
        }
    }
}
