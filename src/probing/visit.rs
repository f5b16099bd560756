//! One endpoint, step by step.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::asking::{Asking, Target};
use super::dial::{Line, dial, resolve};
use super::exchange::{Answered, Broken, exchange, request};
use super::place::Place;
use super::probe::LONGEST;
use super::report::{Found, Scored, State, Step, StepName};
use super::rules::{self, Judged, Verdicts};
use super::{credentials, look, protocol, tls};
use crate::outcome::Outcome;

/// One endpoint, and what was found so far.
pub(super) struct Visit {
    place: Place,
    pub(super) steps: Vec<Step>,
    pub(super) scored: Vec<Scored>,
}

/// What is asked for, and the most bytes of an answer that are scored.
pub(super) struct Requests<'a> {
    pub(super) asking: &'a Asking,
    pub(super) cap: usize,
}

/// An answer and its worth.
type Exchanged = Result<(Answered, Judged), Broken>;

impl Visit {
    pub(super) const fn new(place: Place) -> Self {
        Self { place, steps: Vec::new(), scored: Vec::new() }
    }

    /// The steps to every address, and the first connection that was made.
    pub(super) async fn connect(&mut self) -> Option<Line> {
        let (step, addresses) = resolve(&self.place).await;
        self.steps.push(step);
        if addresses.is_empty() {
            for name in [StepName::Tcp, StepName::Tls, StepName::Alpn] {
                self.steps.push(self.place.step(None, name, None, Found::not_reached()));
            }
        }
        let mut first = None;
        for address in addresses {
            let (steps, line) = dial(&self.place, address).await;
            self.steps.extend(steps);
            first = first.or(line);
        }
        if first.is_some() {
            // Real traffic goes to the address that answers, so that the others are worth knowing, and no failure.
            self.steps
                .iter_mut()
                .filter(|step| step.state == State::Failed)
                .for_each(|step| step.state = State::Warning);
        }
        first
    }

    fn add(&mut self, address: SocketAddr, name: StepName, took: Option<Duration>, found: Found) {
        self.steps.push(self.place.step(Some(address), name, took, found));
    }

    /// The first answer tells of HTTP, of credentials and of the rules; the others of the rules alone.
    pub(super) async fn request_all(&mut self, asked: &Requests<'_>, line: Line) {
        let Some(first) = asked.asking.targets.first() else { return };
        let (address, is_http2, wants_certificate) = (line.address, line.is_http2, line.wants_certificate);
        let begun = Instant::now();
        let answer = self.ask(asked, first, line).await;
        let took = begun.elapsed();
        let (answered, score) = match &answer {
            Ok((answered, judged)) => (answered, judged.score),
            Err(broken) => {
                self.fail(asked, (address, is_http2, wants_certificate), broken, took).await;
                return;
            }
        };
        if self.place.endpoint.tls.is_none()
            && answered.status == StatusCode::BAD_REQUEST
            && look::speaks_tls(address).await
        {
            // Many servers explain in HTTP that their port speaks TLS.
            self.add(address, StepName::Http, Some(took), protocol::speaks_tls(&self.place));
            self.reach_no(asked, StepName::Credentials);
            return;
        }
        let spoken = format!("answered in {:?}", answered.version);
        self.add(address, StepName::Http, Some(took), Found::ok(spoken));
        let found = credentials::judge(&self.place, asked.asking, answered, score);
        let is_refused = found.state == State::Failed;
        self.add(address, StepName::Credentials, None, found);
        if is_refused {
            self.reach_no(asked, StepName::Request);
            return;
        }
        let mut known = Some((answer, took));
        for target in &asked.asking.targets {
            self.request(asked, target, address, known.take()).await;
        }
    }

    /// No answer in HTTP: a client certificate that is missed only after the handshake, or another protocol.
    async fn fail(
        &mut self,
        asked: &Requests<'_>,
        (address, is_http2, wants_certificate): (SocketAddr, bool, bool),
        broken: &Broken,
        took: Duration,
    ) {
        let at = Some(address.to_string());
        let is_handshake = broken.alert.is_some() || (wants_certificate && broken.text != Broken::timeout().text);
        let tls_step = self.steps.iter_mut().find(|step| step.address == at && step.name == StepName::Tls);
        if let (true, Some(step)) = (is_handshake, tls_step) {
            let took = step.ms.map(|ms| Duration::from_secs_f64(ms / 1e3));
            *step =
                self.place.step(Some(address), StepName::Tls, took, tls::client_certificate(&self.place, broken.alert));
            for step in self.steps.iter_mut().filter(|step| step.address == at && step.name == StepName::Alpn) {
                *step = self.place.step(Some(address), StepName::Alpn, None, Found::not_reached());
            }
            self.reach_no(asked, StepName::Http);
            return;
        }
        let waited = self.timeout(asked);
        let found = protocol::diagnose(&self.place, (address, is_http2), broken, waited).await;
        self.add(address, StepName::Http, Some(took), found);
        self.reach_no(asked, StepName::Credentials);
    }

    /// One path, as often as wanted; `known` is an answer that is there already.
    async fn request(
        &mut self,
        asked: &Requests<'_>,
        target: &Target,
        address: SocketAddr,
        known: Option<(Exchanged, Duration)>,
    ) {
        if target.is_makeshift {
            return;
        }
        let mut verdicts = Verdicts::new();
        let mut known = known;
        let waited = self.timeout(asked);
        for _ in 0..asked.asking.count {
            let (answer, took) = match known.take() {
                Some(known) => known,
                None if self.place.is_over() => break,
                None => self.ask_again(asked, target, address).await,
            };
            verdicts.add(rules::judge((&self.place, asked.asking, target), &answer, waited), took);
        }
        let (took, found) = verdicts.together();
        let mut step = self.place.step(Some(address), StepName::Request, Some(took), found);
        step.request = Some(self.name(asked, target));
        if step.state == State::NotReached {
            step.ms = None;
            step.finding = format!("the time of the probe is over ({} s)", LONGEST.as_secs());
        }
        self.steps.push(step);
    }

    async fn ask_again(&mut self, asked: &Requests<'_>, target: &Target, address: SocketAddr) -> (Exchanged, Duration) {
        let (mut steps, line) = dial(&self.place, address).await;
        let begun = Instant::now();
        let Some(line) = line else {
            let failed = steps.drain(..).find(|step| step.state == State::Failed);
            let text = failed.map(|step| step.finding).unwrap_or_default();
            return (Err(Broken { text, ..Broken::connect() }), begun.elapsed());
        };
        let answer = self.ask(asked, target, line).await;
        (answer, begun.elapsed())
    }

    async fn ask(&mut self, asked: &Requests<'_>, target: &Target, line: Line) -> Exchanged {
        let request = request(&self.place, asked.asking, target);
        let within = self.place.clip(self.timeout(asked));
        let answer = exchange(line, request, asked.cap, within).await.map(|answered| {
            let judged = rules::score(&self.place, asked.asking, target, &answered, asked.cap);
            (answered, judged)
        });
        if !target.is_makeshift {
            let scored = answer.as_ref().map(|(answered, judged)| (judged.score.alone(), Some(answered.latency)));
            let (outcome, latency) = scored.unwrap_or_else(|broken| (Outcome::Fallback(broken.cause), None));
            let route = self.place.dependency.routes[target.route].name.clone();
            let backend = self.place.backend;
            self.scored.push(Scored { backend, route, outcome, latency });
        }
        answer
    }

    fn timeout(&self, asked: &Requests<'_>) -> Duration {
        asked.asking.timeout.unwrap_or(self.place.spec.timeout)
    }

    /// Method, path and route. The query stays out, since it may hold a secret.
    fn name(&self, asked: &Requests<'_>, target: &Target) -> String {
        let route = &self.place.dependency.routes[target.route];
        format!("{} {} (route {})", asked.asking.method, target.path.path(), route.name)
    }

    /// Every step from one on, as not reached.
    pub(super) fn reach_no(&mut self, asked: &Requests<'_>, from: StepName) {
        for name in [StepName::Http, StepName::Credentials].into_iter().filter(|name| *name >= from) {
            self.steps.push(self.place.step(None, name, None, Found::not_reached()));
        }
        for target in asked.asking.targets.iter().filter(|target| !target.is_makeshift) {
            let mut step = self.place.step(None, StepName::Request, None, Found::not_reached());
            step.request = Some(self.name(asked, target));
            self.steps.push(step);
        }
    }

    /// Routes that nobody can ask for without knowing a path.
    pub(super) fn name_unasked(&mut self, asking: &Asking) {
        for (route, pattern) in &asking.unasked {
            let remedy = format!("give one that fits: --path {pattern}");
            let found = Found::warning("not asked: the pattern of the route is no path", remedy);
            let mut step = self.place.step(None, StepName::Request, None, found);
            step.request = Some(format!("{} {pattern} (route {route})", asking.method));
            self.steps.push(step);
        }
    }
}
