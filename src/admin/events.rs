//! `GET /api/v1/events`: what happens, as server-sent events (HTML Living Standard, section 9.2).
//!
//! An event's number is its id: with `Last-Event-ID` the stream goes on after it, from the ledger, and then with what happens
//! now. Every event comes once and in order, for a listener that falls behind, too: it reads on from the ledger.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};

use super::past::read;
use super::problem::Problem;
use super::routes::Shared;
use crate::console::Event;
use crate::store::{Reader, Span};

/// Listeners at once.
pub(super) const LISTENERS: usize = 32;
/// Events that one listener may be behind before its stream waits for it.
const BEHIND: usize = 64;
/// Events that are read from the ledger at once.
const PAGE: usize = 256;
/// Between two signs of life, so that nobody takes a quiet stream for a broken one.
const QUIET: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// The same as the header, for those who cannot set one.
    last_event_id: Option<u64>,
}

pub(super) async fn events(
    State(admin): Shared,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let permit = Arc::clone(&admin.listeners).try_acquire_owned().map_err(|_| {
        let text = format!("{LISTENERS} listeners are being told already; try again later");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    let after = last_event_id(&headers)?.or(from.last_event_id);
    // From now on nothing is missed; what is in the ledger already comes first.
    let live = admin.console.events();
    let (send, receive) = mpsc::channel(BEHIND);
    let listener = Listener { after, ledger: admin.ledger.clone(), live, send };
    tokio::spawn(listener.tell(permit));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::new(Stream(receive))).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|value| value.trim().parse().ok());
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, "Last-Event-ID is the number of an event");
    number.map(Some).ok_or_else(wrong)
}

/// One who is told. Ends when nobody reads any more, or nothing happens any more.
struct Listener {
    /// The last event that was told; `None`: none yet, and older ones are not asked for.
    after: Option<u64>,
    ledger: Reader,
    live: broadcast::Receiver<Arc<Event>>,
    send: mpsc::Sender<Bytes>,
}

impl Listener {
    async fn tell(mut self, _permit: OwnedSemaphorePermit) {
        let mut goes_on = self.send.send(Bytes::from_static(b": crossfade\n\n")).await.is_ok();
        goes_on = goes_on && self.catch_up().await;
        while goes_on {
            let next = tokio::select! {
                () = self.send.closed() => return,
                next = tokio::time::timeout(QUIET, self.live.recv()) => next,
            };
            goes_on = match next {
                Ok(Ok(event)) => self.one(&event).await,
                Ok(Err(RecvError::Lagged(_))) => self.catch_up().await,
                Ok(Err(RecvError::Closed)) => false,
                Err(_) => self.send.send(Bytes::from_static(b": quiet\n\n")).await.is_ok(),
            };
        }
    }

    /// Tells what the ledger has after the last event that was told.
    async fn catch_up(&mut self) -> bool {
        while let Some(after) = self.after {
            let span = Span { after, most: PAGE };
            let Ok(page) = read(&self.ledger, move |ledger| ledger.events(span)).await else { return false };
            for (id, event) in &page {
                let told = serde_json::from_slice(event).ok().map(|event: Event| text(&event));
                self.after = Some(*id);
                if let Some(told) = told
                    && self.send.send(told).await.is_err()
                {
                    return false;
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
        true
    }

    async fn one(&mut self, event: &Event) -> bool {
        if self.after.is_some_and(|after| event.id <= after) {
            return true;
        }
        self.after = Some(event.id);
        self.send.send(text(event)).await.is_ok()
    }
}

/// JSON has no line ends of its own, so the data is one line.
fn text(event: &Event) -> Bytes {
    let data = serde_json::to_string(event).expect("plain data can always be written as JSON");
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind.as_str()).into()
}

struct Stream(mpsc::Receiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
