//! What people are shown of a migration, and what Prometheus is.

use std::collections::BTreeMap;

use super::journal::Journal;
use super::migration::Migration;
use crate::backend::Backend;
use crate::console::{DependencyStatus, Evidence, Percents, PoisonedRule, Rates, VerdictStatus, WindowRates};
use crate::gate::{Judge, Mode, Scope, Verdict};
use crate::hit_rate::Tallied;
use crate::stage::Stage;
use crate::telemetry::{DependencyTotals, RolloutGauges, RuleId, WINDOWS};

/// The gauges of a migration.
pub(super) fn gauges(migration: &Migration) -> RolloutGauges {
    let ladder = migration.ladder();
    let evidence = migration.judge().map(|judge| judge.verdict().evidence).unwrap_or_default();
    RolloutGauges {
        slo: slo(migration),
        ceiling: ladder.ceiling(),
        allowed: ladder.allowed(),
        effective: migration.in_force(),
        stage: stage(migration),
        phase: ladder.phase(),
        samples: [evidence.v1_samples, evidence.samples],
    }
}

/// The status of a migration.
pub(super) fn status(
    migration: &Migration,
    totals: &mut DependencyTotals,
    record: &Journal,
    second: u64,
    unix_s: i64,
) -> DependencyStatus {
    let ladder = migration.ladder();
    DependencyStatus {
        name: migration.name().to_owned(),
        stage: stage(migration),
        phase: ladder.phase(),
        enforced: ladder.plan().mode == Mode::Enforce,
        percent: Percents {
            ceiling: ladder.ceiling(),
            allowed: ladder.allowed(),
            effective: migration.in_force(),
            observed: totals.primaries.sum(second, 0).hit_rate().map(|share| share * 100.0),
        },
        slo: slo(migration),
        hit_rates: hit_rates(totals, second),
        verdict: migration.judge().zip(migration.shown(unix_s)).map(|(judge, shown)| verdict(judge, &shown)),
        poisoned_rules: Vec::new(),
        drill: migration.drill().map(|drill| drill.status().clone()),
        next_step: ladder.next_step(),
        events: record.of(migration.name()),
    }
}

/// Which of the rules are poisoned that belong to a dependency.
pub(super) fn poisoned(rules: &BTreeMap<RuleId, bool>, dependency: &str) -> Vec<PoisonedRule> {
    let own = rules.iter().filter(|(id, is_poisoned)| **is_poisoned && id.dependency == dependency);
    own.map(|(id, _)| PoisonedRule { route: id.route.clone(), backend: id.backend.to_owned() }).collect()
}

/// A verdict in words and numbers.
pub(super) fn verdict(judge: &Judge, verdict: &Verdict) -> VerdictStatus {
    let evidence = &verdict.evidence;
    let interval = judge.interval();
    VerdictStatus {
        verdict: verdict.kind.as_str().to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        sentence: judge.explain(verdict),
        route: match verdict.scope {
            Scope::All => None,
            Scope::Route(index) => judge.route_name(index).map(str::to_owned),
            Scope::Other => Some("(routes with little traffic)".to_owned()),
        },
        evidence: Evidence {
            samples: evidence.samples,
            hit_rate: evidence.hit_rate(),
            lo: interval.lo,
            hi: interval.hi,
            v1_samples: evidence.v1_samples,
            v1_hit_rate: evidence.v1_hit_rate(),
            v2_better: evidence.v2_better,
            v2_worse: evidence.v2_worse,
            log_e: evidence.log_e,
            log_e_pairs: evidence.log_e_pairs,
            log_e_need: evidence.log_e_need,
            log_r: evidence.log_r.max(evidence.log_r_pairs),
            log_r_alarm: evidence.log_r_alarm,
            phi: evidence.phi,
            elapsed_s: evidence.elapsed_s,
            bake_left_s: evidence.bake_left_s,
            requests_needed: evidence.requests_needed,
            seconds_needed: evidence.seconds_needed,
            top_cause: evidence.top_cause,
        },
    }
}

fn stage(migration: &Migration) -> Stage {
    migration.rollout().map(|rollout| rollout.stage).unwrap_or_default()
}

fn slo(migration: &Migration) -> Option<f64> {
    migration.rollout().and_then(|rollout| rollout.params.as_ref()).map(|params| params.slo)
}

fn hit_rates(totals: &mut DependencyTotals, second: u64) -> BTreeMap<String, Rates> {
    let rates = |index| Rates {
        v1: window(totals.backends[Backend::V1 as usize].sum(second, index)),
        v2: window(totals.backends[Backend::V2 as usize].sum(second, index)),
        v1_first_try: window(totals.first_tries[Backend::V1 as usize].sum(second, index)),
        v2_first_try: window(totals.first_tries[Backend::V2 as usize].sum(second, index)),
        served: window(totals.served.sum(second, index)),
    };
    let names = WINDOWS.iter().map(|(name, _)| (*name).to_owned());
    names.zip((0..WINDOWS.len()).map(rates)).collect()
}

fn window(counts: Tallied) -> WindowRates {
    WindowRates { hit_rate: counts.hit_rate(), rich: counts.rich, fallback: counts.fallback }
}
