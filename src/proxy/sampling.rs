//! What is worth a second look of a request: chosen early, kept within bounds while its legs are under way, and handed over
//! when both are done. Nothing here waits, and nothing changes what is served or counted.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use http::{HeaderValue, request};
use http_body_util::BodyExt;

use super::capture::Capture;
use super::head;
use super::pair::Pair;
use super::scoring::{Complete, Head, kind};
use super::tee::LegBody;
use super::trace;
use super::view::Target;
use super::worker::Worker;
use crate::backend::{Backend, Role};
use crate::outcome::{Cause, Outcome};
use crate::score::{Finding, Flaws, Score};
use crate::study::{self, Exchange};
use crate::unstudied::Unstudied;
use crate::upstream::{Outgoing, Upstream, UpstreamError};
use crate::wire::Spelling;

/// Where V1's second answer is kept, beside those of V1 and V2.
const NOISE: usize = 2;

/// What is kept of one request. By default nothing: most requests are seen once.
#[derive(Default)]
pub(super) struct Sampling {
    /// Both answers are to be compared.
    chosen: Cell<bool>,
    /// Whether V2's fallback is kept for people to look at; `None` while nobody asked.
    sampled: Cell<Option<bool>>,
    /// In boxes, since nearly all requests have none.
    kept: RefCell<[Option<Box<study::Answer>>; 3]>,
    /// There was no room for a body.
    crowded: Cell<bool>,
    trace: OnceCell<HeaderValue>,
    /// Absent for what is never looked at: requests that are excluded, and those sent by hand.
    worker: OnceCell<Rc<Worker>>,
}

impl Sampling {
    /// A request that may be looked at. `is_pair`: both backends are asked.
    pub(super) fn begin(&self, worker: &Rc<Worker>, pair: &Pair, head: &request::Parts, is_pair: bool, now: Instant) {
        if let Some(parent) = trace::parent(&head.headers) {
            // A copy, which does not hold on to what was read together with it.
            let _ = HeaderValue::from_bytes(parent.as_bytes()).map(|parent| self.trace.set(parent));
        }
        let _ = self.worker.set(Rc::clone(worker));
        let rate = pair.view().live.deployment.study.pairs;
        self.chosen.set(is_pair && pair.route().meter.takes_pair(now, rate));
    }

    /// Whether answers are wanted whole, whatever scoring looks at.
    pub(super) const fn wants_content(&self) -> bool {
        self.chosen.get()
    }

    /// Keeps an answer that is whole and was scored, if anybody wants to see it.
    pub(super) fn keep(&self, complete: &Complete, finding: Finding) {
        if complete.backend == Backend::V2
            && let Score::Fallback(cause) = finding.score
        {
            self.is_sampled(&complete.pair, cause);
        }
        if self.chosen.get() || self.sampled.get() == Some(true) {
            self.store(complete);
        }
    }

    fn is_sampled(&self, pair: &Pair, cause: Cause) -> bool {
        let is_sampled = self
            .sampled
            .get()
            .unwrap_or_else(|| self.worker.get().is_some() && pair.route().meter.takes_sample(Instant::now(), cause));
        self.sampled.set(Some(is_sampled));
        is_sampled
    }

    fn store(&self, complete: &Complete) {
        let (head, capture) = (&complete.head, &complete.capture);
        let Some(worker) = self.worker.get() else { return };
        let scorer = complete.pair.route().scorer(complete.backend);
        // What was mapped to be served has its place in `map_memory`, which is the consumers'.
        let is_mapped = scorer.mapping().is_some() && !head.unmapped;
        let content = capture.pieces().map(|pieces| worker.shared.keep(pieces, is_mapped));
        self.crowded.set(self.crowded.get() || matches!(content, Some(None)));
        let (status, kind, latency, headers) = (head.status, head.kind, head.latency, head.headers.clone());
        let (size, content) = (capture.body().size(), content.flatten());
        let mapping = scorer.mapping().filter(|_| head.unmapped).cloned();
        let answer = study::Answer { status, kind, latency, headers, size, content, mapping };
        self.kept.borrow_mut()[complete.backend as usize] = Some(Box::new(answer));
    }

    fn leg(&self, pair: &Pair, backend: Backend) -> Option<study::Leg> {
        let answer = self.kept.borrow_mut()[backend as usize].take();
        pair.outcome(backend).map(|outcome| {
            let flaws = match outcome {
                Outcome::Fallback(cause) => pair.flaws(backend, cause),
                Outcome::Rich | Outcome::Excluded(_) => Flaws::default(),
            };
            study::Leg { outcome, flaws, answer }
        })
    }
}

/// Hands over what was kept of a pair whose legs are done.
pub(super) fn hand_over(pair: &Pair) {
    let sampling = pair.sampling();
    let Some(worker) = sampling.worker.get() else { return };
    let is_sample = match pair.outcome(Backend::V2) {
        Some(Outcome::Fallback(cause)) => sampling.is_sampled(pair, cause),
        _ => false,
    };
    let both = || sampling.kept.borrow()[..NOISE].iter().all(Option::is_some);
    let is_pair = sampling.chosen.get() && both();
    if !is_sample && !is_pair {
        return;
    }
    let offered = if is_pair && sampling.crowded.get() {
        Err(Unstudied::Memory)
    } else {
        exchange(pair, is_pair, is_sample).map_or(Ok(()), |exchange| worker.shared.feed.offer(Box::new(exchange)))
    };
    if let Err(reason) = offered {
        pair.route().tally().unstudied(reason);
    }
}

fn exchange(pair: &Pair, is_pair: bool, is_sample: bool) -> Option<Exchange> {
    let (sampling, route, live) = (pair.sampling(), pair.route(), &pair.view().live);
    let (_, dependency) = live.deployment.dependency(&route.id.dependency)?;
    Some(Exchange {
        live: live.clone(),
        dependency: dependency.clone(),
        route: route.id.index,
        scorer: route.scorer(Backend::V2).clone(),
        trace: sampling.trace.get().and_then(trace::id),
        is_pair,
        is_sample,
        v1: sampling.leg(pair, Backend::V1),
        v2: sampling.leg(pair, Backend::V2),
        noise: sampling.kept.borrow_mut()[NOISE].take(),
    })
}

/// Asks V1 the same once more, for a share of the requests that change nothing and carry no body: how far V1 differs from itself
/// is the noise that other differences are held against. The call runs like a shadow and is in no account.
pub(super) fn measure_noise(
    worker: &Rc<Worker>,
    target: &Target,
    pair: &Rc<Pair>,
    (head, spelling): (&request::Parts, Option<Spelling>),
    now: Instant,
) {
    let route = &target.dependency.routes[pair.route().id.index];
    let rate = pair.view().live.deployment.study.pairs;
    let wanted = head.method.is_safe()
        && head.method != http::Method::TRACE
        && pair.sampling().worker.get().is_some()
        && route.diff.noise.covers(worker.draw());
    let (Some(upstream), Some(spec)) = (target.upstream(Backend::V1), &target.dependency.v1) else { return };
    if !wanted || !pair.route().meter.takes_noise(now, rate) {
        return;
    }
    let Some(presence) = Presence::begin(worker) else { return };
    pair.sampling().chosen.set(true);
    pair.route().tally().noise_calls += 1;
    let request = head::leg(head.clone(), LegBody::Empty, (spec, route), Role::Shadow, worker.span());
    let mut outgoing = Outgoing { request, spelling };
    let (upstream, pair, due) = (Rc::clone(upstream), Rc::clone(pair), now + spec.timeout);
    tokio::task::spawn_local(async move {
        let asked = ask(&presence.0, &pair, &upstream, &mut outgoing, due);
        // Whatever went wrong, there is one answer less to learn from.
        if let Ok(Ok(Some(answer))) = tokio::time::timeout_at(due.into(), asked).await {
            pair.sampling().kept.borrow_mut()[NOISE] = Some(Box::new(answer));
        }
        drop(presence);
    });
}

/// The whole answer, if there is one to be had.
async fn ask(
    worker: &Worker,
    pair: &Pair,
    upstream: &Upstream<LegBody>,
    outgoing: &mut Outgoing<LegBody>,
    due: Instant,
) -> Result<Option<study::Answer>, UpstreamError> {
    let begun = Instant::now();
    let (head, mut body) = upstream.call(outgoing, due.into(), &()).await?.into_parts();
    let latency = begun.elapsed();
    let mut capture = Capture::new(worker, pair);
    while let Some(frame) = body.frame().await {
        capture.frame(&frame?);
        if capture.pieces().is_none() {
            return Ok(None);
        }
    }
    let content = capture.pieces().and_then(|pieces| worker.shared.keep(pieces, false));
    let (kind, headers) = (kind(&head.headers), Head::headers(&head.headers, pair.route().scorer(Backend::V1), &[]));
    let size = capture.body().size();
    Ok(Some(study::Answer { status: head.status, kind, latency, headers, size, content, mapping: None }))
}

/// A second call of V1 under way; counted out however it ends.
struct Presence(Rc<Worker>);

impl Presence {
    /// `None` where there is no room: shadows go first.
    fn begin(worker: &Rc<Worker>) -> Option<Self> {
        worker.admits_noise().then(|| {
            worker.shadow_began();
            Self(Rc::clone(worker))
        })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.shadow_ended();
    }
}
