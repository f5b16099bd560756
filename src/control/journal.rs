//! Events: numbered, dated, logged, counted, kept and, once they are in the ledger, announced, all in one place.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::console::{Event, EventKind};
use crate::telemetry::Totals;

/// Events that are kept in memory for each dependency.
const KEPT: usize = 100;

/// What happened lately, and who wants to hear of it.
pub(super) struct Journal {
    last_id: u64,
    /// Events up to this one are of earlier processes.
    began_after: u64,
    kept: BTreeMap<String, VecDeque<Event>>,
    listeners: broadcast::Sender<Arc<Event>>,
    totals: Arc<Totals>,
}

impl Journal {
    /// Goes on numbering after `last_id`; `past` are events of earlier processes, newest first.
    pub(super) fn new(
        last_id: u64,
        past: Vec<Event>,
        listeners: broadcast::Sender<Arc<Event>>,
        totals: Arc<Totals>,
    ) -> Self {
        let mut journal = Self { last_id, began_after: last_id, kept: BTreeMap::new(), listeners, totals };
        journal.remember(past, last_id);
        journal
    }

    /// What happened to a dependency in this process, of what is kept.
    pub(super) fn since_start(&self, dependency: &str) -> impl Iterator<Item = EventKind> {
        let kept = self.kept.get(dependency).into_iter().flatten();
        kept.filter(|event| event.id > self.began_after).map(|event| event.kind)
    }

    /// The number of the last event.
    pub(super) const fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Numbers, dates, counts and keeps an event. `second` is of the clock that windows are read by.
    pub(super) fn add(&mut self, event: Event, rolled_back: Option<&'static str>, second: u64) -> Event {
        let event = self.expect(event);
        self.count(&event, rolled_back, second);
        log(&event);
        event
    }

    /// Numbers, dates and keeps an event that happens when it is recorded, and [not before](Self::confirm).
    pub(super) fn expect(&mut self, mut event: Event) -> Event {
        self.last_id += 1;
        event.id = self.last_id;
        event.time = Timestamp::now();
        let kept = self.kept.entry(event.dependency.clone()).or_default();
        kept.truncate(KEPT - 1);
        kept.push_front(event.clone());
        event
    }

    /// Tells those who listen of an event that is in the ledger: nobody ever hears of one that is not.
    pub(super) fn announce(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.listeners.send(Arc::new(event));
    }

    /// An expected event has happened: counts it.
    pub(super) fn confirm(&self, event: &Event, second: u64) {
        self.count(event, None, second);
        log(event);
    }

    /// What was expected did not happen: `instead` says in its place and under its number what did.
    pub(super) fn replace(&mut self, instead: &Event, second: u64) {
        self.count(instead, None, second);
        log(instead);
        let kept = self.kept.get_mut(&instead.dependency);
        if let Some(old) = kept.and_then(|kept| kept.iter_mut().find(|old| old.id == instead.id)) {
            old.clone_from(instead);
        }
    }

    /// Events of earlier processes, newest first, that could not be read at the start. `last_id` is the highest number there.
    pub(super) fn remember(&mut self, past: Vec<Event>, last_id: u64) {
        self.last_id = self.last_id.max(last_id);
        for event in past {
            let kept = self.kept.entry(event.dependency.clone()).or_default();
            if kept.len() < KEPT {
                kept.push_back(event);
            }
        }
    }

    /// The last events of a dependency, newest first.
    pub(super) fn of(&self, dependency: &str) -> Vec<Event> {
        self.kept.get(dependency).map(|events| events.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets the events of what is not configured any more.
    pub(super) fn retain(&mut self, is_configured: impl Fn(&str) -> bool) {
        self.kept.retain(|name, _| is_configured(name));
    }

    fn count(&self, event: &Event, rolled_back: Option<&'static str>, second: u64) {
        let mut totals = self.totals.lock();
        let dependency = totals.dependency(&event.dependency, second);
        *dependency.changes.entry(event.kind.as_str()).or_default() += 1;
        if let Some(reason) = rolled_back {
            *dependency.rollbacks.entry(reason).or_default() += 1;
        }
    }
}

fn log(event: &Event) {
    let Event { dependency, kind, from, to, by, reason, revision, .. } = event;
    let kind_name = kind.as_str();
    match kind {
        // Told in full where the file was read.
        EventKind::ReloadFailed => {}
        EventKind::Rollback | EventKind::Breach | EventKind::Freeze => {
            tracing::warn!(%dependency, event = kind_name, %from, %to, %by, %revision, "{reason}");
        }
        _ => tracing::info!(%dependency, event = kind_name, %from, %to, %by, %revision, "{reason}"),
    }
}
