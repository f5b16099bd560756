//! How a backend that fails is dealt with.

use std::time::Duration;

use super::super::resilience::RetryPolicy;
use super::value::Value;
use crate::percent::Percent;

const ATTEMPTS: u32 = 2;
/// Beyond this, tries of one request are an outage's amplifier.
const MOST_ATTEMPTS: u32 = 10;
/// Finagle's and linkerd's default share.
const BUDGET: Percent = Percent::from_whole(20);
const BACKOFF: Duration = Duration::from_millis(25);

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

fn attempts(value: &Value<'_>) -> Option<u32> {
    let attempts = value.count(1).and_then(|count| u32::try_from(count).ok())?;
    if attempts > MOST_ATTEMPTS {
        value.error("too many tries of one request", "write 1 to 10");
        return None;
    }
    Some(attempts)
}
