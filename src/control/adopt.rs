//! What a ledger holds that could not be read at the start: gone on with as if the process began now, except where something
//! happened meanwhile that counts for more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::migration::{Migration, SavedMigration};
use super::plane::Control;
use super::recording::{Now, Record};
use super::state;
use crate::console::EventKind;
use crate::store::Found;

impl Control {
    /// Takes over what was found. Nothing more is in force before the next batch is on the disk.
    pub(super) fn adopt(&mut self, found: &Found) {
        tracing::warn!("the ledger can be read now: what it holds is gone on with, where nothing happened meanwhile");
        self.last_verdict = self.last_verdict.max(found.last_verdict);
        let saved = found.state.as_deref().and_then(state::read).unwrap_or_default();
        let chosen: BTreeMap<_, _> = self.migrations.iter().map(|it| (it.name().to_owned(), it.save())).collect();
        let chosen: BTreeMap<_, _> = self.choose(chosen, saved.migrations);
        self.record.remember(state::past_events(&found.past), found.last_event.max(saved.last_event));
        if saved.revision.number >= self.revision.number {
            self.revision = self.files.revision(saved.revision);
        }
        let now = self.moment();
        let mut edits = Vec::new();
        for (index, migration) in self.migrations.iter_mut().enumerate() {
            let events = begin_again(migration, chosen.get(migration.name()), now, self.outbox.next());
            edits.push((index, events));
        }
        let config = self.config(now, chosen);
        self.recorder.put(&Record::Begin(config));
        self.record_edits(edits);
        self.publish();
        self.show();
    }

    /// Ours, or what was found: a latch is lifted by people only, and whatever else was done or decided since is not undone.
    fn choose(
        &self,
        mut ours: BTreeMap<String, SavedMigration>,
        found: BTreeMap<String, SavedMigration>,
    ) -> BTreeMap<String, SavedMigration> {
        for (name, found) in found {
            let Some(mine) = ours.get_mut(&name) else { continue };
            let mut since = self.record.since_start(&name);
            let is_ours = if found.is_latched() {
                since.any(|kind| matches!(kind, EventKind::Edit | EventKind::Resume))
            } else {
                since.next().is_some()
            };
            if !is_ours {
                *mine = found;
            }
        }
        ours
    }
}

fn begin_again(
    migration: &mut Migration,
    saved: Option<&SavedMigration>,
    Now { tick, unix_s }: Now,
    batch: u64,
) -> Vec<crate::gate::Event> {
    let before = migration.in_force();
    let (dependency, rollout) = (Arc::clone(migration.dependency()), migration.rollout().cloned());
    let (mut new, events) = Migration::new(dependency, rollout, saved, tick, unix_s);
    new.hold_back(before, batch);
    new.carry_over(migration);
    *migration = new;
    events
}
