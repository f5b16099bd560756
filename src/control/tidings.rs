//! What happened goes to everyone who counts, keeps or tells it.

use std::sync::Arc;

use jiff::Timestamp;

use super::files::Reloaded;
use super::plane::Control;
use super::recording::Record;
use super::replay;
use super::show;
use super::tell::{self, Cause};
use crate::config::Rollouts;
use crate::console::{Event, EventKind, PastVerdict};
use crate::gate;

impl Control {
    /// Nobody in particular: what the files say.
    pub(super) fn cause<'a>(&self, rollouts: &'a Rollouts) -> Cause<'a> {
        Cause { evidence: None, order: None, change: rollouts.change.as_ref(), revision: self.revision }
    }

    /// What followed from the files, by index.
    pub(super) fn record_edits(&mut self, edits: Vec<(usize, Vec<gate::Event>)>) {
        let rollouts = Arc::clone(self.files.rollouts());
        for (index, events) in edits {
            self.record_all(index, &events, &self.cause(&rollouts));
        }
    }

    pub(super) fn record_all(&mut self, index: usize, events: &[gate::Event], cause: &Cause<'_>) -> Vec<Event> {
        let told = |event| (tell::event(&self.migrations[index], event, cause), tell::rollback_reason(event));
        let told: Vec<_> = events.iter().map(told).collect();
        told.into_iter().map(|(event, rolled_back)| self.record(event, rolled_back)).collect()
    }

    /// The events of a step up: they happen with it, once they are recorded.
    pub(super) fn record_rise(&mut self, index: usize, events: &[gate::Event], cause: &Cause<'_>) -> Vec<Event> {
        let told: Vec<_> = events.iter().map(|event| tell::event(&self.migrations[index], event, cause)).collect();
        let expect = |event| {
            let event = self.record.expect(event);
            self.outbox.event(event.clone());
            event
        };
        told.into_iter().map(expect).collect()
    }

    pub(super) fn record(&mut self, event: Event, rolled_back: Option<&'static str>) -> Event {
        let event = self.record.add(event, rolled_back, self.second());
        self.outbox.event(event.clone());
        event
    }

    pub(super) fn note_of(&mut self, index: usize, kind: EventKind, by: Option<String>, text: String) -> Event {
        let event = tell::note(&self.migrations[index], kind, (by, text), self.revision);
        self.record(event, None)
    }

    /// Once for each file and reason; the same mistake read again is no news.
    pub(super) fn record_failures(&mut self, reloaded: &Reloaded) {
        for failure in reloaded.failed.iter().filter(|failure| failure.is_news) {
            self.record(tell::reload_failed(failure, self.revision), None);
        }
    }

    pub(super) fn count_reload(&self, reloaded: &Reloaded) {
        let mut totals = self.totals.lock();
        for file in &reloaded.applied {
            let file = totals.files.entry(file).or_default();
            file.successes += 1;
            file.last_ok = true;
            file.last_success = Timestamp::now().as_millisecond() as f64 / 1000.0;
        }
        for failure in &reloaded.failed {
            let file = totals.files.entry(failure.file).or_default();
            file.failures += 1;
            file.last_ok = false;
        }
    }

    pub(super) fn count_verdict(&mut self, index: usize, verdict: &gate::Verdict) {
        let migration = &self.migrations[index];
        let name = migration.name();
        if let Some(judge) = migration.judge() {
            self.last_verdict += 1;
            self.recorder.put(&Record::Verdict(index, replay::said(verdict)));
            self.outbox.verdict(PastVerdict {
                id: self.last_verdict,
                time: Timestamp::now(),
                dependency: name.to_owned(),
                revision: self.revision,
                allowed: migration.ladder().allowed(),
                verdict: show::verdict(judge, verdict),
            });
        }
        let (kind, reason) = (verdict.kind.as_str(), verdict.reason.as_str());
        tracing::debug!(dependency = name, verdict = kind, reason, "the verdict changed");
        let mut totals = self.totals.lock();
        *totals.dependency(name, self.second()).verdicts.entry((kind, reason)).or_default() += 1;
    }
}
