//! What would change: an edit of the ladder's copy.

use super::migration::Migration;
use crate::config::Rollout;
use crate::console::{Consequence, Load, PlannedGate, Preview};
use crate::gate::{Basis, Ladder, Mode};
use crate::percent::Percent;
use crate::stage::{Phase, Stage};

/// What a rollout entry would change. `rate` is the requests per second of the dependency, where any are seen.
pub(super) fn preview(migration: &Migration, new: Option<&Rollout>, rate: Option<f64>, unix_s: i64) -> Preview {
    let old = migration.rollout().map(AsRef::as_ref);
    let (ladder, loses_evidence) = migration.if_edited(new, unix_s);
    let stage = |rollout: Option<&Rollout>| rollout.map(|rollout| rollout.stage).unwrap_or_default();
    let dealing = |rollout: Option<&Rollout>| rollout.map(|rollout| (rollout.salt.clone(), rollout.key.clone()));
    let effective = [migration.in_force(), ladder.effective()];
    let dealt_anew = old.is_some() && new.is_some() && dealing(old) != dealing(new);
    let (to_v2, to_v1) = moved(effective, dealt_anew);
    let is_back = |ladder: &Ladder| ladder.phase() == Phase::RolledBack;
    let consequences = [
        (dealt_anew, Consequence::DealtAnew),
        (is_back(migration.ladder()) && !is_back(&ladder), Consequence::RollbackLifted),
        (loses_evidence, Consequence::EvidenceLost),
    ];
    let consequences = consequences.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
    Preview {
        dependency: migration.name().to_owned(),
        changes: old != new,
        stage: [stage(old), stage(new)],
        ceiling: [migration.ladder().ceiling(), ladder.ceiling()],
        effective,
        to_v2,
        to_v1,
        consequences,
        steps: new.map(|new| steps(new, ladder.allowed())).unwrap_or_default(),
        gate: new.and_then(planned_gate),
        load: rate.map(|rate| load(rate, [old, new], effective, ladder.ceiling())),
    }
}

/// Shares of keys that change sides. Keys that are dealt anew fall on either side whatever they were.
fn moved([before, after]: [Percent; 2], dealt_anew: bool) -> (f64, f64) {
    let (before, after) = (before.as_f64() / 100.0, after.as_f64() / 100.0);
    if dealt_anew {
        ((1.0 - before) * after, before * (1.0 - after))
    } else {
        ((after - before).max(0.0), (before - after).max(0.0))
    }
}

fn steps(new: &Rollout, allowed: Percent) -> Vec<Percent> {
    new.steps.iter().copied().filter(|step| *step > allowed).collect()
}

fn planned_gate(new: &Rollout) -> Option<PlannedGate> {
    let params = new.params.as_ref()?;
    let judge = match params.basis {
        Basis::Slo => "slo",
        Basis::V1 => "v1",
        Basis::Both => "both",
    };
    Some(PlannedGate {
        judge: judge.to_owned(),
        slo: params.slo,
        confidence: params.confidence,
        margin: params.margin,
        min_samples: params.min_samples,
        bake_s: new.bake.iter().map(std::time::Duration::as_secs_f64).collect(),
        approve: new.approve.clone(),
        enforced: new.mode == Mode::Enforce,
    })
}

fn load(rate: f64, [old, new]: [Option<&Rollout>; 2], effective: [Percent; 2], ceiling: Percent) -> Load {
    let [now, then] = [(old, effective[0]), (new, effective[1])].map(|(rollout, percent)| shares(rollout, percent));
    let top = shares(new, ceiling);
    Load { consumers: rate, v1: [rate * now.0, rate * then.0], v2: [rate * now.1, rate * then.1, rate * top.1] }
}

/// The shares of requests that V1 and V2 get, as primaries and as shadows.
fn shares(rollout: Option<&Rollout>, effective: Percent) -> (f64, f64) {
    let Some(rollout) = rollout else { return (1.0, 0.0) };
    let (on_v2, sample) = (effective.as_f64() / 100.0, rollout.sample.as_f64() / 100.0);
    match rollout.stage {
        Stage::Off => (1.0, 0.0),
        Stage::Shadow => (1.0, sample),
        Stage::Cutover => (1.0 - on_v2 + on_v2 * sample, on_v2 + (1.0 - on_v2) * sample),
        Stage::Complete => (1.0 - on_v2, on_v2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_one_way_unless_they_are_dealt_anew() {
        let percent = |percent| Percent::from_f64(percent).expect("valid");
        let (to_v2, to_v1) = moved([percent(5.0), percent(25.0)], false);
        assert!((to_v2 - 0.2).abs() < 1e-12 && to_v1 == 0.0, "{to_v2} {to_v1}");
        let (to_v2, to_v1) = moved([percent(50.0), percent(50.0)], true);
        assert!((to_v2 - 0.25).abs() < 1e-12 && (to_v1 - 0.25).abs() < 1e-12, "{to_v2} {to_v1}");
    }
}
