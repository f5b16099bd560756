//! What is done for endpoints beside calling them: a first connection ahead of the first call, and checks.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body::Body;
use tokio::time::{sleep, timeout};

use super::UpstreamError;
use super::backend::Upstream;
use super::endpoint::Endpoint;
use super::error::BoxError;
use super::exchange::{How, exchange_on};
use super::health::Checks;
use super::outgoing::Outgoing;
use super::retry::Resend;
use crate::condition::Condition;
use crate::config::{HealthCheck, HostPolicy};

/// Opens one connection to each endpoint, so that the first calls need not wait for one.
pub(super) fn warm<B>(endpoints: &[Rc<Endpoint<B>>])
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    for endpoint in endpoints {
        let endpoint = Rc::clone(endpoint);
        tokio::task::spawn_local(async move {
            // Whoever calls first learns why there is none.
            if let Ok(checkout) = endpoint.connect().await {
                endpoint.checkin(checkout.sender);
            }
        });
    }
}

/// Checks one endpoint as long as its backend is in use, one check at a time.
pub(super) async fn check<B>(
    upstream: Weak<Upstream<B>>,
    endpoint: Rc<Endpoint<B>>,
    condition: Arc<Condition>,
    how: HealthCheck,
) where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut checks = Checks::default();
    while upstream.strong_count() > 0 {
        let answered = timeout(how.timeout, ask(&endpoint, &how)).await;
        let is_well = matches!(answered, Ok(Ok(status)) if is_well(&how, status));
        condition.set_failing(checks.hear(is_well));
        sleep(how.interval).await;
    }
    // What comes after may have no checks, and nobody to take this back.
    condition.set_failing(false);
}

fn is_well(how: &HealthCheck, status: StatusCode) -> bool {
    if how.status.is_empty() { status.is_success() } else { how.status.contains(&status) }
}

/// The status of the answer to a request on a connection of its own: an endpoint that accepts nobody is not well.
async fn ask<B>(endpoint: &Endpoint<B>, how: &HealthCheck) -> Result<StatusCode, UpstreamError>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut request = Request::new(B::default());
    // The configuration has valid paths only.
    *request.uri_mut() = how.path.parse().unwrap_or(Uri::from_static("/"));
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("crossfade-check"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut outgoing = Outgoing { request, spelling: None };
    let sent = How { host: HostPolicy::Endpoint, keeps_head: false };
    let answered =
        exchange_on(endpoint.connect().await?, endpoint, &mut outgoing, sent, (&(), &Cell::new(false))).await;
    answered.map(|answered| answered.head.status())
}
