//! The migrations fitted to the configuration, and both of them to the recording.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::migration::{Migration, SavedMigration};
use super::plane::Control;
use super::recording::{Config, Judged, Now, Record, Seen};
use crate::config::{Dependency, Deployment};
use crate::gate;
use crate::percent::Percent;

impl Control {
    /// Fits the migrations to the configuration; what went on before goes on. Returns what changed, by index.
    pub(super) fn set_migrations(
        &mut self,
        saved: BTreeMap<String, SavedMigration>,
        is_first: bool,
    ) -> Vec<(usize, Vec<gate::Event>)> {
        let moment = self.moment();
        let Now { tick: now, unix_s } = moment;
        let mut old = std::mem::take(&mut self.migrations);
        let (mut edits, mut began) = (Vec::new(), Vec::new());
        let dependencies: Vec<Arc<Dependency>> = self.files.deployment().dependencies.clone();
        for dependency in dependencies {
            let rollout = self.files.rollouts().entries.get(&dependency.name).cloned();
            let known = old.iter().position(|it| it.name() == dependency.name).map(|at| old.swap_remove(at));
            let (migration, events) = if let Some(mut known) = known {
                let (before, was_judged) = (known.in_force(), known.judge().is_some());
                let events = known.edit(dependency, rollout, now, unix_s);
                if !was_judged && known.judge().is_some() {
                    began.push(self.migrations.len());
                }
                known.hold_back(before, self.outbox.next());
                (known, events)
            } else {
                let saved = saved.get(&dependency.name);
                let before = saved.map_or(Percent::ZERO, SavedMigration::effective);
                let (mut new, events) = Migration::new(dependency, rollout, saved, now, unix_s);
                new.hold_back(before, self.outbox.next());
                (new, events)
            };
            edits.push((self.migrations.len(), events));
            self.migrations.push(migration);
        }
        let deployment = self.files.deployment();
        self.record.retain(|name| deployment.dependencies.iter().any(|it| it.name == name));
        self.totals.lock().retain(|name, route| is_configured(deployment, name, route));
        edits.retain(|(_, events)| !events.is_empty());
        let config = self.config(moment, saved);
        if is_first {
            self.recorder.begin(config);
        } else {
            self.recorder.put(&Record::Edit(config));
            self.record_levels(moment, &began);
        }
        edits
    }

    /// For the recording: what the judges go by.
    pub(super) fn config(&mut self, now: Now, saved: BTreeMap<String, SavedMigration>) -> Config {
        let dependencies = &self.files.deployment().dependencies;
        let judged = dependencies.iter().map(|dependency| {
            let known = self.generations.entry(dependency.name.clone()).or_insert_with(|| (Arc::clone(dependency), 0));
            let is_same = known.0.differs_in_secrets_only(dependency);
            *known = (Arc::clone(dependency), known.1 + u64::from(!is_same));
            Judged::new(dependency, known.1)
        });
        let dependencies = judged.collect();
        Config { now, rollout: self.files.rollout_text().to_owned(), dependencies, saved, continues: false }
    }

    /// What the judges are about to be told; a new file begins where the old one is full.
    pub(super) fn record_tick(&mut self, now: Now, may_rise: bool) {
        if self.recorder.is_full() {
            let saved = self.migrations.iter().map(|it| (it.name().to_owned(), it.save())).collect();
            let continues = !self.recorder.has_gap();
            let config = self.config(now, saved);
            self.recorder.begin(Config { continues, ..config });
        }
        for (dependency, migration) in self.migrations.iter().enumerate() {
            for (route, cause, fallbacks) in migration.blamed() {
                self.recorder.put(&Record::Blame(dependency, route, cause, fallbacks));
            }
        }
        let seen = self.migrations.iter().enumerate().flat_map(|(dependency, migration)| {
            migration.seen().map(move |(route, start, counts)| Seen { dependency, route, start, counts })
        });
        self.recorder.put(&Record::Tick(now, may_rise, seen.collect()));
    }
}

fn is_configured(deployment: &Deployment, dependency: &str, route: Option<&str>) -> bool {
    let found = deployment.dependencies.iter().find(|it| it.name == dependency);
    dependency == "none"
        || found.is_some_and(|found| route.is_none_or(|route| found.routes.iter().any(|it| it.name == route)))
}
