//! What can be asked of the admin port.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use super::access::check_write;
use super::leaving::Peer;
use super::problem::Problem;
use super::{drill, events, finish, lift, openapi, page, past, probe, report, study};
use crate::console::{DependencyStatus, Event, Order, Preview, Status, Verb};
use crate::telemetry::{self, expose};

pub(super) type Shared = State<Arc<Admin>>;

pub(super) fn router(admin: Arc<Admin>) -> Router {
    let mut router = Router::new()
        .route("/", get(|headers: HeaderMap| async move { page::INDEX.answer(&headers) }))
        .route("/page.css", get(|headers: HeaderMap| async move { page::STYLE.answer(&headers) }))
        .route("/page.js", get(|headers: HeaderMap| async move { page::SCRIPT.answer(&headers) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/dependencies", get(status))
        .route("/api/v1/dependencies/{name}", get(dependency))
        .route("/api/v1/dependencies/{name}/why", get(past::why))
        .route("/api/v1/dependencies/{name}/history", get(past::history))
        .route("/api/v1/dependencies/{name}/report", get(report::report))
        .route("/api/v1/dependencies/{name}/samples", get(study::samples))
        .route("/api/v1/dependencies/{name}/diff", get(study::diff))
        .route("/api/v1/dependencies/{name}/lift", get(lift::lift))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/api/v1/dependencies/{name}/drill", post(drill::drill))
        .route("/api/v1/dependencies/{name}/finish", post(finish::finish))
        .route("/api/v1/dependencies/{name}/probe", post(probe::probe))
        .route("/api/v1/plan", post(plan))
        .route("/api/v1/reload", post(reload));
    for verb in Verb::ALL {
        let path = format!("/api/v1/dependencies/{{name}}/{}", verb.as_str());
        let give = move |admin: Shared, peer, name, headers: HeaderMap, body: Bytes| {
            order(admin, peer, name, headers, body, verb)
        };
        router = router.route(&path, post(give));
    }
    router
        .fallback(|| async {
            Problem::not_found("there is nothing at this path; GET /api/v1/openapi.json lists what there is")
        })
        .with_state(admin)
}

async fn ready(State(admin): Shared) -> Response {
    if admin.is_ready() {
        // Requests are served all the same, so this is no reason to take them elsewhere.
        let trouble = admin.console.status().store_error.clone();
        let trouble = trouble
            .map_or_else(String::new, |why| format!("nothing is promoted, the ledger cannot be written: {why}\n"));
        format!("ready\n{trouble}").into_response()
    } else {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting or draining").into_response()
    }
}

async fn metrics(State(admin): Shared) -> Response {
    let text = expose(&mut admin.totals.lock(), admin.second());
    ([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response()
}

async fn status(State(admin): Shared) -> Json<Status> {
    Json(Status::clone(&admin.console.status()))
}

async fn dependency(State(admin): Shared, Path(name): Path<String>) -> Result<Json<DependencyStatus>, Problem> {
    let status = admin.console.status();
    let known = || status.dependencies.iter().map(|dependency| dependency.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = status.dependency(&name).cloned();
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("no dependency is named `{name}`; there are: {}", known())))
}

/// The optional body of a verb.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    by: Option<String>,
    reason: Option<String>,
}

async fn order(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(dependency): Path<String>,
    headers: HeaderMap,
    body: Bytes,
    verb: Verb,
) -> Result<Json<Event>, Problem> {
    admin.check_write(&headers, peer)?;
    let said = if body.is_empty() { Ok(Said::default()) } else { serde_json::from_slice(&body) };
    let Said { by, reason } = said.map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is `{{\"by\": \"...\", \"reason\": \"...\"}}`, both optional: {error}"),
        )
    })?;
    let event = admin.console.order(Order { dependency, verb, by, reason }).await?;
    Ok(Json(event))
}

/// Changes nothing, so anybody who may read may ask.
async fn plan(State(admin): Shared, rollout: String) -> Result<Json<Vec<Preview>>, Problem> {
    let planned = admin.console.plan(rollout).await;
    planned.map(Json).map_err(|reason| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason))
}

async fn reload(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    admin.check_write(&headers, peer)?;
    admin.console.reload().await.map_err(|reason| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    let revision = admin.console.status().revision;
    Ok(Json(json!({ "revision": revision })).into_response())
}

impl Admin {
    pub(super) fn check_write(&self, headers: &HeaderMap, Peer(peer): Peer) -> Result<(), Problem> {
        let live = self.live.load();
        check_write(headers, peer.ip(), live.deployment.token_file.as_deref())
    }
}
