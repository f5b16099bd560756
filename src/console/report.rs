//! A migration so far, in numbers: what `crossfade report` prints, and the DORA figures that follow from the events.
//!
//! The four figures (Forsgren, Humble, Kim: Accelerate, 2018), with a promotion as the deployment:
//! deployment frequency is promotions per week, and a rollback is no deployment; lead time is from `committed_at` to 100 %;
//! change failure rate is the promotions that were rolled back over all promotions, where a rollback takes back the promotion
//! that led to the percent it left; time to restore is from the breach to the first minute in which the served hit rate is at
//! the SLO again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Event, EventKind};
use super::status::Percents;
use crate::hit_rate::Tallied;
use crate::percent::Percent;
use crate::stage::{Phase, Stage};

/// A migration so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub dependency: String,
    /// When this was put together.
    pub time: Timestamp,
    /// The first thing that is known of it.
    pub since: Option<Timestamp>,
    /// What people asked for last; absent for a dependency that is not configured any more.
    pub stage: Option<Stage>,
    /// What the gate made of it.
    pub phase: Option<Phase>,
    /// Who is served by V2.
    pub percent: Option<Percents>,
    /// The lowest acceptable hit rate.
    pub slo: Option<f64>,
    /// All hours with traffic, oldest first.
    pub hours: Vec<Hour>,
    /// V2's fallbacks by cause, all hours together.
    pub fallbacks: BTreeMap<String, u64>,
    /// Consumers that got V1's answer in place of V2's fallback.
    pub rescued: u64,
    /// Changes of the percent and of the rollout, oldest first.
    pub steps: Vec<Event>,
    /// The four figures.
    pub dora: Dora,
}

/// What was counted in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// Its beginning.
    pub time: Timestamp,
    /// V1's answers.
    pub v1: Tallied,
    /// V2's answers.
    pub v2: Tallied,
    /// What consumers got.
    pub served: Tallied,
}

/// The four DORA figures; one that nothing is known about is absent, never 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dora {
    /// Promotions.
    pub promotions: u64,
    /// Promotions per week since the first thing that is known.
    pub deployments_per_week: Option<f64>,
    /// From `committed_at` to 100 %, the median of all changes that got there.
    pub lead_time_s: Option<f64>,
    /// Promotions that were rolled back.
    pub rolled_back: u64,
    /// These over all promotions.
    pub change_failure_rate: Option<f64>,
    /// Breaches.
    pub breaches: u64,
    /// From the breach to a served hit rate at the SLO, the median of those that were restored.
    pub time_to_restore_s: Option<f64>,
    /// Breaches after which the served hit rate has not been seen at the SLO yet.
    pub not_restored: u64,
}

const WEEK_S: f64 = 7.0 * 86_400.0;

/// The four figures of events, oldest first, at `now`. `restored` tells the seconds from a breach to a served hit rate at the
/// SLO; `None`: not yet.
pub fn dora(events: &[Event], now: Timestamp, restored: impl Fn(&Event) -> Option<f64>) -> Dora {
    let of = |kind| events.iter().filter(move |event| event.kind == kind);
    let promotions = of(EventKind::Promote).count() as u64;
    let weeks = events.first().map(|first| seconds(first.time, now).max(WEEK_S) / WEEK_S);
    let rolled_back = rolled_back(events);
    let (restored, open): (Vec<_>, Vec<_>) = of(EventKind::Breach).map(restored).partition(Option::is_some);
    Dora {
        promotions,
        deployments_per_week: weeks.map(|weeks| promotions as f64 / weeks),
        lead_time_s: median(lead_times(events)),
        rolled_back,
        change_failure_rate: (promotions > 0).then(|| rolled_back as f64 / promotions as f64),
        breaches: (restored.len() + open.len()) as u64,
        time_to_restore_s: median(restored.into_iter().flatten().collect()),
        not_restored: open.len() as u64,
    }
}

/// Each rollback takes back the promotion that led to the percent it left.
fn rolled_back(events: &[Event]) -> u64 {
    let mut standing = Vec::new();
    let mut rolled_back = 0;
    for event in events {
        match event.kind {
            EventKind::Promote => standing.push(event.to),
            EventKind::Rollback => {
                let led_here = standing.last().is_some_and(|reached: &Percent| *reached >= event.from);
                rolled_back += u64::from(led_here && event.to < event.from);
                standing.retain(|reached| *reached <= event.to);
            }
            EventKind::Edit => standing.retain(|reached| *reached <= event.to),
            _ => {}
        }
    }
    rolled_back
}

/// Each change counts once, when it first reaches 100 %.
fn lead_times(events: &[Event]) -> Vec<f64> {
    let mut seen = Vec::new();
    let mut times = Vec::new();
    for event in events {
        let is_rise = matches!(event.kind, EventKind::Promote | EventKind::Edit) && event.from < event.to;
        let committed = event.change.as_ref().and_then(|change| change.committed_at);
        if let Some(committed) = committed.filter(|_| is_rise && event.to == Percent::HUNDRED)
            && !seen.contains(&committed)
        {
            seen.push(committed);
            times.push(seconds(committed, event.time));
        }
    }
    times
}

/// From one instant to another; 0 where they are the wrong way round.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Change;
    use crate::revision::Revision;

    fn event(hour: i64, kind: EventKind, from: f64, to: f64) -> Event {
        let percent = |percent| Percent::from_f64(percent).expect("valid");
        Event {
            id: hour as u64,
            time: Timestamp::from_second(hour * 3600).expect("valid"),
            dependency: "recs".to_owned(),
            kind,
            revision: Revision::default(),
            change: Some(Change { committed_at: Timestamp::from_second(0).ok(), ..Change::default() }),
            from: percent(from),
            to: percent(to),
            by: "gate".to_owned(),
            reason: String::new(),
            verdict: None,
        }
    }

    fn story() -> Vec<Event> {
        vec![
            event(0, EventKind::Edit, 0.0, 0.0),
            event(10, EventKind::Promote, 0.0, 5.0),
            event(20, EventKind::Promote, 5.0, 50.0),
            event(21, EventKind::Breach, 50.0, 50.0),
            event(21, EventKind::Rollback, 50.0, 0.0),
            event(22, EventKind::Rollback, 0.0, 0.0),
            event(30, EventKind::Resume, 0.0, 0.0),
            event(40, EventKind::Promote, 0.0, 100.0),
            event(41, EventKind::Breach, 100.0, 100.0),
        ]
    }

    #[test]
    fn the_four_figures_follow_from_the_events() {
        let now = Timestamp::from_second(14 * 86_400).expect("valid");
        let figures = dora(&story(), now, |breach| (breach.id == 21).then_some(90.0));
        let expected = Dora {
            promotions: 3,
            deployments_per_week: Some(1.5),
            lead_time_s: Some(40.0 * 3600.0),
            rolled_back: 1,
            change_failure_rate: Some(1.0 / 3.0),
            breaches: 2,
            time_to_restore_s: Some(90.0),
            not_restored: 1,
        };
        assert_eq!(figures, expected);
    }

    #[test]
    fn nothing_is_known_of_what_never_happened() {
        assert_eq!(dora(&[], Timestamp::UNIX_EPOCH, |_| None), Dora::default());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
    }
}
