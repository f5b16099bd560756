//! A small world around a real crossfade process: two origins that misbehave on command, a consumer that sees every
//! byte, and the proxy between them.
//!
//! Nothing here sleeps to wait. Whatever a test waits for is a value: a request that an origin received, a metric, an exit
//! status; each wait has one generous limit, and says what it last saw when it gives up.

mod certificates;
mod client;
mod command;
mod http;
mod metrics;
mod origin;
mod peer;
mod proxy;
mod raw;

use std::time::Duration;

pub(crate) use certificates::{Authority, Identity};
pub(crate) use client::ask;
pub(crate) use client::{Client, Request, Response};
pub(crate) use command::{curl, run};
pub(crate) use metrics::Metrics;
pub(crate) use origin::{Behaviour, Origin, Received, Reply};
pub(crate) use peer::{Answered, Consumer, Content, Peer, Speaks, content, stream};
pub(crate) use proxy::{BINARY, Proxy, RUN, World, Write, signal};
pub(crate) use raw::{Raw, Script};

/// The longest a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for something that is bound to happen; fails the test when it does not.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, happens).await;
    waited.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}
