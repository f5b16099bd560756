//! A probe from its beginning to its end: endpoints side by side, their addresses and steps one after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;

use super::asking::{Asking, Target};
use super::dial::{Line, dial, resolve};
use super::exchange::{Answered, Broken, exchange, request};
use super::place::Place;
use super::report::{Found, Report, Scored, State, Step, StepName};
use super::rules::{self, Verdicts};
use super::{credentials, look, protocol, tls};
use crate::backend::Backend;
use crate::config::Dependency;
use crate::outcome::Outcome;
use crate::score::Score;

/// The longest time of a whole probe; what is not done by then is not reached.
const LONGEST: Duration = Duration::from_secs(60);
/// Endpoints of a backend that are probed.
const MOST_ENDPOINTS: usize = 16;

/// Probes a dependency's backends, and says of each step what it found. Takes at most a minute. `score_body` is the limit of
/// the same name.
pub async fn probe(dependency: &Arc<Dependency>, asking: Asking, score_body: usize) -> Report {
    let backends = asking.backends.clone();
    visit_all(dependency, &backends, Some((Arc::new(asking), score_body))).await
}

/// Probes the connections of every backend of a dependency, up to ALPN, without any request.
pub async fn check_connections(dependency: &Arc<Dependency>) -> Report {
    visit_all(dependency, &Backend::ALL, None).await
}

/// What is asked for, and the most bytes of an answer that are scored.
type Asked = Option<(Arc<Asking>, usize)>;

/// All endpoints at once; their steps in the order of the configuration.
async fn visit_all(dependency: &Arc<Dependency>, backends: &[Backend], asked: Asked) -> Report {
    let due = Instant::now() + LONGEST;
    let mut visits = JoinSet::new();
    for backend in backends {
        let Some(spec) = dependency.backend(*backend) else { continue };
        for endpoint in spec.endpoints.iter().take(MOST_ENDPOINTS) {
            let (dependency, spec, endpoint) = (Arc::clone(dependency), spec.clone(), endpoint.clone());
            let place = Place { dependency, backend: *backend, spec, endpoint, due };
            let (asked, at) = (asked.clone(), visits.len());
            visits.spawn(async move { (at, visit(place, asked).await) });
        }
    }
    let mut visited = visits.join_all().await;
    visited.sort_by_key(|(at, _)| *at);
    let (mut steps, mut scored) = (Vec::new(), Vec::new());
    for (_, visit) in visited {
        steps.extend(visit.steps);
        scored.extend(visit.scored);
    }
    let passed = steps.iter().all(|step| step.state != State::Failed);
    Report { dependency: dependency.name.clone(), passed, steps, scored }
}

async fn visit(place: Place, asked: Asked) -> Visit {
    let mut visit = Visit { steps: Vec::new(), scored: Vec::new(), place };
    let line = visit.connect().await;
    if let Some((asking, cap)) = asked {
        let asked = Requests { asking: &asking, cap };
        match line {
            Some(line) => visit.request_all(&asked, line).await,
            None => visit.reach_no(&asked, StepName::Http),
        }
        visit.name_unasked(&asking);
    }
    visit
}

/// One endpoint, and what was found so far.
struct Visit {
    place: Place,
    steps: Vec<Step>,
    scored: Vec<Scored>,
}

/// What is asked for, and the most bytes of an answer that are scored.
struct Requests<'a> {
    asking: &'a Asking,
    cap: usize,
}

impl Visit {
    /// The steps to every address, and the first connection that was made.
    async fn connect(&mut self) -> Option<Line> {
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
    async fn request_all(&mut self, asked: &Requests<'_>, line: Line) {
        let Some(first) = asked.asking.targets.first() else { return };
        let (address, is_http2, wants_certificate) = (line.address, line.is_http2, line.wants_certificate);
        let begun = Instant::now();
        let answer = self.ask(asked, first, line).await;
        let took = begun.elapsed();
        let (answered, score) = match &answer {
            Ok((answered, score)) => (answered, *score),
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
        known: Option<(Result<(Answered, Score), Broken>, Duration)>,
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

    async fn ask_again(
        &mut self,
        asked: &Requests<'_>,
        target: &Target,
        address: SocketAddr,
    ) -> (Result<(Answered, Score), Broken>, Duration) {
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

    async fn ask(&mut self, asked: &Requests<'_>, target: &Target, line: Line) -> Result<(Answered, Score), Broken> {
        let request = request(&self.place, asked.asking, target);
        let within = self.place.clip(self.timeout(asked));
        let answer = exchange(line, request, asked.cap, within).await.map(|answered| {
            let score = rules::score(&self.place, asked.asking, target, &answered, asked.cap);
            (answered, score)
        });
        if !target.is_makeshift {
            let scored = answer.as_ref().map(|(answered, score)| (score.alone(), Some(answered.latency)));
            let (outcome, latency) = scored.unwrap_or_else(|broken| (Outcome::Fallback(broken.cause), None));
            let route = self.place.dependency.routes[target.route].name.clone();
            let backend = self.place.backend;
            self.scored.push(Scored { backend, route, index: target.route, outcome, latency });
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
    fn reach_no(&mut self, asked: &Requests<'_>, from: StepName) {
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
    fn name_unasked(&mut self, asking: &Asking) {
        for (route, pattern) in &asking.unasked {
            let remedy = format!("give one that fits: --path {pattern}");
            let found = Found::warning("not asked: the pattern of the route is no path", remedy);
            let mut step = self.place.step(None, StepName::Request, None, found);
            step.request = Some(format!("{} {pattern} (route {route})", asking.method));
            self.steps.push(step);
        }
    }
}
