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
            forgive(&mut self.steps);
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
        let later = tls::diagnose_later(&self.place, wants_certificate, broken);
        if let (Some(found), true) = (later, self.place.endpoint.tls.is_some()) {
            self.take_back(address, found);
            self.reach_no(asked, StepName::Http);
            return;
        }
        let waited = self.timeout(asked);
        let found = protocol::diagnose(&self.place, (address, is_http2), broken, waited).await;
        self.add(address, StepName::Http, Some(took), found);
        self.reach_no(asked, StepName::Credentials);
    }

    /// TLS went wrong after all, and what came after it was not reached.
    fn take_back(&mut self, address: SocketAddr, found: Found) {
        let at = Some(address.to_string());
        let mut tls = Some(found);
        for step in self.steps.iter_mut().filter(|step| step.address == at && step.name >= StepName::Tls) {
            let took = step.ms.map(|ms| Duration::from_secs_f64(ms / 1e3));
            let found = tls.take().unwrap_or_else(Found::not_reached);
            let took = took.filter(|_| found.state == State::Failed);
            *step = self.place.step(Some(address), step.name, took, found);
        }
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

    /// Behind the last endpoint that is probed, how many are not.
    pub(super) fn name_unvisited(&mut self, most: usize) {
        let endpoints = &self.place.spec.endpoints;
        if endpoints.len() > most && endpoints.get(most - 1) == Some(&self.place.endpoint) {
            let found = Found::warning(
                format!("{} more endpoints of {} are not probed", endpoints.len() - most, self.place.backend),
                format!("probe them with a configuration that has them first in {}", self.place.url()),
            );
            self.steps.push(self.place.step(None, StepName::Dns, None, found));
        }
    }
}

/// Real traffic goes to the address that answers, so that the others are worth knowing, and no failure.
fn forgive(steps: &mut [Step]) {
    steps.iter_mut().filter(|step| step.state == State::Failed).for_each(|step| step.state = State::Warning);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::backend::Backend;
    use crate::config::parse_deployment;
    use crate::probing::check_connections;

    #[tokio::test]
    async fn endpoints_beyond_the_most_are_named() {
        let urls: Vec<String> = (0..20).map(|port| format!("\"http://127.0.0.1:{}\"", port + 1)).collect();
        let source = format!("listen = [\"127.0.0.1:0\"]\n[dependency.a]\nv2.urls = [{}]\n", urls.join(", "));
        let deployment = parse_deployment(&source, Path::new("crossfade.toml")).expect("valid");
        let report = check_connections(&deployment.dependencies[0]).await;
        let last = report.steps.last().expect("steps");
        assert_eq!((last.state, last.endpoint.as_str()), (State::Warning, "127.0.0.1:16"));
        assert!(last.finding.starts_with("4 more endpoints"), "{last:?}");
    }

    #[test]
    fn an_address_that_fails_beside_one_that_answers_is_a_warning() {
        let source = "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nv2.url = \"http://b\"\n";
        let deployment = parse_deployment(source, Path::new("crossfade.toml")).expect("valid");
        let dependency = Arc::clone(&deployment.dependencies[0]);
        let (spec, endpoint) = (dependency.v2.clone(), dependency.v2.endpoints[0].clone());
        let place = Place { dependency, backend: Backend::V2, spec, endpoint, due: Instant::now() };
        let failed = Found::failed(super::super::Wrong::Host, "refused", "start it");
        let mut steps = [failed, Found::ok("connected")].map(|found| place.step(None, StepName::Tcp, None, found));
        forgive(&mut steps);
        assert_eq!(steps.each_ref().map(|step| step.state), [State::Warning, State::Ok]);
        assert!(steps[0].remedy.is_some());
    }
}
