//! What happened, in words: from the ladder's events to those that people read.

use jiff::Timestamp;

use super::files::FileFailure;
use super::migration::Migration;
use crate::config::Change;
use crate::console::{Event, EventKind, Order, VerdictStatus};
use crate::gate;
use crate::percent::Percent;
use crate::revision::Revision;

/// Who is responsible for what happens, as far as it is known.
pub(super) struct Cause<'a> {
    /// The gate's verdict.
    pub(super) evidence: Option<VerdictStatus>,
    /// A person's verb.
    pub(super) order: Option<&'a Order>,
    /// The `[change]` table of the rollout file.
    pub(super) change: Option<&'a Change>,
    /// The content of the rollout file in force.
    pub(super) revision: Revision,
}

/// The reason of a rollback as a label; `None` for other events.
pub(super) const fn rollback_reason(event: &gate::Event) -> Option<&'static str> {
    match event {
        gate::Event::Rollback { reason: Some(reason), .. } => Some(reason.as_str()),
        gate::Event::Rollback { reason: None, .. } => Some("manual"),
        _ => None,
    }
}

/// An event of the ladder, without number and time.
pub(super) fn event(migration: &Migration, event: &gate::Event, cause: &Cause<'_>) -> Event {
    let verdict = cause.evidence.clone();
    let (kind, from, to) = kind_and_percents(event, migration.ladder().allowed());
    let sentence = verdict.as_ref().map(|verdict| verdict.sentence.clone()).unwrap_or_default();
    let (by, reason) = match (cause.order, kind) {
        (Some(order), _) => by_order(order),
        (None, EventKind::Edit) => by_edit(cause.change, migration),
        (None, _) => ("gate".to_owned(), sentence),
    };
    Event {
        id: 0,
        time: Timestamp::default(),
        dependency: migration.name().to_owned(),
        kind,
        revision: cause.revision,
        change: cause.change.cloned(),
        from,
        to,
        by,
        reason,
        verdict,
    }
}

/// Something that was found out, or done by a person besides the rollout: without number and time.
pub(super) fn note(
    migration: &Migration,
    kind: EventKind,
    (by, text): (Option<String>, String),
    revision: Revision,
) -> Event {
    let allowed = migration.ladder().allowed();
    Event {
        id: 0,
        time: Timestamp::default(),
        dependency: migration.name().to_owned(),
        kind,
        revision,
        change: None,
        from: allowed,
        to: allowed,
        by: by.unwrap_or_else(|| "somebody".to_owned()),
        reason: text,
        verdict: None,
    }
}

/// What is said in place of an event of a step up that could not be recorded, and did not happen.
pub(super) fn not_risen(event: Event, why: &str) -> Event {
    let reason =
        format!("the step from {} % to {} % did not happen, the ledger did not take it: {why}", event.from, event.to);
    Event { kind: EventKind::Freeze, to: event.from, reason, ..event }
}

/// A file that could not be applied.
pub(super) fn reload_failed(failure: &FileFailure, revision: Revision) -> Event {
    Event {
        id: 0,
        time: Timestamp::default(),
        dependency: String::new(),
        kind: EventKind::ReloadFailed,
        revision,
        change: None,
        from: Percent::ZERO,
        to: Percent::ZERO,
        by: failure.file.to_owned(),
        reason: failure.reason.clone(),
        verdict: None,
    }
}

const fn kind_and_percents(event: &gate::Event, allowed: Percent) -> (EventKind, Percent, Percent) {
    match *event {
        gate::Event::Edit { from, to } => (EventKind::Edit, from, to),
        gate::Event::Promote { from, to } => (EventKind::Promote, from, to),
        gate::Event::Rollback { from, to, .. } => (EventKind::Rollback, from, to),
        gate::Event::Freeze { .. } => (EventKind::Freeze, allowed, allowed),
        gate::Event::Breach { .. } => (EventKind::Breach, allowed, allowed),
        gate::Event::Recover => (EventKind::Recover, allowed, allowed),
        gate::Event::Approve { step } => (EventKind::Approve, allowed, step),
        gate::Event::Pause => (EventKind::Pause, allowed, allowed),
        gate::Event::Resume => (EventKind::Resume, allowed, allowed),
    }
}

fn by_order(order: &Order) -> (String, String) {
    let by = order.by.clone().unwrap_or_else(|| "somebody".to_owned());
    (by, order.reason.clone().unwrap_or_else(|| "no reason given".to_owned()))
}

fn by_edit(change: Option<&Change>, migration: &Migration) -> (String, String) {
    let by = change.and_then(|change| change.by.clone()).unwrap_or_else(|| "rollout file".to_owned());
    let reason = change.and_then(|change| change.reason.clone());
    (by, reason.unwrap_or_else(|| format!("the rollout entry was changed: stage {}", migration.plan().stage())))
}
