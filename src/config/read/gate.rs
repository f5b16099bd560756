//! The gate's parameters in an entry of `rollout.toml`. The defaults are those of [`Params::for_slo`].

use std::time::Duration;

use super::table::Table;
use super::value::Value;
use crate::gate::{Basis, Params};
use crate::stage::Stage;

const SLO_RANGE: &str = "a fraction between 0 and 1, such as 0.95";
/// Stands in for an SLO that is missing or wrong, so that the other keys can be read.
const ANY_SLO: f64 = 0.5;

/// Reads all keys in every stage; `None` in the stages that are not judged.
pub(super) fn read(table: &mut Table<'_>, stage: Stage, deadline: Option<Duration>) -> Option<Params> {
    let slo = if stage.pairs() {
        table.required("slo", "slo = 0.95: V2 must answer rich at least this often")
    } else {
        table.take("slo")
    };
    let slo = slo.and_then(|value| value.number_in(SLO_RANGE, |n| 0.0 < n && n < 1.0));
    let mut params = Params::for_slo(slo.unwrap_or(ANY_SLO));
    if let Some(deadline) = deadline {
        params.deadline_s = deadline.as_secs_f64();
    }
    shares(table, &mut params);
    times(table, &mut params);
    set(&mut params.min_samples, table.get("min_samples", |value| value.count(1)));
    set(&mut params.basis, table.get("judge", judge));
    params.only_if_v1_better = table.bool("only_if_v1_better", params.only_if_v1_better);
    set(&mut params.overdispersion, table.get("overdispersion", overdispersion));
    stage.pairs().then_some(params)
}

fn shares(table: &mut Table<'_>, params: &mut Params) {
    let slo = params.slo;
    set(
        &mut params.confidence,
        table.get("confidence", |value| {
            value.number_in("a fraction from 0.5 to below 1, such as 0.99", |n| (0.5..1.0).contains(&n))
        }),
    );
    set(
        &mut params.margin,
        table.get("margin", |value| {
            value.number_in("a fraction from 0 to below 1, such as 0.01", |n| (0.0..1.0).contains(&n))
        }),
    );
    set(
        &mut params.tolerance,
        table.get("tolerance", |value| {
            value.number_in("a fraction from 0 to below the SLO, such as 0.01", |n| (0.0..slo).contains(&n))
        }),
    );
    set(
        &mut params.start_risk,
        table.get("start_risk", |value| {
            value.number_in("a fraction above 0 and below 1, such as 0.001", |n| 0.0 < n && n < 1.0)
        }),
    );
    set(
        &mut params.coverage,
        table.get("coverage", |value| {
            value.number_in("a fraction from 0 to 1, such as 0.95", |n| (0.0..=1.0).contains(&n))
        }),
    );
}

fn times(table: &mut Table<'_>, params: &mut Params) {
    let seconds = |time: Duration| time.as_secs_f64();
    set(&mut params.false_rollback_every_s, table.get("false_rollback_every", rarely).map(seconds));
    set(&mut params.blip_s, table.get("blip", Value::duration_or_zero).map(seconds));
    set(&mut params.stale_after_s, table.get("stale_after", Value::duration).map(seconds));
}

/// Below an hour, unjustified rollbacks would be the rule.
fn rarely(value: &Value<'_>) -> Option<Duration> {
    let time = value.duration()?;
    if time < Duration::from_secs(3600) {
        value.error("unjustified rollbacks more than once an hour", "write at least \"1h\"");
        return None;
    }
    Some(time)
}

fn judge(value: &Value<'_>) -> Option<Basis> {
    value.word(&[("slo", Basis::Slo), ("v1", Basis::V1), ("both", Basis::Both)])
}

fn overdispersion(value: &Value<'_>) -> Option<bool> {
    value.word(&[("auto", true), ("off", false)])
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
