//! What the ledger says: why the gate decides as it does, and what happened.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;

use super::problem::Problem;
use super::routes::Shared;
use crate::console::{Event, EventKind, PastVerdict};
use crate::store::Reader;

/// Verdicts that `why` tells where nobody says how many.
const VERDICTS: usize = 20;
/// Most rows of one answer; older ones are asked for by `before`.
const MOST: usize = 10_000;
/// Events of an answer where nobody says how many.
const EVENTS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    limit: Option<usize>,
}

/// The last changes of the verdict, newest first.
pub(super) async fn why(
    State(admin): Shared,
    Path(name): Path<String>,
    Query(last): Query<Last>,
) -> Result<Json<Vec<PastVerdict>>, Problem> {
    let is_known = admin.console.status().dependency(&name).is_some();
    let asked = name.clone();
    let most = last.limit.unwrap_or(VERDICTS).min(MOST);
    let verdicts = read(&admin.ledger, move |ledger| ledger.verdicts(&asked, most)).await?;
    if verdicts.is_empty() && !is_known {
        return Err(unknown(&name));
    }
    Ok(Json(verdicts.iter().filter_map(|verdict| serde_json::from_slice(verdict).ok()).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    since: Option<Timestamp>,
    kind: Option<EventKind>,
    before: Option<u64>,
    limit: Option<usize>,
}

impl Which {
    fn takes(&self, event: &Event, dependency: &str) -> bool {
        // A file that could not be applied concerns every dependency.
        let concerns = event.dependency == dependency || event.dependency.is_empty();
        concerns && self.kind.is_none_or(|kind| kind == event.kind) && self.before.is_none_or(|id| event.id < id)
    }
}

/// Events, newest first.
pub(super) async fn history(
    State(admin): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Event>>, Problem> {
    let is_known = admin.console.status().dependency(&name).is_some();
    let asked = name.clone();
    let events = read(&admin.ledger, move |ledger| find(ledger, &asked, &which)).await?;
    if events.is_empty() && !is_known {
        return Err(unknown(&name));
    }
    Ok(Json(events))
}

fn find(ledger: &Reader, dependency: &str, which: &Which) -> Result<Vec<Event>, String> {
    let most = which.limit.unwrap_or(EVENTS).min(MOST);
    let mut found = Vec::new();
    ledger.each_event_back(|_, event| {
        let Ok(event) = serde_json::from_slice::<Event>(event) else { return true };
        if which.since.is_some_and(|since| event.time < since) {
            return false;
        }
        if which.takes(&event, dependency) {
            found.push(event);
        }
        found.len() < most
    })?;
    Ok(found)
}

/// Reads off the thread that serves.
pub(super) async fn read<T: Send + 'static>(
    ledger: &Reader,
    read: impl FnOnce(&Reader) -> Result<T, String> + Send + 'static,
) -> Result<T, Problem> {
    let ledger = ledger.clone();
    let done = tokio::task::spawn_blocking(move || read(&ledger)).await;
    let unreadable =
        |reason| Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the ledger cannot be read: {reason}"));
    done.unwrap_or_else(|error| Err(error.to_string())).map_err(unreadable)
}

pub(super) fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("no dependency is named `{name}`, and none ever was as far as the ledger goes"))
}
