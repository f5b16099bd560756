//! `finish`: the proof that V1 is unused, from the ledger's minutes.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::leaving::Peer;
use super::past::read;
use super::problem::Problem;
use super::routes::Shared;
use crate::backend::{Backend, Role};
use crate::config::{Dependency, HeaderSource, Plan};
use crate::console::{EventKind, Finish, Note};
use crate::percent::Percent;
use crate::stage::Stage;
use crate::store::Reader;
use crate::telemetry::Minute;

/// Over how many days, where nobody says so.
const DAYS: f64 = 30.0;
/// As far as the ledger goes.
const MOST_DAYS: f64 = 400.0;
/// Share of the minutes that have to be counted: a restart takes one, an outage is no proof.
const COUNTED: f64 = 0.99;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    days: Option<f64>,
    by: Option<String>,
}

/// Answers whether V1 can go; a yes is recorded.
pub(super) async fn finish(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Finish>, Problem> {
    admin.check_write(&headers, peer)?;
    let wrong = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
    let asked = if body.is_empty() { Ok(Asked::default()) } else { serde_json::from_slice(&body) };
    let Asked { days, by } = asked.map_err(|error| wrong(format!("the body is `{{\"days\": 30}}`: {error}")))?;
    let days = days.unwrap_or(DAYS);
    if !(days > 0.0 && days <= MOST_DAYS) {
        return Err(wrong(format!("`days` lies above 0 and up to {MOST_DAYS}")));
    }
    let live = admin.live.load();
    let unknown = || Problem::not_found(format!("no dependency is named `{name}`"));
    let (index, dependency) = live.deployment.dependency(&name).ok_or_else(unknown)?;
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default() / 60;
    let (asked, minutes) = (name.clone(), (days * 1440.0).ceil() as u64);
    let counted = read(&admin.ledger, move |ledger| Counted::read(ledger, &asked, now, minutes)).await?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let finish = judge(dependency, &live.plans[index], &counted, (days, today));
    if finish.is_proven {
        let text = format!("V1 was not called for {days} days, and can be retired");
        admin.console.note(Note { dependency: name, kind: EventKind::Finish, by, text }).await?;
    }
    Ok(Json(finish))
}

/// What the ledger knows of V1 in the last minutes.
#[derive(Default)]
struct Counted {
    calls: [u64; 3],
    last: Option<u64>,
    present: u64,
    minutes: u64,
    rescued: u64,
}

impl Counted {
    fn read(ledger: &Reader, name: &str, now: u64, minutes: u64) -> Result<Self, String> {
        let mut counted = Self { minutes, ..Self::default() };
        let first = now.saturating_sub(minutes);
        let mut present = std::collections::BTreeSet::new();
        for route in ledger.routes(name)? {
            ledger.each_hour((name, &route), 0, |hour, records| {
                for (at, minute) in Minute::decode(records).map(|(at, it)| (hour * 60 + u64::from(at), it)) {
                    // The running minute is not in the ledger yet.
                    if route.is_empty() && (first..now).contains(&at) {
                        present.insert(at);
                    }
                    counted.count(at, at >= first, &minute);
                }
            })?;
        }
        counted.present = present.len() as u64;
        Ok(counted)
    }

    fn count(&mut self, at: u64, is_in_time: bool, minute: &Minute) {
        let calls = Role::ALL.map(|role| minute.calls(Backend::V1, role));
        if calls.iter().sum::<u64>() + minute.answered(Backend::V1) > 0 {
            self.last = self.last.max(Some(at));
        }
        if is_in_time {
            for (mine, more) in self.calls.iter_mut().zip(calls) {
                *mine += more;
            }
            self.calls[0] = self.calls[0].max(minute.answered(Backend::V1));
            self.rescued += minute.rescued();
        }
    }
}

fn judge(dependency: &Dependency, plan: &Plan, counted: &Counted, (days, today): (f64, Date)) -> Finish {
    let mut objections = objections(plan, counted, days);
    objections.extend(ignored(dependency, today));
    let minute = |at: u64| Timestamp::from_second((at * 60).cast_signed()).ok();
    Finish {
        dependency: dependency.name.clone(),
        days,
        is_proven: objections.is_empty(),
        objections,
        v1_calls: counted.calls,
        last_v1_call: counted.last.and_then(minute),
        counted_minutes: counted.present,
        minutes: counted.minutes,
        retire: retire(dependency),
    }
}

/// What is known of a dependency whose V1 is to go.
struct Case<'a> {
    plan: &'a Plan,
    counted: &'a Counted,
    days: f64,
}

/// Each says what stands against it, if it does. All have to be silent.
const CHECKS: [fn(&Case<'_>) -> Option<String>; 6] =
    [is_not_complete, is_rolled_back, rescues, was_rescued, was_called, was_not_counted];

fn objections(plan: &Plan, counted: &Counted, days: f64) -> Vec<String> {
    let case = Case { plan, counted, days };
    CHECKS.iter().filter_map(|check| check(&case)).collect()
}

fn is_not_complete(case: &Case<'_>) -> Option<String> {
    let stage = case.plan.stage();
    (stage != Stage::Complete).then(|| format!("the stage is `{stage}`, and has to be `complete`"))
}

fn is_rolled_back(case: &Case<'_>) -> Option<String> {
    let effective = case.plan.effective;
    let is_back = case.plan.stage() == Stage::Complete && effective != Percent::HUNDRED;
    is_back.then(|| format!("V2 serves {effective} % only: it was rolled back"))
}

fn rescues(case: &Case<'_>) -> Option<String> {
    let is_on = case.plan.rollout.as_ref().is_some_and(|rollout| rollout.rescue);
    let counts = case.plan.stage() == Stage::Cutover && is_on;
    counts.then(|| "`rescue` is on in the rollout file: it needs V1".to_owned())
}

fn was_rescued(case: &Case<'_>) -> Option<String> {
    let rescued = case.counted.rescued;
    (rescued > 0).then(|| format!("{rescued} consumers were rescued by V1 in {} days", case.days))
}

fn was_called(case: &Case<'_>) -> Option<String> {
    let [primary, shadow, probe] = case.counted.calls;
    let calls = [(primary, "for consumers"), (shadow, "as a shadow"), (probe, "by hand")];
    let calls: Vec<_> =
        calls.iter().filter(|(calls, _)| *calls > 0).map(|(calls, how)| format!("{calls} times {how}")).collect();
    (!calls.is_empty()).then(|| format!("V1 was called {} in {} days", calls.join(", "), case.days))
}

fn was_not_counted(case: &Case<'_>) -> Option<String> {
    let Counted { present, minutes, .. } = case.counted;
    let is_known = *present as f64 >= (*minutes as f64 * COUNTED).floor();
    let days = case.days;
    (!is_known).then(|| {
        format!("only {present} of the {minutes} minutes of {days} days were counted: nobody knows of the others")
    })
}

/// Whoever ignores a difference between V1 and V2 has not decided yet what becomes of it without V1.
fn ignored(dependency: &Dependency, today: Date) -> impl Iterator<Item = String> {
    let rules = dependency.routes.iter().flat_map(|route| &route.diff.options.ignore);
    let active: BTreeMap<_, _> =
        rules.filter(|rule| rule.holds(today)).map(|rule| (rule.path.to_string(), rule)).collect();
    active.into_iter().map(|(path, rule)| {
        let (until, reason) = (rule.until, &rule.reason);
        format!("differences at `{path}` are ignored until {until} ({reason}): mend them, or end the rule")
    })
}

/// What goes with V1: names and places, never a value.
fn retire(dependency: &Dependency) -> Vec<String> {
    let name = &dependency.name;
    let mut retire = Vec::new();
    if let Some(v1) = &dependency.v1 {
        let endpoints = v1.endpoints.iter().map(|endpoint| format!("the backend V1 at {}", endpoint.authority));
        retire.extend(endpoints);
        retire.extend(v1.request.set.iter().map(|(header, source)| match source {
            HeaderSource::File { path, .. } => format!("V1's credential in {} (header {header})", path.display()),
            HeaderSource::Literal(_) => format!("V1's header {header}, with its value in crossfade.toml"),
        }));
        retire.push(format!("`[dependency.{name}.v1]` in crossfade.toml"));
    }
    retire.push(format!(
        "series and alerts with dependency=\"{name}\" and backend=\"v1\", served_by=\"v1\", or a window of pairs"
    ));
    retire.push(format!("in `[{name}]` of rollout.toml, everything but `stage = \"complete\"`"));
    retire.push(format!("crossfade itself in front of `{name}`: consumers may call V2"));
    retire
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Live, parse_deployment, parse_rollouts};
    use crate::revision::Revision;

    const TODAY: Date = Date::constant(2026, 11, 20);

    fn live(rollout: &str) -> Live {
        let source = "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nv1 = { url = \"http://old\", request = { set = { x-key = \"s3cret\" } } }\n\
                      v2 = { url = \"http://new\" }\n\
                      diff = { ignore = [{ path = \"/old\", until = 2026-11-19, reason = \"over\" }] }\n";
        let deployment = parse_deployment(source, Path::new("crossfade.toml")).expect("valid");
        let rollouts = parse_rollouts(rollout, Path::new("rollout.toml"), Some(&deployment)).expect("valid");
        Live::new(Revision::default(), deployment.into(), rollouts.into(), |_| Percent::HUNDRED)
    }

    fn judged(rollout: &str, counted: &Counted) -> Finish {
        let live = live(rollout);
        judge(&live.deployment.dependencies[0], &live.plans[0], counted, (30.0, TODAY))
    }

    #[test]
    fn v1_can_go_when_nobody_called_it_and_somebody_counted() {
        let quiet = Counted { present: 43_000, minutes: 43_200, last: Some(5), ..Counted::default() };
        let finish = judged("a = { stage = \"complete\" }", &quiet);
        assert!(finish.is_proven, "{finish:?}");
        let list = finish.retire.join("\n");
        assert!(list.contains("V1 at old") && list.contains("x-key") && !list.contains("s3cret"), "{list}");
    }

    #[test]
    fn a_difference_that_is_still_ignored_stands_against_it_once() {
        let mut dependency = (*live("a = { stage = \"complete\" }").deployment.dependencies[0]).clone();
        let day_before = Date::constant(2026, 11, 19);
        dependency.routes.push(dependency.routes[0].clone());
        let said: Vec<_> = ignored(&dependency, day_before).collect();
        assert_eq!(said, ["differences at `/old` are ignored until 2026-11-19 (over): mend them, or end the rule"]);
        assert_eq!(ignored(&dependency, TODAY).count(), 0);
    }

    #[test]
    fn everything_that_stands_against_it_is_said() {
        let busy = Counted { calls: [1, 2, 3], rescued: 4, present: 100, minutes: 43_200, last: Some(5) };
        let finish = judged("a = { stage = \"cutover\", slo = 0.9, percent = 100, rescue = true }", &busy);
        assert!(!finish.is_proven);
        assert_eq!(finish.objections.len(), 5, "{:#?}", finish.objections);
    }
}
