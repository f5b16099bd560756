//! The story of one request: pick, mirror, serve, score.
//!
//! The consumer waits for the primary and for nothing else. Where `rescue` is on and V2 is the primary, the primary's
//! answer counts as there when it is scored.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{HeaderName, UPGRADE, VIA};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, request};
use http_body::Body;
use http_body_util::Full;
use tokio::sync::oneshot;

use super::account::Account;
use super::capture::Capture;
use super::forwarded;
use super::head;
use super::hops;
use super::interim::Listener;
use super::leg::{Answering, Leg};
use super::pair::Pair;
use super::pick::{Pick, Shadowing, pick};
use super::probe;
use super::recast::{self, recast};
use super::refuse;
use super::relay::{Relay, ServedBody};
use super::replay::{self, Replay};
use super::rescue::{self, Choice, Held};
use super::reshape;
use super::sampling;
use super::scoring::Complete;
use super::shadow::{Collected, Shadow};
use super::strict;
use super::tee::{CopyLimits, LegBody, tee};
use super::upgrade;
use super::upload::Upload;
use super::view::{Target, View};
use super::worker::{Admission, Worker};
use crate::backend::{Backend, Role};
use crate::outcome::Cause;
use crate::refusal::Refusal;
use crate::score::{Score, is_conditional};
use crate::server::{Content, Line, Peer};
use crate::skip::Skip;
use crate::telemetry::ServedBy;
use crate::upstream::{Outgoing, UpstreamError};
use crate::wire::Spelling;

const SERVED_BY: HeaderName = HeaderName::from_static("crossfade-served-by");
const RESCUED: HeaderName = HeaderName::from_static("crossfade-rescued");

/// Answers one request of a consumer.
///
/// # Cancel safety
/// Dropped when the consumer leaves: the primary's call ends, the shadow goes on.
pub(super) async fn exchange(worker: Rc<Worker>, request: Request<Content>, peer: Peer) -> Response<ServedBody> {
    let begun = Instant::now();
    let view = worker.view();
    let (mut head, body) = request.into_parts();
    if let Err(reason) = strict::check(&head, !body.is_end_stream(), peer.is_secure) {
        return refused(Account::open(&view.nowhere), reason, head.version);
    }
    let Some(place) = view.live.deployment.route(host(&head), head.uri.path(), &head.method) else {
        return refused(Account::open(&view.nowhere), Refusal::NoDependency, head.version);
    };
    let (target, route) = (&view.targets[place.dependency], place.route);
    let account = Account::open(&target.routes[route]);
    let Some(admission) = worker.admit() else {
        return refused(account, Refusal::Overload, head.version);
    };
    match hops::step(&mut head) {
        Ok(None) => {}
        Ok(Some(answer)) => return answered(account, answer),
        Err(reason) => return refused(account, reason, head.version),
    }
    if head.method == Method::TRACE && target.adds_headers() {
        return refused(account, Refusal::Method, head.version);
    }
    let probe = match probe::take(&mut head.headers, view.live.deployment.token.as_ref()).transpose() {
        Ok(probe) => probe,
        Err(reason) => return refused(account, reason, head.version),
    };
    let rule = &view.live.deployment.forwarded;
    let client = forwarded::record(&mut head.headers, rule, &peer);
    let mut asked =
        Asked { worker: &worker, view: &view, target, route, begun, line: peer.line, open: (account, admission) };
    let legs = match probe {
        Some(backend) => asked.probe(backend, head, body),
        None => asked.mirror(pick(&target.plan, &head, client, worker.draw()), head, body),
    };
    asked.serve(legs).await
}

/// One request, from when its place is known.
struct Asked<'a> {
    worker: &'a Rc<Worker>,
    view: &'a Rc<View>,
    target: &'a Target,
    route: usize,
    begun: Instant,
    /// The consumer's connection, where HTTP/1 is spoken on it.
    line: Option<Rc<Line>>,
    open: (Account, Admission),
}

/// What is left to do once the shadow is on its way.
struct Legs {
    pair: Rc<Pair>,
    primary: Option<(Leg, Outgoing<LegBody>)>,
    /// Where to hear V1's answer, if V2's may need a rescue.
    rescue: Option<oneshot::Receiver<Collected>>,
}

impl Asked<'_> {
    /// Makes the requests for both backends and starts the shadow.
    fn mirror(&mut self, pick: Pick, head: request::Parts, body: Content) -> Legs {
        let listener = Listener::new(&head, !body.is_end_stream(), self.line.as_ref().map(|line| line.interim()));
        self.open.0.expects(listener.expected());
        let head = head::forwardable(head, !body.is_end_stream());
        let (method, conditional) = (head.method.clone(), is_conditional(&head.headers));
        let route = &self.target.routes[self.route];
        let shadowing = self.admit_shadow(pick.shadow, pick.primary.other());
        let with_shadow = shadowing == Shadowing::Wanted;
        let excluded = self.target.dependency.routes[self.route].rules.exclude.matches_request(&head.headers);
        let started = self.worker.tick(self.begun);
        let pair = Pair::new(Rc::clone(self.view), Rc::clone(route), pick.primary, with_shadow, started, excluded);
        count_eligible(shadowing, &pair);
        if !excluded && (with_shadow || pick.primary == Backend::V2) {
            pair.sampling().begin(self.worker, &pair, &head, with_shadow, self.begun);
        }
        let leg = |backend| Leg::new(self.target, &pair, backend, &method, conditional);
        if !with_shadow {
            let body = if body.is_end_stream() { LegBody::Empty } else { LegBody::Stream(Upload::new(body, &pair)) };
            let primary = leg(pick.primary).map(|leg| self.ask(leg, head, body, listener));
            return Legs { pair, primary, rescue: None };
        }
        let (ours, theirs, fate) = self.split(body, &pair);
        if fate.is_none() {
            sampling::measure_noise(self.worker, self.target, &pair, (&head, self.spelling()), self.begun);
        }
        let mut rescue = None;
        if let Some(leg) = leg(pick.primary.other()) {
            let (leg, outgoing) = self.request(leg, head.clone(), theirs);
            let (mouth, ear) = self.may_rescue(pick.primary).then(oneshot::channel).unzip();
            rescue = ear;
            Shadow { leg, outgoing, fate }.start(self.worker, self.begun, mouth);
        }
        let primary = leg(pick.primary).map(|leg| self.ask(leg, head, ours, listener));
        Legs { pair, primary, rescue }
    }

    /// Makes the request for the one backend that somebody asks for by hand.
    fn probe(&mut self, backend: Backend, head: request::Parts, body: Content) -> Legs {
        self.open.0.is_probe();
        let head = head::forwardable(head, !body.is_end_stream());
        let (method, conditional) = (head.method.clone(), is_conditional(&head.headers));
        let route = &self.target.routes[self.route];
        let excluded = self.target.dependency.routes[self.route].rules.exclude.matches_request(&head.headers);
        let started = self.worker.tick(self.begun);
        let pair = Pair::probe(Rc::clone(self.view), Rc::clone(route), backend, started, excluded);
        let leg = Leg::new(self.target, &pair, backend, &method, conditional);
        let body = if body.is_end_stream() { LegBody::Empty } else { LegBody::Stream(Upload::new(body, &pair)) };
        Legs { primary: leg.map(|leg| self.request(leg, head, body)), pair, rescue: None }
    }

    fn admit_shadow(&self, wanted: Shadowing, shadow: Backend) -> Shadowing {
        match wanted {
            Shadowing::Wanted if self.target.upstream(shadow).is_none() => Shadowing::Skipped(Skip::NotMirrorable),
            Shadowing::Wanted => self.worker.admit_shadow().map_or_else(Shadowing::Skipped, |()| wanted),
            wanted => wanted,
        }
    }

    fn split(&self, body: Content, pair: &Rc<Pair>) -> (LegBody, LegBody, Option<super::tee::CopyFate>) {
        if body.is_end_stream() {
            return (LegBody::Empty, LegBody::Empty, None);
        }
        let limits = CopyLimits {
            backlog: self.view.live.deployment.limits.shadow_backlog,
            memory: self.worker.shadow_memory(),
            route: Rc::clone(&self.target.routes[self.route]),
        };
        let (ours, theirs) = tee(Upload::new(body, pair), limits);
        let fate = theirs.fate();
        (LegBody::Teed(ours), LegBody::Copy(theirs), Some(fate))
    }

    /// The primary's request, whose interim answers are the consumer's.
    fn ask(&self, mut leg: Leg, head: request::Parts, body: LegBody, listener: Listener) -> (Leg, Outgoing<LegBody>) {
        let is_mapped = recast::program(leg.program.as_ref(), &head.headers, &body).is_some();
        // What is mapped is read before the backend is asked whether it wants it.
        let body = if is_mapped { body } else { listener.hold(body) };
        leg.listener = listener;
        self.request(leg, head, body)
    }

    fn request(&self, mut leg: Leg, head: request::Parts, body: LegBody) -> (Leg, Outgoing<LegBody>) {
        let role: Role = leg.pair.role(leg.backend);
        let body = self.resendable(&leg, body);
        let route = &self.target.dependency.routes[self.route];
        // Connections outlive a changed secret: what is sent is what this revision says.
        let spec = self.target.dependency.backend(leg.backend).unwrap_or(leg.upstream.spec());
        let mut request = head::leg(head, body, (spec, route), role, self.worker.span());
        if let Some(mapping) = leg.mapping() {
            reshape::ask(request.headers_mut(), mapping);
            leg.conditional = is_conditional(request.headers());
        }
        (leg, Outgoing { request, spelling: self.spelling() })
    }

    /// The body, kept while it is sent where the backend may have to be asked once more. Others go as they are.
    fn resendable(&self, leg: &Leg, body: LegBody) -> LegBody {
        let again = leg.upstream.spec().retry.as_ref().is_some_and(|retry| retry.allows(&leg.method));
        if !again || body.is_end_stream() || body.size_hint().upper().is_none_or(|size| size > replay::MOST) {
            return body;
        }
        let route = Rc::clone(&self.target.routes[self.route]);
        LegBody::Replay(Box::new(Replay::new(body, self.worker.shadow_memory(), route)))
    }

    /// How the consumer spelled the head of its request, where it could choose.
    fn spelling(&self) -> Option<Spelling> {
        self.line.as_ref().and_then(|line| line.spelling())
    }

    /// Has the answer go out as its backend spelled it.
    fn spell(&self, spelling: Option<Spelling>) {
        if let (Some(line), Some(spelling)) = (&self.line, spelling) {
            line.spell_answer(spelling);
        }
    }

    fn may_rescue(&self, primary: Backend) -> bool {
        primary == Backend::V2 && self.target.plan.rollout.as_ref().is_some_and(|rollout| rollout.rescue)
    }

    /// Calls the primary and answers the consumer.
    async fn serve(self, legs: Legs) -> Response<ServedBody> {
        let Legs { pair, primary, rescue } = legs;
        let Some((leg, mut outgoing)) = primary else {
            return answered(self.open.0, refuse::no_backend());
        };
        let due = self.begun + leg.timeout();
        let _unless_answered = Abandoned(Rc::clone(&pair));
        let offer = head::all(outgoing.request.headers(), &UPGRADE).next().cloned();
        let asking = async {
            recast(self.worker, &leg, &mut outgoing.request, due).await?;
            leg.call(&mut outgoing, due).await
        };
        let called = match asking.await {
            Ok(answering) if answering.head.status == StatusCode::SWITCHING_PROTOCOLS => {
                return self.switch(answering, &pair, offer.as_ref());
            }
            called => called,
        };
        let called = called.map(|mut answering| {
            let capture = self.capture(&leg, &answering, rescue.is_some());
            let head = answering.head.clone();
            let complete = Complete { pair: Rc::clone(&pair), backend: leg.backend, head, capture };
            if let Some(mapping) = leg.mapping().filter(|_| !complete.head.unmapped) {
                reshape::pass(&mut answering.response, &complete, mapping);
            }
            (answering, complete)
        });
        let Some(v1) = rescue else {
            return self.serve_alone(called, &pair).await;
        };
        // In a box, so that whoever needs no rescue does not carry its state.
        match Box::pin(rescue::choose(called, &pair, v1, (self.worker, due))).await {
            Choice::V2(Ok(held)) => self.serve_held(held, &pair, Backend::V2, None),
            Choice::V2(Err(error)) => {
                pair.serve(Backend::V2);
                self.fail(&pair, &error)
            }
            Choice::V1(held, cause) => self.serve_held(held, &pair, Backend::V1, Some(cause)),
        }
    }

    /// Serves the primary's answer, or its failure, whatever it is worth.
    async fn serve_alone(
        self,
        called: Result<(Answering, Complete), UpstreamError>,
        pair: &Pair,
    ) -> Response<ServedBody> {
        let error = match called {
            Ok((answering, complete)) if complete.head.unmapped => {
                match reshape::read(answering.response, complete, self.worker, None).await {
                    Ok((held, complete)) => {
                        self.worker.score_soon(complete);
                        return self.serve_held(held, pair, pair.primary(), None);
                    }
                    Err(error) => error,
                }
            }
            Ok((answering, complete)) => {
                pair.serve(pair.primary());
                return self.stream(answering, complete);
            }
            Err(error) => error,
        };
        pair.serve(pair.primary());
        self.fail(pair, &error)
    }

    /// Passes on a 101, and carries what follows it. Rules cannot judge that.
    fn switch(mut self, answering: Answering, pair: &Pair, offer: Option<&HeaderValue>) -> Response<ServedBody> {
        let (backend, mut response) = (pair.primary(), answering.response);
        pair.serve(backend);
        let Some(carried) = response.body_mut().take_stream() else {
            return self.fail(pair, &UpstreamError::Unasked);
        };
        pair.score(backend, Score::Excluded(Cause::Rule));
        self.open.0.served_by(ServedBy::Backend(backend));
        let protocol = offer.and_then(|offer| upgrade::chosen(response.headers(), offer));
        self.spell(response.body_mut().spelling());
        let mut response = self.mark(response, backend, None);
        if let (Some(protocol), Some(line)) = (protocol, &self.line) {
            upgrade::name(response.headers_mut(), protocol);
            let (idle, route) = (pair.limits().idle_timeout, Rc::clone(pair.route()));
            let (account, admission) = self.open;
            line.take_over(Box::new(move |consumer| {
                Box::pin(async move {
                    upgrade::carry(consumer, carried, idle, route).await;
                    account.close(StatusCode::SWITCHING_PROTOCOLS);
                    drop(admission);
                })
            }));
        }
        response.map(|_| ServedBody::Own(Full::default()))
    }

    /// An answer that may have to be served after it was scored is kept whatever the rules look at.
    fn capture(&self, leg: &Leg, answering: &Answering, held: bool) -> Capture {
        let (pair, scorer) = (&leg.pair, leg.pair.route().scorer(leg.backend));
        if held || pair.sampling().wants_content() || scorer.needs_body(answering.head.status, &answering.head.headers)
        {
            Capture::new(self.worker, pair)
        } else {
            Capture::counting(self.worker, pair)
        }
    }

    fn stream(mut self, mut answering: Answering, complete: Complete) -> Response<ServedBody> {
        let overhead = self.begun.elapsed().saturating_sub(complete.head.latency);
        complete.pair.route().tally().overhead(overhead);
        self.open.0.served_by(ServedBy::Backend(complete.backend));
        if complete.backend == Backend::V2 {
            if complete.head.may_stream {
                complete.pair.streams();
            }
            self.worker.watch_deadline(&complete.pair, self.begun + self.target.dependency.v2.timeout);
        }
        self.spell(answering.response.body_mut().spelling());
        let response = self.mark(answering.response, complete.backend, None);
        response.map(|rest| {
            let relay = Relay::streaming(rest, complete, self.open, Rc::clone(self.worker));
            ServedBody::Relay(Box::new(relay))
        })
    }

    fn serve_held(mut self, held: Held, pair: &Pair, backend: Backend, cause: Option<Cause>) -> Response<ServedBody> {
        if let Some(cause) = cause {
            pair.route().tally().rescue(cause);
        }
        pair.serve(backend);
        self.open.0.served_by(ServedBy::Backend(backend));
        let status = held.head.status;
        self.spell(held.spelling);
        let response = self.mark(Response::from_parts(held.head, ()), backend, cause);
        let relay = Relay::held(held.content, held.rest, status, self.open, Rc::clone(self.worker));
        response.map(|()| ServedBody::Relay(Box::new(relay)))
    }

    fn fail(self, pair: &Pair, error: &UpstreamError) -> Response<ServedBody> {
        let backend = pair.primary();
        tracing::debug!(%backend, %error, "the primary gave no answer");
        pair.score(backend, pair.blame(error));
        if pair.is_consumers(error) {
            let in_time = !matches!(error, UpstreamError::Timeout);
            let reason = if in_time { Refusal::Chunk } else { Refusal::SlowConsumer };
            return refused(self.open.0, reason, Version::HTTP_11);
        }
        answered(self.open.0, refuse::no_answer(backend, error))
    }

    /// Takes out what belonged to the backend's connection, and says whose answer it is.
    fn mark<B>(&self, mut response: Response<B>, backend: Backend, cause: Option<Cause>) -> Response<B> {
        // Whatever version the answer came in, it goes on in ours (RFC 9110, section 2.5).
        let via = head::via(std::mem::replace(response.version_mut(), Version::HTTP_11));
        head::strip_answer(response.headers_mut());
        response.headers_mut().append(VIA, via);
        if self.view.live.deployment.response_headers {
            response.headers_mut().insert(SERVED_BY, HeaderValue::from_static(backend.as_str()));
            if let Some(cause) = cause {
                response.headers_mut().insert(RESCUED, HeaderValue::from_static(cause.as_str()));
            }
        }
        response
    }
}

/// Closes the books of a primary whose consumer left before there was an answer to give.
struct Abandoned(Rc<Pair>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if !self.0.is_served() {
            self.0.serve(self.0.primary());
            self.0.score(self.0.primary(), Score::Excluded(Cause::Aborted));
        }
    }
}

fn count_eligible(shadowing: Shadowing, pair: &Pair) {
    if shadowing != Shadowing::None {
        pair.route().tally().eligible += 1;
    }
    if let Shadowing::Skipped(reason) = shadowing {
        pair.skipped_at_once(reason);
    }
}

fn refused(account: Account, reason: Refusal, version: Version) -> Response<ServedBody> {
    account.refuse(reason);
    answered(account, refuse::refused(reason, version))
}

fn answered(account: Account, answer: Response<Full<Bytes>>) -> Response<ServedBody> {
    account.close(answer.status());
    answer.map(ServedBody::Own)
}

/// The host a request is for: of its target in absolute form, else of its `Host` (RFC 9112, section 3.2).
fn host(head: &request::Parts) -> Option<&str> {
    head.uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| head.headers.get(http::header::HOST)?.to_str().ok())
}
