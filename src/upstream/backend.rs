//! One backend as one worker sees it: its endpoints, their connections, and one call.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use super::balance::{Balancer, Choice};
use super::body::Lease;
use super::endpoint::Endpoint;
use super::error::BoxError;
use super::exchange::{How, exchange};
use super::health::Failure;
use super::outgoing::{Ear, Outgoing};
use super::retry::{Failed, Resend, Retries, Retrying};
use super::tend;
use super::{AnswerBody, UpstreamError};
use crate::condition::Condition;
use crate::config::BackendSpec;
use crate::outcome::Cause;
use crate::retry::Retry;

/// One backend as one worker sees it. Connections are never shared between workers, so nothing here is locked.
pub struct Upstream<B> {
    spec: BackendSpec,
    endpoints: Vec<Rc<Endpoint<B>>>,
    balancer: Balancer,
    retries: Option<Retries>,
}

impl<B> Upstream<B>
where
    B: Resend + Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Begins with one connection to each endpoint, made in the background, and with checks where `checks` asks for them
    /// and the settings have some. There is one condition for each endpoint, in the same order.
    pub fn start(spec: BackendSpec, conditions: Vec<Arc<Condition>>, checks: bool) -> Rc<Self> {
        let endpoint = |(endpoint, condition): (_, &Arc<Condition>)| {
            Rc::new(Endpoint::new(endpoint, spec.connect_timeout, Arc::clone(condition)))
        };
        let endpoints: Vec<_> = spec.endpoints.iter().zip(&conditions).map(endpoint).collect();
        let retries = spec.retry.clone().map(Retries::new);
        let balancer = Balancer::new(conditions, spec.timeout);
        let upstream = Rc::new(Self { spec, endpoints, balancer, retries });
        tend::warm(&upstream.endpoints);
        if let Some(how) = upstream.spec.health.as_ref().filter(|_| checks) {
            for (at, endpoint) in upstream.endpoints.iter().enumerate() {
                let (weak, endpoint) = (Rc::downgrade(&upstream), Rc::clone(endpoint));
                let condition = Arc::clone(upstream.balancer.condition(at));
                tokio::task::spawn_local(tend::check(weak, endpoint, condition, how.clone()));
            }
        }
        upstream
    }

    /// The settings it was made from.
    pub const fn spec(&self) -> &BackendSpec {
        &self.spec
    }

    /// Sends a request, and waits for the head of the answer; once more where the configuration wants that. What happens
    /// meanwhile is told to `ear`. The answer of a try that failed is dropped unread. Of the request at most the head is
    /// left, for its memory is wanted sooner than its answer comes.
    ///
    /// A connection that had been idle may have been closed by its peer just now: a request that was not sent at all
    /// goes out again on another one, and so does a safe request without a body of which no answer came (RFC 9110,
    /// section 9.2.2; RFC 9112, section 9.3.1), once.
    ///
    /// Where an endpoint accepts nobody, the request goes to another one at once, whatever its method: nothing of it was
    /// sent, so that is no retry.
    ///
    /// # Errors
    /// As [`UpstreamError`] tells, of the last try; `Timeout` when `due` passes before the head is complete.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, and the backend sees its request cut off.
    pub async fn call(
        &self,
        outgoing: &mut Outgoing<B>,
        due: Instant,
        ear: &impl Ear,
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        match self.retries.as_ref().filter(|retries| retries.policy.allows(outgoing.request.method())) {
            // In a box, so that whoever has no retries does not carry their state.
            Some(retries) => Box::pin(self.call_again(retries, outgoing, due, ear)).await,
            None => self.call_once(outgoing, due, Try { is_last: true, avoid: None }, ear).await.1,
        }
    }

    async fn call_again(
        &self,
        retries: &Retries,
        outgoing: &mut Outgoing<B>,
        due: Instant,
        ear: &impl Ear,
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        retries.deposit();
        let (mut tries, mut avoid) = (1, None);
        loop {
            let is_last = tries >= retries.policy.attempts;
            let again = (!is_last).then(|| outgoing.request.body().again());
            let (at, answer) = self.call_once(outgoing, retries.try_due(due), Try { is_last, avoid }, ear).await;
            let failed = Failed::of(&answer);
            if tries > 1 {
                ear.retrying(Retrying::Ended(if failed.is_some() { Retry::Failure } else { Retry::Success }));
            }
            let (Some(failed), Some(again)) = (failed, again) else { return answer };
            if tries == 1 {
                ear.retrying(Retrying::FirstFailed(failed.cause));
            }
            let Some(again) = again.filter(Resend::is_whole) else {
                ear.retrying(Retrying::Ended(Retry::BodyGone));
                return answer;
            };
            let left = due.saturating_duration_since(Instant::now());
            match retries.pause(tries, &failed, left, self.balancer.random()) {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(reason) => {
                    ear.retrying(Retrying::Ended(reason));
                    return answer;
                }
            }
            drop(answer);
            *outgoing.request.body_mut() = again;
            tries += 1;
            avoid = Some(at);
        }
    }

    /// One try, and the endpoint that got it; that is another one where the first one could not be reached.
    async fn call_once(
        &self,
        outgoing: &mut Outgoing<B>,
        due: Instant,
        how: Try,
        ear: &impl Ear,
    ) -> (usize, Result<Response<AnswerBody<B>>, UpstreamError>) {
        let is_whole = Cell::new(true);
        let (at, answer) = self.ask(outgoing, due, how, (ear, &is_whole)).await;
        let is_unreached = answer.as_ref().is_err_and(|error| matches!(error.cause(), Cause::Connect | Cause::Tls));
        if is_unreached && is_whole.get() && self.balancer.is_choice() {
            return Box::pin(self.ask(outgoing, due, Try { avoid: Some(at), ..how }, (ear, &is_whole))).await;
        }
        (at, answer)
    }

    /// Chooses an endpoint and asks it. Tells whether all of the request is still there.
    async fn ask(
        &self,
        outgoing: &mut Outgoing<B>,
        due: Instant,
        Try { is_last, avoid }: Try,
        (ear, is_whole): (&impl Ear, &Cell<bool>),
    ) -> (usize, Result<Response<AnswerBody<B>>, UpstreamError>) {
        let begun = self.balancer.is_choice().then(Instant::now);
        let in_flight = |at: usize| self.endpoints[at].in_flight.get();
        let choice = begun.map_or_else(Choice::default, |now| self.balancer.choose(in_flight, avoid, now));
        let attempt = Attempt { balancer: &self.balancer, choice };
        let endpoint = &self.endpoints[choice.at];
        let lease = Lease::new(endpoint);
        // With several endpoints, what may be sent twice may go to another one.
        let how = How { host: self.spec.host, keeps_head: !is_last || begun.is_some() };
        let exchange = pin!(exchange(endpoint, outgoing, how, (ear, is_whole)));
        let called = timeout_at(due, exchange).await.unwrap_or(Err(UpstreamError::Timeout));
        let answer = called.map(|answered| answered.lent(lease, self.spec.idle_timeout));
        if !answer.as_ref().is_err_and(|error| ear.spares(error)) {
            attempt.ended(&answer, begun);
        }
        (choice.at, answer)
    }

    /// Closes the connections that nobody used for `idle`; to be called now and then.
    pub fn reap(&self, now: std::time::Instant, idle: Duration) {
        self.endpoints.iter().for_each(|endpoint| endpoint.reap(now, idle));
    }
}

/// What is particular about one try.
#[derive(Clone, Copy)]
struct Try {
    /// No other one follows.
    is_last: bool,
    /// The endpoint that failed just now.
    avoid: Option<usize>,
}

/// A try under way; dropped without an end, it tells nothing of its endpoint.
struct Attempt<'a> {
    balancer: &'a Balancer,
    choice: Choice,
}

impl Attempt<'_> {
    fn ended<B>(&self, answer: &Result<Response<B>, UpstreamError>, begun: Option<Instant>) {
        match answer {
            Err(UpstreamError::Unsent(_)) => {}
            Err(error) if matches!(error.cause(), Cause::Connect | Cause::Tls) => {
                self.balancer.failed(self.choice, Failure::Certain);
            }
            answer if Failed::of(answer).is_some() || answer.is_err() => {
                self.balancer.failed(self.choice, Failure::Possible);
            }
            _ => self.balancer.answered(self.choice.at, begun.map(|begun| begun.elapsed())),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.balancer.forget(self.choice);
    }
}
