//! What people ask of the control plane, and what it does about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::drill::{self, Running, Traffic};
use super::files::{Files, Reloaded};
use super::plane::Control;
use super::preview;
use super::recording::{Now, Record};
use super::tell::Cause;
use crate::backend::Backend;
use crate::console::{Ask, DrillOrder, Event, EventKind, Note, Order, Preview, Refusal, Verb};
use crate::telemetry::WINDOWS;

impl Control {
    pub(super) fn answer(&mut self, ask: Ask, applied: &impl Fn(&Files)) {
        // Whoever asked may have left meanwhile; what was asked is done all the same.
        match ask {
            Ask::Order(order, answer) => {
                let done = self.order(&order);
                self.promise(|| drop(answer.send(done)));
            }
            Ask::Drill(order, answer) => {
                let begun = self.drill(&order);
                self.promise(|| drop(answer.send(begun)));
            }
            Ask::Note(note, answer) => {
                let noted = self.note(note);
                self.promise(|| drop(answer.send(noted)));
            }
            Ask::Plan(rollout, answer) => drop(answer.send(self.plan(&rollout))),
            Ask::Reload(answer) => {
                let reloaded = self.reload(applied);
                let reasons: Vec<String> = reloaded.failed.into_iter().map(|failure| failure.reason).collect();
                self.promise(move || {
                    drop(answer.send(if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n")) }));
                });
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<usize, Refusal> {
        self.migrations.iter().position(|it| it.name() == name).ok_or_else(|| {
            let known = self.migrations.iter().map(|it| it.name().to_owned()).collect();
            Refusal::UnknownDependency { name: name.to_owned(), known }
        })
    }

    pub(super) fn order(&mut self, order: &Order) -> Result<Event, Refusal> {
        let index = self.find(&order.dependency)?;
        let moment = self.moment();
        let Now { tick: now, unix_s } = moment;
        if order.verb == Verb::Rollback && self.migrations[index].dependency().v1.is_none() {
            return Err(Refusal::NotNow("there is no V1 to go back to: crossfade.toml has no `v1`".to_owned()));
        }
        self.recorder.put(&Record::Order(moment, index, order.verb));
        let (migration, batch) = (&mut self.migrations[index], self.outbox.next());
        let before = migration.in_force();
        let events = migration.order(now, unix_s, order.verb);
        migration.hold_back(before, batch);
        self.publish();
        let rollouts = Arc::clone(self.files.rollouts());
        let cause = Cause { order: Some(order), ..self.cause(&rollouts) };
        let event = self.record_all(index, &events, &cause).pop();
        self.show();
        event.ok_or_else(|| Refusal::NotNow(nothing_to_do(order.verb).to_owned()))
    }

    /// What would change if the rollout file had this content.
    pub(super) fn plan(&self, rollout: &str) -> Result<Vec<Preview>, String> {
        let new = self.files.try_rollouts(rollout)?;
        let (second, unix_s) = (self.second(), self.clock.unix_s());
        let mut totals = self.totals.lock();
        let previews = self.migrations.iter().map(|migration| {
            let (name, seconds) = (migration.name(), WINDOWS[1].1 as f64);
            let seen = totals.dependency(name, second).primaries.sum(second, 1).samples();
            let rate = (seen > 0).then(|| seen as f64 / seconds.min(second.max(1) as f64));
            preview::preview(migration, new.entries.get(name).map(AsRef::as_ref), rate, unix_s)
        });
        Ok(previews.collect())
    }

    pub(super) fn reload(&mut self, applied: &impl Fn(&Files)) -> Reloaded {
        let reloaded = self.files.reload();
        self.count_reload(&reloaded);
        let revision = self.files.revision(self.revision);
        if !reloaded.applied.is_empty() {
            self.revision = revision;
            let edits = self.set_migrations(BTreeMap::new(), false);
            applied(&self.files);
            self.publish();
            self.record_edits(edits);
        }
        self.record_failures(&reloaded);
        self.save();
        self.show();
        reloaded
    }

    /// Begins a drill.
    pub(super) fn drill(&mut self, order: &DrillOrder) -> Result<Event, Refusal> {
        let index = self.find(&order.dependency)?;
        let migration = &self.migrations[index];
        drill::check(order, migration, self.traffic(migration.name()))?;
        let event = self.note_of(index, EventKind::Drill, order.by.clone(), drill::warning(order, migration));
        self.migrations[index].begin_drill(Running::begin(order, event.id));
        self.publish();
        self.show();
        Ok(event)
    }

    /// V2's calls per second in the last minute.
    pub(super) fn traffic(&self, name: &str) -> Traffic {
        let second = self.second();
        let mut totals = self.totals.lock();
        let counted = totals.dependency(name, second);
        let seconds = (WINDOWS[0].1 as f64).min(second.max(1) as f64);
        let primaries = counted.primaries.sum(second, 0).rich as f64 / seconds;
        let all = counted.backends[Backend::V2 as usize].sum(second, 0).samples() as f64 / seconds;
        Traffic { shadows: (all - primaries).max(0.0), primaries }
    }

    /// Takes out faults whose time is over, and the evidence that they spoiled.
    pub(super) fn end_drills(&mut self, now: Now) {
        for index in 0..self.migrations.len() {
            if self.migrations[index].drill_mut().is_some_and(Running::end_if_due) {
                self.publish();
                self.recorder.put(&Record::Forgotten(now, index));
                self.migrations[index].forget_evidence(now.tick);
                let result = self.migrations[index].drill().map(Running::result).unwrap_or_default();
                self.note_of(index, EventKind::Drill, Some("crossfade".to_owned()), result);
                self.save();
                self.show();
            }
        }
    }

    pub(super) fn note(&mut self, note: Note) -> Result<Event, Refusal> {
        let index = self.find(&note.dependency)?;
        let event = self.note_of(index, note.kind, note.by, note.text);
        self.show();
        Ok(event)
    }
}

fn nothing_to_do(verb: Verb) -> &'static str {
    match verb {
        Verb::Approve => "no step waits for an approval",
        Verb::Pause => "it is paused already",
        Verb::Resume => "it is neither paused nor rolled back",
        Verb::Rollback => "it is rolled back already, or its stage has nothing to roll back",
    }
}
