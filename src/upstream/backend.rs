//! One backend as one worker sees it: its endpoints, their connections, and one call.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::balance::{Balancer, Choice};
use super::body::Lease;
use super::endpoint::{Checkout, Endpoint};
use super::health::Failure;
use super::retry::{Failed, Recipe, Resend, Retries, Retrying};
use super::tend;
use super::{AnswerBody, UpstreamError};
use crate::condition::Condition;
use crate::config::{BackendSpec, HostPolicy};
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
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
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

    /// Sends a request whose URI is a path and query, and waits for the head of the answer; once more where the
    /// configuration wants that, which `hear` is told of. The answer of a try that failed is dropped unread.
    ///
    /// A connection that had been idle may have been closed by its peer just now: a request that was not sent at all
    /// goes out again on another one, and so does a safe request without a body of which no answer came (RFC 9110,
    /// section 9.2.2; RFC 9112, section 9.3.1), once.
    ///
    /// # Errors
    /// As [`UpstreamError`] tells, of the last try; `Timeout` when `due` passes before the head is complete.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, and the backend sees its request cut off.
    pub async fn call(
        &self,
        request: Request<B>,
        due: Instant,
        hear: impl Fn(Retrying),
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        let retries = self.retries.as_ref().filter(|retries| retries.policy.allows(request.method()));
        let (parts, body) = request.into_parts();
        let recipe = &mut Recipe::new(parts);
        match retries {
            // In a box, so that whoever has no retries does not carry their state.
            Some(retries) => Box::pin(self.call_again(retries, recipe, body, due, hear)).await,
            None => self.call_once(recipe, body, due, None).await.1,
        }
    }

    async fn call_again(
        &self,
        retries: &Retries,
        recipe: &mut Recipe,
        mut body: B,
        due: Instant,
        hear: impl Fn(Retrying),
    ) -> Result<Response<AnswerBody<B>>, UpstreamError> {
        retries.deposit();
        let (mut tries, mut avoid) = (1, None);
        loop {
            let again = (tries < retries.policy.attempts).then(|| body.again());
            let (at, answer) = self.call_once(recipe, body, retries.try_due(due), avoid).await;
            let failed = Failed::of(&answer);
            if tries > 1 {
                hear(Retrying::Ended(if failed.is_some() { Retry::Failure } else { Retry::Success }));
            }
            let (Some(failed), Some(again)) = (failed, again) else { return answer };
            if tries == 1 {
                hear(Retrying::FirstFailed(failed.cause));
            }
            let Some(again) = again.filter(Resend::is_whole) else {
                hear(Retrying::Ended(Retry::BodyGone));
                return answer;
            };
            let left = due.saturating_duration_since(Instant::now());
            match retries.pause(tries, &failed, left, self.balancer.random()) {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(reason) => {
                    hear(Retrying::Ended(reason));
                    return answer;
                }
            }
            drop(answer);
            body = again;
            tries += 1;
            avoid = Some(at);
        }
    }

    /// One try, and the endpoint that got it.
    async fn call_once(
        &self,
        recipe: &mut Recipe,
        body: B,
        due: Instant,
        avoid: Option<usize>,
    ) -> (usize, Result<Response<AnswerBody<B>>, UpstreamError>) {
        let begun = self.balancer.is_choice().then(Instant::now);
        let in_flight = |at: usize| self.endpoints[at].in_flight.get();
        let choice = begun.map_or_else(Choice::default, |now| self.balancer.choose(in_flight, avoid, now));
        let attempt = Attempt { balancer: &self.balancer, choice };
        let endpoint = &self.endpoints[choice.at];
        let mut lease = Lease::new(Rc::clone(endpoint));
        let exchange = pin!(self.exchange(endpoint, recipe, body));
        let called = timeout_at(due, exchange).await.unwrap_or(Err(UpstreamError::Timeout));
        let answer = called.map(|(response, checkout)| {
            lease.connection = Some(checkout.connection);
            response.map(|incoming| AnswerBody::new(incoming, lease, self.spec.idle_timeout))
        });
        attempt.ended(&answer, begun);
        (choice.at, answer)
    }

    /// Closes the connections that nobody used for `idle`; to be called now and then.
    pub fn reap(&self, now: std::time::Instant, idle: Duration) {
        self.endpoints.iter().for_each(|endpoint| endpoint.reap(now, idle));
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint<B>,
        recipe: &mut Recipe,
        body: B,
    ) -> Result<(Response<Incoming>, Checkout<B>), UpstreamError> {
        let mut checkout = endpoint.checkout().await?;
        let again = body.again();
        let request = self.address(recipe.request(body, again.is_none()), endpoint);
        let again = again.filter(|_| checkout.reused && is_repeatable(&request));
        let mut failed = match checkout.connection.sender.try_send_request(request).await {
            Ok(response) => return Ok((response, checkout)),
            Err(failed) => failed,
        };
        let unsent = failed.take_message().filter(|_| checkout.reused);
        let error = failed.error();
        let stale = !(error.is_parse() || error.is_user() || error.is_timeout());
        let again = again.filter(|_| stale).map(|body| self.address(recipe.request(body, false), endpoint));
        let Some(request) = unsent.or(again) else { return Err(broken(failed.into_error())) };
        let mut fresh = endpoint.connect().await?;
        let response = fresh.connection.sender.send_request(request).await.map_err(broken)?;
        Ok((response, fresh))
    }

    fn address(&self, mut request: Request<B>, endpoint: &Endpoint<B>) -> Request<B> {
        if self.spec.host == HostPolicy::Endpoint || !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, endpoint.host.clone());
        }
        if !endpoint.base_path().is_empty() {
            let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            // Base path and path are both valid, and so is one behind the other.
            if let Ok(uri) = format!("{}{path}", endpoint.base_path()).parse::<Uri>() {
                *request.uri_mut() = uri;
            }
        }
        request
    }
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

/// Whether it may be sent on another connection where the peer of an idle one turns out to have closed it meanwhile.
fn is_repeatable<B: Body>(request: &Request<B>) -> bool {
    request.method().is_safe() && request.body().is_end_stream()
}

fn broken(error: hyper::Error) -> UpstreamError {
    if error.is_user() { UpstreamError::Unsent(error.into()) } else { UpstreamError::Broken(error) }
}
