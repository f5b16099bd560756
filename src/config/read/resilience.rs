//! How a backend that fails is dealt with.

use std::time::Duration;

use http::uri::PathAndQuery;

use super::super::resilience::{HealthCheck, RetryPolicy};
use super::value::Value;
use crate::percent::Percent;

const ATTEMPTS: u32 = 2;
/// Beyond this, tries of one request are an outage's amplifier.
const MOST_ATTEMPTS: u32 = 10;
/// Finagle's and linkerd's default share.
const BUDGET: Percent = Percent::from_whole(20);
const BACKOFF: Duration = Duration::from_millis(25);
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// A check that is made more often is an attack.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

pub(super) fn retry(value: &Value<'_>) -> Option<RetryPolicy> {
    let mut table = value.table_like("a table such as { attempts = 2 }")?;
    let policy = RetryPolicy {
        attempts: table.get("attempts", attempts).unwrap_or(ATTEMPTS),
        budget: table.get("budget_percent", Value::percent).unwrap_or(BUDGET),
        backoff: table.duration("backoff", BACKOFF),
        try_timeout: table.get("try_timeout", Value::duration),
        idempotent: table
            .get("idempotent", |value| value.list("a list of methods, such as [\"PUT\"]", Value::method))
            .unwrap_or_default(),
    };
    table.finish();
    Some(policy)
}

pub(super) fn health(value: &Value<'_>) -> Option<HealthCheck> {
    let mut table = value.table_like("a table such as { path = \"/healthz\" }")?;
    let path = table.required("path", "path = \"/healthz\"").and_then(|value| path(&value));
    let interval = table.duration("interval", CHECK_INTERVAL);
    let timeout = table.duration("timeout", CHECK_TIMEOUT);
    let status = table.get("status", |value| value.list("a list of statuses, such as [200]", Value::status));
    if interval < LEAST_INTERVAL {
        table.warn("`interval` is shorter than 10 ms, and is taken as 10 ms", "write at least \"10ms\"");
    }
    table.finish();
    Some(HealthCheck {
        path: path?,
        interval: interval.max(LEAST_INTERVAL),
        timeout,
        status: status.unwrap_or_default(),
    })
}

fn path(value: &Value<'_>) -> Option<String> {
    let text = value.str_like("a path such as \"/healthz\"")?;
    let valid = text.starts_with('/') && !text.contains('#') && text.parse::<PathAndQuery>().is_ok();
    if !valid {
        value.error("no path of a request", "write a path such as \"/healthz\"");
    }
    valid.then(|| text.to_owned())
}

fn attempts(value: &Value<'_>) -> Option<u32> {
    let attempts = value.count(1).and_then(|count| u32::try_from(count).ok())?;
    if attempts > MOST_ATTEMPTS {
        value.error("too many tries of one request", "write 1 to 10");
        return None;
    }
    Some(attempts)
}
