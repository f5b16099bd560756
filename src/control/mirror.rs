//! V1's level without a mirror, against which it is watched once mirroring begins: both backends often share a database, and a
//! shadow is load. Where V1 falls, the mirror rests.

use std::sync::Arc;

use super::migration::Migration;
use super::plane::Control;
use super::recording::{Now, Record};
use crate::config::Rollout;
use crate::gate::{Counts, Mode};
use crate::hit_rate::Tallied;
use crate::percent::Percent;

/// About how many of V1's last answers make its level: enough to tell a tenth of a percent, and not those of last week.
const LEVEL: u64 = 200_000;

impl Migration {
    /// Counts what V1 answered while nothing was mirrored.
    pub(super) fn count_v1_alone(&mut self, counts: &Counts) {
        let Tallied { rich, fallback } = &mut self.v1_alone;
        *rich += u64::from(counts.v1_rich);
        *fallback += u64::from(counts.v1_fallback);
        while *rich + *fallback > LEVEL {
            (*rich, *fallback) = (*rich / 2, *fallback / 2);
        }
    }

    /// Watches V1 against its level, from now on, in whatever epoch.
    pub(super) fn watch_v1(&mut self, alone: Tallied, now: u64) {
        self.v1_alone = alone;
        if let Some(judge) = &mut self.judge {
            judge.watch_v1_against(alone, now);
        }
    }

    /// Whether the mirror rests, since it hurts V1.
    pub(super) fn rests(&self) -> bool {
        let is_enforced = self.ladder().plan().mode == Mode::Enforce;
        is_enforced && self.judge().is_some_and(crate::gate::Judge::mirror_hurts_v1)
    }

    /// What people wrote, without the mirror while it rests.
    pub(super) fn mirrored(&self) -> Option<Arc<Rollout>> {
        let rollout = self.rollout()?;
        if self.rests() {
            Some(Arc::new(Rollout { sample: Percent::ZERO, ..Rollout::clone(rollout) }))
        } else {
            Some(Arc::clone(rollout))
        }
    }
}

impl Control {
    /// For the recording: against which level V1 is watched where mirroring has just begun.
    pub(super) fn record_levels(&mut self, now: Now, began: &[usize]) {
        for index in began {
            self.recorder.put(&Record::Watched(now, *index, self.migrations[*index].v1_alone));
        }
    }
}
