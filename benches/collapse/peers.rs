//! The rules of Flagger and Argo Rollouts, applied to the stream of exposed requests that crossfade was given.
//!
//! Both look at the success rate of the exposed traffic by status code, once a minute, and count the looks that fail:
//!
//! - Flagger (<https://docs.flagger.app/usage/metrics>, `request-success-rate`: "non 5xx responses";
//!   <https://docs.flagger.app/usage/deployment-strategies>: back after "interval * threshold"). `interval: 1m`,
//!   `threshold: 5`. Its scheduler notices the threshold at the run after the fifth failed one
//!   (`pkg/controller/scheduler.go`); here the fifth itself rolls back, as documented.
//! - Argo Rollouts (<https://argo-rollouts.readthedocs.io/en/stable/features/analysis/>, background analysis with
//!   `response_code!~"5.*"`). `interval: 1m`, `failureLimit: 3`. That page says that three failed measurements fail the run;
//!   the field's own description ("maximum number of times the measurement is allowed to fail") and `analysis/analysis.go`
//!   (`Failed > FailureLimit`) say four. Both readings are printed.
//!
//! What is in their favour: no delay of scrapes and queries, an exact window of the last minute, traffic back at once.

use crossfade::backend::Backend;

use crate::stream::{Miss, RATE, Stream};
use crate::trial::Trial;

/// The SLO that all are given.
const SLO: f64 = 0.95;
/// Between two looks, and the window of each, in seconds.
const INTERVAL_S: f64 = 60.0;
/// The collapse comes in the middle between two looks, as it does on average.
const FIRST_LOOK_S: f64 = INTERVAL_S / 2.0;
/// Where a rule that sees nothing is given up on.
pub(crate) const HORIZON_S: f64 = 3_600.0;

/// So many failed looks roll back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    failures: u32,
}

pub(crate) const RULES: [Rule; 3] = [
    Rule { name: "Flagger, 5th failed check", failures: 5 },
    Rule { name: "Argo Rollouts, 3rd failed measurement", failures: 3 },
    Rule { name: "Argo Rollouts, 4th failed measurement", failures: 4 },
];

/// What a rule makes of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ruling {
    /// Seconds from the collapse to the rollback; `None`: not within the [horizon](HORIZON_S).
    pub(crate) rollback_s: Option<f64>,
    /// Bad answers that consumers got until then.
    pub(crate) bad: usize,
}

/// One answer of V2 to a consumer.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// From the collapse.
    at_s: f64,
    is_rich: bool,
    status: u16,
}

/// The exposed requests of a trial: a minute before the collapse as the traffic's function says, what was recorded, and the
/// same collapse for as long as a rule may need.
#[derive(Debug)]
pub(crate) struct Tape(Vec<Seen>);

impl Tape {
    pub(crate) fn of(trial: &Trial) -> Self {
        let (stream, miss) = (Stream { seed: trial.setting.seed }, trial.setting.miss);
        let invent = |number: u64| {
            let has_collapsed = number >= trial.collapse_at;
            let at_s = (number as f64 - trial.collapse_at as f64) / RATE as f64;
            seen(miss, at_s, stream.is_rich(Backend::V2, number, has_collapsed))
        };
        let recorded = trial.exposed.iter().map(|answer| {
            let at_s = answer.begun.duration_since(trial.collapsed).as_secs_f64();
            seen(miss, at_s, stream.is_rich(Backend::V2, answer.number, true))
        });
        let last = trial.exposed.last().map_or(trial.collapse_at, |answer| answer.number);
        let minute = INTERVAL_S as u64 * RATE;
        let before = trial.collapse_at.saturating_sub(minute)..trial.collapse_at;
        let after = last + 1..trial.collapse_at + HORIZON_S as u64 * RATE;
        let exposed = |number: &u64| stream.is_exposed(*number);
        let tape = before.filter(exposed).map(invent).chain(recorded).chain(after.filter(exposed).map(invent));
        Self(tape.collect())
    }

    /// Applies a rule.
    pub(crate) fn judge(&self, rule: Rule) -> Ruling {
        let mut failed = 0;
        let looks = (0_u32..).map(|look| FIRST_LOOK_S + INTERVAL_S * f64::from(look));
        let rollback_s = looks.take_while(|at_s| *at_s <= HORIZON_S).find(|at_s| {
            failed += u32::from(self.success_rate(*at_s) < SLO);
            failed >= rule.failures
        });
        Ruling { rollback_s, bad: self.bad(rollback_s.unwrap_or(HORIZON_S)) }
    }

    /// Of the minute before `at_s`, by status code.
    fn success_rate(&self, at_s: f64) -> f64 {
        let from = self.0.partition_point(|seen| seen.at_s < at_s - INTERVAL_S);
        let window = &self.0[from..self.0.partition_point(|seen| seen.at_s < at_s)];
        window.iter().filter(|seen| seen.status < 500).count() as f64 / window.len().max(1) as f64
    }

    fn bad(&self, until_s: f64) -> usize {
        self.0.iter().filter(|seen| (0.0..until_s).contains(&seen.at_s) && !seen.is_rich).count()
    }
}

fn seen(miss: Miss, at_s: f64, is_rich: bool) -> Seen {
    Seen { at_s, is_rich, status: miss.status(is_rich) }
}
