//! An answer held against the rules of its route, in words.

use std::time::Duration;

use super::asking::{Asking, Target};
use super::credentials::{self, Carried};
use super::exchange::{Answered, Broken};
use super::place::Place;
use super::protocol::unanswered;
use super::report::{Found, State, Wrong};
use crate::config::Route;
use crate::outcome::Cause;
use crate::score::{Answer, Body, Score, Scorer, is_conditional};

/// What an answer is worth, and what is to be said of it.
pub(super) fn score(place: &Place, asking: &Asking, target: &Target, answered: &Answered, cap: usize) -> Score {
    let route = &place.dependency.routes[target.route];
    if route.rules.exclude.matches_request(&asking.headers) {
        return Score::Excluded(Cause::Rule);
    }
    let answer = Answer {
        method: &asking.method,
        conditional: is_conditional(&asking.headers),
        status: answered.status,
        headers: &answered.headers,
        trailers: answered.trailers.as_ref(),
        body: answered.pieces.as_deref().map_or(Body::Counted(answered.size), Body::Kept),
        head_latency: answered.latency,
    };
    Scorer::new(route.rules.clone()).score(&answer, cap)
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
    answer: &Result<(Answered, Score), Broken>,
    waited: Duration,
) -> Found {
    match answer {
        Err(broken) => unanswered(place, broken, waited),
        Ok((answered, score)) => {
            let route = &place.dependency.routes[target.route];
            match score {
                Score::Rich => Found::ok(format!("{}, {}, rich", answered.status.as_u16(), size(answered.size))),
                Score::Fallback(Cause::Auth) => credentials::refused(place, answered, &Carried::of(place, asking)),
                Score::Fallback(cause) => fallback(place, route, answered, *cause).because(*cause),
                Score::Excluded(cause) => excluded(place, route, *cause).because(*cause),
                Score::ClientError(status) => {
                    let finding = format!("{}: the backend blames the request", status.as_u16());
                    let path = place.key("request.path");
                    let remedy = match status.as_u16() {
                        404 | 410 => format!("give a --path that exists, or mend {path}"),
                        429 => "ask less often: the backend limits the rate".to_owned(),
                        _ => format!("give the --header that consumers send, or mend {path} and what stands beside it"),
                    };
                    Found::failed(Wrong::Schema, finding, remedy).because(Cause::ClientError)
                }
            }
        }
    }
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

fn fallback(place: &Place, route: &Route, answered: &Answered, cause: Cause) -> Found {
    let status = answered.status.as_u16();
    let rule = |key: &str| place.rule(route, key);
    let (finding, remedy) = match cause {
        Cause::Status if answered.status.is_server_error() => {
            (format!("{status}: the backend itself fails"), "see the backend's log for this moment".to_owned())
        }
        Cause::Status if answered.status.is_redirection() => (
            format!("{status}: a redirect, which is not followed"),
            format!(
                "correct {} or {}; a login page says that credentials are missing",
                place.url(),
                place.key("request.path")
            ),
        ),
        Cause::Status => (
            format!("{status}: not a status that can be rich"),
            format!("mend the backend, or list it in {}", rule("status")),
        ),
        Cause::Slow => {
            let allowed = route.rules.max_latency.unwrap_or_default();
            let took = answered.latency.as_secs_f64() * 1e3;
            (
                format!("{status}, too slow: {took:.0} ms, {allowed:?} allowed"),
                format!("make it faster, or raise {}", rule("max_latency")),
            )
        }
        Cause::Decode => (
            format!("{status}, {}, and no JSON as the rules need it, or not encoded as it says", size(answered.size)),
            format!("mend the backend, or the path: {}", place.key("request.path")),
        ),
        Cause::Empty if answered.size == 0 => (
            format!("{status} without content"),
            format!("mend the backend; where that is right: {} = 0", rule("min_bytes")),
        ),
        Cause::Missing => {
            (format!("{status}, a place is missing or null"), format!("mend the backend, or {}", rule("required")))
        }
        Cause::Empty => (
            format!("{status}, a place is empty, or the whole is too short"),
            format!("mend the backend, or {}", rule("non_empty")),
        ),
        other => (format!("{status}: {other}"), "mend the backend".to_owned()),
    };
    Found::failed(Wrong::Schema, finding, remedy)
}

/// A size as people say it.
fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}
