//! `drill`: a fault on purpose.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::leaving::Peer;
use super::problem::Problem;
use super::routes::Shared;
use crate::config::Struck;
use crate::console::{DrillOrder, Event};
use crate::percent::Percent;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    fault: String,
    share: Percent,
    #[serde(rename = "on")]
    struck: Struck,
    seconds: f64,
    by: Option<String>,
}

/// Begins a drill; the status of the dependency says how it goes.
pub(super) async fn drill(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(dependency): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Event>, Problem> {
    admin.check_write(&headers, peer)?;
    let wrong = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        let example = "{\"fault\": \"latency=2s\", \"share\": 100, \"on\": \"shadows\", \"seconds\": 30}";
        wrong(format!("the body is like `{example}`: {error}"))
    })?;
    let fault = asked.fault.parse().map_err(wrong)?;
    let lasts = Duration::try_from_secs_f64(asked.seconds).map_err(|error| wrong(format!("`seconds`: {error}")))?;
    let Asked { share, struck, by, .. } = asked;
    let order = DrillOrder { dependency, fault, share, struck, lasts, by };
    Ok(Json(admin.console.drill(order).await?))
}
