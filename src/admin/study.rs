//! What V2's fallbacks look like, and where the answers differ.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::problem::Problem;
use super::routes::Shared;
use crate::config::Deployment;
use crate::outcome::Cause;
use crate::study::{Differences, Findings, Sample};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    route: Option<String>,
    cause: Option<Cause>,
}

/// Samples, newest first.
pub(super) async fn samples(
    State(admin): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Sample>>, Problem> {
    check_route(&admin.live.load().deployment, &name, which.route.as_deref())?;
    let found =
        look(&admin.findings, move |findings| findings.samples(&name, which.route.as_deref(), which.cause)).await?;
    Ok(Json(found))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Where {
    route: Option<String>,
}

/// Differences by field, noise removed.
pub(super) async fn diff(
    State(admin): Shared,
    Path(name): Path<String>,
    Query(Where { route }): Query<Where>,
) -> Result<Json<Differences>, Problem> {
    check_route(&admin.live.load().deployment, &name, route.as_deref())?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let found = look(&admin.findings, move |findings| findings.differences(&name, route.as_deref(), today)).await?;
    Ok(Json(found))
}

/// That what is asked for is configured.
fn check_route(deployment: &Deployment, name: &str, route: Option<&str>) -> Result<(), Problem> {
    let Some((_, dependency)) = deployment.dependency(name) else {
        let known: Vec<&str> = deployment.dependencies.iter().map(|it| it.name.as_str()).collect();
        let known = known.join(", ");
        return Err(Problem::not_found(format!("no dependency is named `{name}`; there are: {known}")));
    };
    match route.filter(|route| !dependency.routes.iter().any(|it| it.name == **route)) {
        None => Ok(()),
        Some(route) => {
            let known: Vec<&str> = dependency.routes.iter().map(|it| it.name.as_str()).collect();
            Err(Problem::not_found(format!("`{name}` has no route `{route}`; there are: {}", known.join(", "))))
        }
    }
}

/// Looks off the thread that serves.
async fn look<T: Send + 'static>(
    findings: &Findings,
    look: impl FnOnce(&Findings) -> T + Send + 'static,
) -> Result<T, Problem> {
    let findings = findings.clone();
    let failed = |error: tokio::task::JoinError| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    tokio::task::spawn_blocking(move || look(&findings)).await.map_err(failed)
}
