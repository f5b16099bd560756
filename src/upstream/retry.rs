//! Asking once more: which failures are worth it, what may be sent twice, and how much of it a backend has to bear.
//!
//! The budget is a bucket of tokens that requests fill and retries empty (Finagle's `RetryBudget`): while everything
//! fails, retries add their configured share to the load and no more, whereas a limit per request would multiply it.

use std::cell::Cell;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::UpstreamError;
use crate::config::RetryPolicy;
use crate::outcome::Cause;
use crate::percent::Percent;
use crate::retry::Retry;

/// Retries that a backend without failures saves up, for each worker: what a short outage may cost at once.
const MOST_SAVED: u64 = 100;

/// A body that may have to be sent more than once.
pub trait Resend: Body + Sized {
    /// Another handle on the same body, from its start; `None` when it can be sent only once. Whoever reads last gets the
    /// body, and handles that began to read before get an error.
    fn again(&self) -> Option<Self>;

    /// Whether a handle that was not read yet would still get the whole body.
    fn is_whole(&self) -> bool;
}

/// What happened beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retrying {
    /// The first try failed, and there may be others.
    FirstFailed(Cause),
    /// What became of the wish for another one.
    Ended(Retry),
}

/// Why a try is worth another one, and how long the backend asks to be left alone.
pub(super) struct Failed {
    pub(super) cause: Cause,
    pub(super) retry_after: Duration,
}

impl Failed {
    /// `None` for an answer that stands, and for a failure that would happen again or was the consumer's.
    pub(super) fn of<B>(answer: &Result<Response<B>, UpstreamError>) -> Option<Self> {
        match answer {
            Ok(response) => {
                let again = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
                let failed = || Self { cause: Cause::Status, retry_after: retry_after(response.headers()) };
                again.contains(&response.status()).then(failed)
            }
            Err(UpstreamError::Unsent(_)) => None,
            Err(error) => {
                let again = matches!(error.cause(), Cause::Connect | Cause::Reset | Cause::Timeout);
                again.then(|| Self { cause: error.cause(), retry_after: Duration::ZERO })
            }
        }
    }
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3). A date is beyond any deadline of ours.
fn retry_after(headers: &HeaderMap) -> Duration {
    let Some(value) = headers.get(RETRY_AFTER) else { return Duration::ZERO };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse::<u32>().ok());
    Duration::from_secs(seconds.unwrap_or(u32::MAX).into())
}

/// One worker's retries of one backend.
pub(super) struct Retries {
    pub(super) policy: RetryPolicy,
    budget: Budget,
}

impl Retries {
    pub(super) const fn new(policy: RetryPolicy) -> Self {
        let budget = Budget::new(policy.budget);
        Self { policy, budget }
    }

    /// One more request that may be retried.
    pub(super) fn deposit(&self) {
        self.budget.deposit();
    }

    /// How long to wait before the next try, when `tries` have failed; else why there is none. `random` is any number.
    pub(super) fn pause(&self, tries: u32, failed: &Failed, left: Duration, random: u64) -> Result<Duration, Retry> {
        let pause = backoff(self.policy.backoff, tries, random).max(failed.retry_after);
        if pause >= left {
            return Err(Retry::TooLate);
        }
        if self.budget.withdraw() { Ok(pause) } else { Err(Retry::OverBudget) }
    }

    /// When a try that begins now has to be over.
    pub(super) fn try_due(&self, due: Instant) -> Instant {
        self.policy.try_timeout.map_or(due, |longest| due.min(Instant::now() + longest))
    }
}

/// Between half of the pause and all of it, so that clients that failed together do not come back together
/// ("equal jitter": Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
fn backoff(first: Duration, tries: u32, random: u64) -> Duration {
    let longest = first.saturating_mul(1 << (tries - 1).min(16));
    let share = 0.5 + (random >> 11) as f64 / (1_u64 << 54) as f64;
    longest.min(Duration::from_secs(3600)).mul_f64(share)
}

/// A bucket of tokens: each request brings a share of one, each retry takes one whole.
struct Budget {
    share: u64,
    /// In thousandths of a percent of a token.
    saved: Cell<u64>,
}

/// One token.
const TOKEN: u64 = Percent::HUNDRED.thousandths() as u64;

impl Budget {
    /// Begins empty: retries never exceed their share, not even of the first requests.
    const fn new(share: Percent) -> Self {
        Self { share: share.thousandths() as u64, saved: Cell::new(0) }
    }

    fn deposit(&self) {
        self.saved.set((self.saved.get() + self.share).min(MOST_SAVED * TOKEN));
    }

    fn withdraw(&self) -> bool {
        let left = self.saved.get().checked_sub(TOKEN);
        self.saved.set(left.unwrap_or(self.saved.get()));
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 3,
            budget: Percent::from_whole(20),
            backoff: Duration::from_millis(100),
            try_timeout: None,
            idempotent: vec![Method::PUT],
        }
    }

    proptest! {
        #[test]
        fn retries_never_exceed_their_share_of_the_requests(share in 0_u8..=100, wants in proptest::collection::vec(0_u8..4, 0..400)) {
            let budget = Budget::new(Percent::from_whole(share));
            let (mut requests, mut retries) = (0_u64, 0_u64);
            for want in wants {
                budget.deposit();
                requests += 1;
                retries += (0..want).filter(|_| budget.withdraw()).count() as u64;
                prop_assert!(retries * 100 <= requests * u64::from(share), "{retries} of {requests}");
            }
        }

        #[test]
        fn a_pause_is_a_random_part_of_a_doubling_one(tries in 1_u32..12, random: u64) {
            let longest = Duration::from_millis(100 << (tries - 1));
            let pause = backoff(Duration::from_millis(100), tries, random);
            prop_assert!(longest / 2 <= pause && pause <= longest, "{pause:?} of {longest:?}");
        }
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let budget = Budget::new(Percent::HUNDRED);
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!((0..1000).filter(|_| budget.withdraw()).count() as u64, MOST_SAVED);
    }

    #[test]
    fn only_what_may_be_sent_twice_is() {
        for (method, allowed) in [(Method::GET, true), (Method::HEAD, true), (Method::PUT, true), (Method::POST, false)]
        {
            assert_eq!(policy().allows(&method), allowed, "{method}");
        }
        assert!(!RetryPolicy { attempts: 1, ..policy() }.allows(&Method::GET));
    }

    #[test]
    fn a_try_beyond_the_deadline_is_not_made_and_costs_no_budget() {
        let retries = Retries::new(policy());
        let failed = Failed { cause: Cause::Connect, retry_after: Duration::ZERO };
        (0..5).for_each(|_| retries.deposit());
        assert_eq!(retries.pause(1, &failed, Duration::from_millis(40), 0), Err(Retry::TooLate));
        assert_eq!(retries.pause(1, &failed, Duration::from_secs(1), 0), Ok(Duration::from_millis(50)));
        assert_eq!(retries.pause(1, &failed, Duration::from_secs(1), 0), Err(Retry::OverBudget));
    }

    #[test]
    fn retry_after_is_respected() {
        let answer = |status: u16, after: &str| {
            let builder = Response::builder().status(status).header(RETRY_AFTER, after);
            Ok::<_, UpstreamError>(builder.body(()).expect("valid"))
        };
        let wanted = |status, after| Failed::of(&answer(status, after)).map(|failed| failed.retry_after.as_secs());
        assert_eq!(wanted(503, "2"), Some(2));
        assert_eq!(wanted(502, "Fri, 20 Nov 2026 08:00:00 GMT"), Some(u32::MAX.into()));
        for status in [200, 404, 429, 500, 501, 505] {
            assert_eq!(wanted(status, "0"), None, "{status}");
        }
    }
}
