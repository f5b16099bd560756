//! An answer held against the rules of its route, in words.

use std::time::Duration;

use super::asking::{Asking, Target};
use super::credentials::{self, Carried};
use super::exchange::{Answered, Broken};
use super::place::Place;
use super::protocol::unanswered;
use super::report::{Found, State, Wrong};
use super::shape;
use crate::config::Route;
use crate::outcome::Cause;
use crate::score::{Answer, Body, Finding, Flaw, JQ_STACK, Score, Scorer, is_conditional};

/// What an answer is worth, and everything that is wrong with it.
pub(super) struct Judged {
    pub(super) score: Score,
    flaws: Vec<Flaw>,
}

/// Holds an answer against the rules of its route.
pub(super) fn score(place: &Place, asking: &Asking, target: &Target, answered: &Answered, cap: usize) -> Judged {
    let rules = &place.dependency.routes[target.route].rules;
    if rules.exclude.matches_request(&asking.headers) {
        return Judged { score: Score::Excluded(Cause::Rule), flaws: Vec::new() };
    }
    let scorer = Scorer::new(rules.clone()).with_mapping(place.spec.response.clone());
    let answer = Answer {
        method: &asking.method,
        conditional: is_conditional(&asking.headers),
        status: answered.status,
        headers: &answered.headers,
        trailers: answered.trailers.as_ref(),
        body: answered.pieces.as_deref().map_or(Body::Counted(answered.size), Body::Kept),
        head_latency: answered.latency,
        unmapped: scorer.maps(&asking.method, answered.status, &answered.headers),
    };
    let Finding { score, flaws } = find(&scorer, &answer, cap);
    Judged { score, flaws: flaws.numbers().filter_map(|number| scorer.catalogue().flaw(number)).collect() }
}

/// Scores, in a thread with the stack that a program takes, where there is one. A probe may wait for that.
fn find(scorer: &Scorer, answer: &Answer<'_>, cap: usize) -> Finding {
    if !(answer.unmapped && scorer.mapping().is_some_and(|mapping| mapping.has_program())) {
        return scorer.score(answer, cap);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("probe-rules".to_owned()).stack_size(JQ_STACK);
        let scoring = thread.spawn_scoped(scope, || scorer.score(answer, cap)).ok();
        let found = scoring.and_then(|scoring| scoring.join().ok());
        found.unwrap_or_else(|| Score::Excluded(Cause::Rule).into())
    })
}

/// What is to be said of several answers to the same request: the first one that is not rich stands for all.
pub(super) struct Verdicts {
    asked: u32,
    rich: u32,
    worst: Option<Found>,
    fine: Option<Found>,
    fastest: Duration,
    slowest: Duration,
}

impl Verdicts {
    pub(super) const fn new() -> Self {
        Self { asked: 0, rich: 0, worst: None, fine: None, fastest: Duration::MAX, slowest: Duration::ZERO }
    }

    pub(super) fn add(&mut self, found: Found, took: Duration) {
        self.asked += 1;
        self.fastest = self.fastest.min(took);
        self.slowest = self.slowest.max(took);
        match found.state {
            State::Ok => {
                self.rich += 1;
                self.fine.get_or_insert(found);
            }
            State::Failed if self.worst.as_ref().is_none_or(|worst| worst.state != State::Failed) => {
                self.worst = Some(found);
            }
            _ => {
                self.worst.get_or_insert(found);
            }
        }
    }

    /// The longest time of one request, and the finding.
    pub(super) fn together(self) -> (Duration, Found) {
        let Self { asked, rich, worst, fine, fastest, slowest } = self;
        let mut found = worst.or(fine).unwrap_or_else(Found::not_reached);
        if asked > 1 {
            let times = format!("{:.1} to {:.1} ms", fastest.as_secs_f64() * 1e3, slowest.as_secs_f64() * 1e3);
            found.finding = format!("{rich} of {asked} rich, {times}; {}", found.finding);
        }
        (slowest, found)
    }
}

/// What is to be said of one exchange.
pub(super) fn judge(
    (place, asking, target): (&Place, &Asking, &Target),
    answer: &Result<(Answered, Judged), Broken>,
    waited: Duration,
) -> Found {
    let (answered, judged) = match answer {
        Ok(answered) => answered,
        Err(broken) => return unanswered(place, broken, waited),
    };
    let route = &place.dependency.routes[target.route];
    match judged.score {
        Score::Rich => Found::ok(format!("{}, {}, rich", answered.status.as_u16(), size(answered.size))),
        Score::Fallback(Cause::Auth) => credentials::refused(place, answered, &Carried::of(place, asking)),
        Score::Fallback(Cause::Status) => status(place, route, answered),
        Score::Fallback(cause) => fallback(place, route, answered, &judged.flaws).because(cause),
        Score::Excluded(cause) => excluded(place, route, cause).because(cause),
        Score::ClientError(_) => client_error(place, answered),
    }
}

fn client_error(place: &Place, answered: &Answered) -> Found {
    let status = answered.status.as_u16();
    let path = place.key("request.path");
    let remedy = match status {
        404 | 410 => format!("give a --path that exists, or mend {path}"),
        429 => "ask less often: the backend limits the rate".to_owned(),
        _ => format!("give the --header that consumers send, or mend {path} and what stands beside it"),
    };
    Found::failed(Wrong::Schema, format!("{status}: the backend blames the request"), remedy)
        .because(Cause::ClientError)
}

fn excluded(place: &Place, route: &Route, cause: Cause) -> Found {
    match cause {
        Cause::TooLarge => Found::warning("the answer is too large to be scored", "raise `limits.score_body`"),
        _ => Found::warning(
            "in no hit rate: the route excludes such requests or answers",
            format!("see {}", place.rule(route, "exclude")),
        ),
    }
}

fn status(place: &Place, route: &Route, answered: &Answered) -> Found {
    let status = answered.status.as_u16();
    let (finding, remedy) = if answered.status.is_server_error() {
        (format!("{status}: the backend itself fails"), "see the backend's log for this moment".to_owned())
    } else if answered.status.is_redirection() {
        let (url, path) = (place.url(), place.key("request.path"));
        let remedy = format!("correct {url} or {path}; a redirect to a login page means that credentials are missing");
        (format!("{status}: a redirect, which is not followed"), remedy)
    } else {
        let remedy = format!("mend the backend, or list it in {}", place.rule(route, "status"));
        (format!("{status}: not a status that can be rich"), remedy)
    };
    Found::failed(Wrong::Schema, finding, remedy).because(Cause::Status)
}

/// Every rule that fails, and where it stands.
fn fallback(place: &Place, route: &Route, answered: &Answered, flaws: &[Flaw]) -> Found {
    let told: Vec<String> = flaws.iter().map(|flaw| tell(route, answered, flaw)).collect();
    let mut keys: Vec<&str> = flaws.iter().map(|flaw| key(route, flaw)).collect();
    keys.sort_unstable();
    keys.dedup();
    let keys: Vec<String> = keys.into_iter().map(|key| place.rule(route, key)).collect();
    let finding = format!("{}, {}: {}", answered.status.as_u16(), size(answered.size), told.join("; "));
    Found::failed(Wrong::Schema, finding, format!("mend the backend, or what is expected of it: {}", keys.join(", ")))
}

/// What is wrong, in words: a place by its name, and the names beside it.
fn tell(route: &Route, answered: &Answered, flaw: &Flaw) -> String {
    let found = |what: &str| {
        flaw.place.as_ref().map(|place| {
            let beside = answered.plain().and_then(|content| shape::around(&content, place));
            format!("{place} {what}{}", beside.map_or_else(String::new, |beside| format!(" ({beside})")))
        })
    };
    match flaw.cause {
        Cause::Missing => found("is missing or null").unwrap_or_else(|| "a place is missing or null".to_owned()),
        Cause::Empty => found("is empty").unwrap_or_else(|| "too short, or without content".to_owned()),
        Cause::Slow => {
            let allowed = route.rules.max_latency.unwrap_or_default();
            format!("too slow, {:.0} ms where {allowed:?} are allowed", answered.latency.as_secs_f64() * 1e3)
        }
        Cause::Decode => "no JSON, which the rules need, or not encoded as it says".to_owned(),
        Cause::Rule => "the rule `rich` says no".to_owned(),
        other => other.to_string(),
    }
}

/// The key of the rule that a flaw is about.
fn key(route: &Route, flaw: &Flaw) -> &'static str {
    match (flaw.cause, &flaw.place) {
        (Cause::Missing, Some(place)) if route.rules.required.contains(place) => "required",
        (Cause::Missing | Cause::Empty, Some(_)) => "non_empty",
        (Cause::Empty, None) => "min_bytes",
        (Cause::Slow, _) => "max_latency",
        (Cause::Rule, _) => "rich",
        _ => "required",
    }
}

/// A size as people say it.
fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}
