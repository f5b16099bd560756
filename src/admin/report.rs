//! `report`: a migration so far, from the ledger's events and minute counts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;

use super::past::{read, unknown};
use super::problem::Problem;
use super::routes::Shared;
use crate::backend::Backend;
use crate::console::{DependencyStatus, Event, EventKind, Hour, Report, dora};
use crate::hit_rate::Tallied;
use crate::store::Reader;
use crate::telemetry::Minute;

const HOUR_S: i64 = 3600;
/// Breaches whose end is looked for, the last ones, and for how long after each.
const BREACHES: usize = 200;
const PATIENCE_HOURS: u64 = 48;
/// Steps that are told, the last ones; the figures count all of them.
const STEPS: usize = 2000;

/// The migration so far.
pub(super) async fn report(State(admin): Shared, Path(name): Path<String>) -> Result<Json<Report>, Problem> {
    let status = admin.console.status();
    let status = status.dependency(&name).cloned();
    let is_known = status.is_some();
    let asked = name.clone();
    let report = read(&admin.ledger, move |ledger| assemble(ledger, &asked, status.as_ref())).await?;
    if !is_known && report.since.is_none() {
        return Err(unknown(&name));
    }
    Ok(Json(report))
}

/// Everything there is about a dependency.
fn assemble(ledger: &Reader, name: &str, status: Option<&DependencyStatus>) -> Result<Report, String> {
    let events = events(ledger, name)?;
    let counted = Counted::read(ledger, name)?;
    let slo = status.and_then(|status| status.slo);
    let now = Timestamp::now();
    let breaches = events.iter().filter(|event| event.kind == EventKind::Breach).rev().take(BREACHES);
    let mut restored = BTreeMap::new();
    for breach in breaches {
        if let Some(seconds) = slo.map(|slo| seconds_to_restore(ledger, name, breach, slo)).transpose()?.flatten() {
            restored.insert(breach.id, seconds);
        }
    }
    let dora = dora(&events, now, |breach| restored.get(&breach.id).copied());
    let since = events.first().map(|event| event.time).into_iter().chain(counted.hours.first().map(|hour| hour.time));
    let mut steps: Vec<Event> = events.iter().filter(|event| is_step(event)).rev().take(STEPS).cloned().collect();
    steps.reverse();
    Ok(Report {
        dependency: name.to_owned(),
        time: now,
        since: since.min(),
        stage: status.map(|status| status.stage),
        phase: status.map(|status| status.phase),
        percent: status.map(|status| status.percent),
        slo,
        hours: counted.hours,
        fallbacks: counted.fallbacks,
        rescued: counted.rescued,
        steps,
        dora,
    })
}

const fn is_step(event: &Event) -> bool {
    matches!(event.kind, EventKind::Edit | EventKind::Promote | EventKind::Rollback | EventKind::Finish)
}

/// Oldest first.
fn events(ledger: &Reader, name: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    ledger.each_event_back(|_, event| {
        events.extend(serde_json::from_slice::<Event>(event).ok().filter(|event| event.dependency == name));
        true
    })?;
    events.reverse();
    Ok(events)
}

#[derive(Default)]
struct Counted {
    hours: Vec<Hour>,
    fallbacks: BTreeMap<String, u64>,
    rescued: u64,
}

impl Counted {
    fn read(ledger: &Reader, name: &str) -> Result<Self, String> {
        let mut sum = Minute::default();
        let mut hours: BTreeMap<u64, Minute> = BTreeMap::new();
        for route in ledger.routes(name)? {
            ledger.each_hour((name, &route), 0, |hour, records| {
                for (_, minute) in Minute::decode(records) {
                    hours.entry(hour).or_default().add(&minute);
                    sum.add(&minute);
                }
            })?;
        }
        let has_traffic = |(_, minute): &(&u64, &Minute)| **minute != Minute::default();
        let hour = |(hour, minute): (&u64, &Minute)| Hour {
            time: Timestamp::from_second((*hour).cast_signed() * HOUR_S).unwrap_or_default(),
            v1: minute.outcomes(Backend::V1),
            v2: minute.outcomes(Backend::V2),
            served: minute.served(),
        };
        Ok(Self {
            hours: hours.iter().filter(has_traffic).map(hour).collect(),
            fallbacks: sum.fallbacks(Backend::V2).map(|(cause, n)| (cause.as_str().to_owned(), n)).collect(),
            rescued: sum.rescued(),
        })
    }
}

/// From the breach to the first minute in which consumers got rich answers as often as the SLO asks for; 0 where that is the
/// minute of the breach itself.
fn seconds_to_restore(ledger: &Reader, name: &str, breach: &Event, slo: f64) -> Result<Option<f64>, String> {
    let begun = u64::try_from(breach.time.as_second()).unwrap_or_default();
    let (first, last) = (begun / 60, begun / 3600 + PATIENCE_HOURS);
    let mut served: BTreeMap<u64, Tallied> = BTreeMap::new();
    for route in ledger.routes(name)? {
        ledger.each_hour((name, &route), begun / 3600, |hour, records| {
            let minutes = Minute::decode(records).filter(|_| hour <= last);
            for (at, minute) in minutes.map(|(at, minute)| (hour * 60 + u64::from(at), minute)) {
                if at >= first {
                    *served.entry(at).or_default() += minute.served();
                }
            }
        })?;
    }
    let is_restored = |counts: &Tallied| counts.hit_rate().is_some_and(|rate| rate >= slo);
    let restored = served.into_iter().find(|(_, counts)| is_restored(counts));
    Ok(restored.map(|(minute, _)| (minute * 60).saturating_sub(begun) as f64))
}
