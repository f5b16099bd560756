//! The ladder of percents of one rollout: ceiling, steps, the least time on each, and those that wait for a person.

use std::time::Duration;

use super::table::Table;
use super::value::Value;
use crate::percent::Percent;
use crate::stage::Stage;

/// Least time on a step.
const BAKE: Duration = Duration::from_secs(5 * 60);
/// Least time on the last of several steps: a day shows what the hour of the day does.
const LAST_BAKE: Duration = Duration::from_secs(24 * 3600);

/// A ladder that fits its ceiling.
pub(super) struct Ladder {
    pub(super) ceiling: Percent,
    pub(super) steps: Vec<Percent>,
    pub(super) bake: Vec<Duration>,
    pub(super) approve: Vec<Percent>,
}

/// Reads `percent`, `steps`, `bake` and `approve`. All are checked in every stage, since a change of stage alone must not
/// bring up old mistakes; outside `cutover` the ladder is the one step that the stage implies.
pub(super) fn read(table: &mut Table<'_>, stage: Stage) -> Ladder {
    let written = match stage {
        Stage::Cutover => table.required("percent", "percent = 100: the ceiling; the gate climbs towards it"),
        Stage::Off | Stage::Shadow | Stage::Complete => table.take("percent"),
    };
    let written = written.and_then(|value| value.percent());
    let ceiling = match stage {
        Stage::Off | Stage::Shadow => Percent::ZERO,
        Stage::Cutover => written.unwrap_or_default(),
        Stage::Complete => Percent::HUNDRED,
    };
    let rungs = table.get("steps", rungs);
    // Outside `cutover` the written percent, if any, is what the rest was written for.
    let meant = written.unwrap_or(Percent::HUNDRED);
    let approve = table.get("approve", |value| approve(value, rungs.as_deref(), meant));
    let bake = table.get("bake", |value| bake(value, rungs.as_deref().unwrap_or_default(), meant));
    cut(ceiling, rungs.unwrap_or_default(), bake.as_ref(), approve.unwrap_or_default())
}

/// Steps above the ceiling are cut, and the ceiling is the last one: lowering `percent` takes one edit, not two.
fn cut(ceiling: Percent, mut steps: Vec<Percent>, bake: Option<&Bake>, mut approve: Vec<Percent>) -> Ladder {
    steps.retain(|step| *step < ceiling);
    steps.push(ceiling);
    approve.retain(|step| steps.contains(step));
    let last = steps.len() - 1;
    let default = |n| if n == last && last > 0 { LAST_BAKE } else { BAKE };
    let at = |n: usize| match bake {
        Some(Bake::Each(times)) => times.get(n).copied().unwrap_or_else(|| default(n)),
        Some(Bake::All(time)) => *time,
        None => default(n),
    };
    let bake = (0..steps.len()).map(at).collect();
    Ladder { ceiling, steps, bake, approve }
}

fn rungs(value: &Value<'_>) -> Option<Vec<Percent>> {
    let mut below = Percent::ZERO;
    value.some("a list of percents, such as [1, 5, 25, 50, 100]", "no step", |item| {
        let step = item.percent()?;
        if step == Percent::ZERO {
            item.error("a step of 0", "remove it: every rollout begins at 0");
        } else if step <= below {
            item.error(
                format_args!("{step} does not rise above {below}"),
                "write the steps in rising order, each once",
            );
        }
        below = step;
        Some(step)
    })
}

fn approve(value: &Value<'_>, rungs: Option<&[Percent]>, ceiling: Percent) -> Option<Vec<Percent>> {
    value.list("a list of steps, such as [50, 100]", |item| {
        let step = item.percent()?;
        if step == Percent::ZERO {
            item.warn("0 percent waits for nobody", "remove it");
            return None;
        }
        let known = match rungs {
            Some(rungs) => rungs.contains(&step) || step == ceiling,
            None => step >= ceiling,
        };
        if !known {
            item.error(format_args!("{step} is not one of the steps"), "name a step, or add it to `steps`");
        }
        Some(step)
    })
}

enum Bake {
    All(Duration),
    Each(Vec<Duration>),
}

fn bake(value: &Value<'_>, rungs: &[Percent], ceiling: Percent) -> Option<Bake> {
    if !value.is_array() {
        return value.duration_or_zero().map(Bake::All);
    }
    let times = value.list("durations", Value::duration_or_zero)?;
    let appended = rungs.last().is_none_or(|last| *last < ceiling);
    let wanted = rungs.len() + usize::from(appended);
    let given = value.items("durations")?.len();
    if given != wanted {
        value.error(
            format_args!("a list of {given} for {wanted} steps"),
            "write one for each step, or a single one for all",
        );
    }
    Some(Bake::Each(times))
}
