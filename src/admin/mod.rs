//! The admin port: what people and Prometheus read, and the verbs that people give.

mod access;
mod drill;
mod events;
mod finish;
mod leaving;
mod lift;
mod openapi;
mod page;
mod past;
mod probe;
mod problem;
mod report;
mod routes;
mod study;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::error_handling::HandleErrorLayer;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;

use crate::config::Handle;
use crate::console::Console;
use crate::store::Reader;
use crate::study::Findings;
use crate::telemetry::Totals;
use leaving::{Door, Peer};
use problem::Problem;

pub use leaving::{End, GRACE};

/// Requests answered at once; the admin port serves people and a scraper, not traffic.
const AT_ONCE: usize = 128;

/// What the admin port shows and acts on.
pub struct Admin {
    /// The configuration in force.
    pub live: Handle,
    /// Status and verbs.
    pub console: Console,
    /// What happened.
    pub ledger: Reader,
    /// What V2's fallbacks look like, and where the answers differ.
    pub findings: Findings,
    /// What a scrape gets.
    pub totals: Arc<Totals>,
    /// Whether the data plane accepts connections.
    pub ready: Arc<AtomicBool>,
    /// The clock that windows are read by.
    pub origin: Instant,
    /// Room for listeners to events.
    pub listeners: Arc<Semaphore>,
}

/// Room for as many listeners to events as there may be.
pub fn listeners() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(events::LISTENERS))
}

impl Admin {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn second(&self) -> u64 {
        self.origin.elapsed().as_secs()
    }
}

/// Serves the admin port until its end, and finishes the answers it has begun.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, end: watch::Receiver<End>) {
    let fence = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(|_: tower::BoxError| async { Problem::busy() }))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(AT_ONCE));
    let farewell = axum::middleware::map_response(leaving::farewell(end.clone()));
    let app = routes::router(admin).layer(fence).layer(farewell).into_make_service_with_connect_info::<Peer>();
    let door = Door::new(listener, end.clone());
    if let Err(error) = axum::serve(door, app).with_graceful_shutdown(leaving::closing(end)).await {
        tracing::error!(%error, "the admin port ended");
    }
}
