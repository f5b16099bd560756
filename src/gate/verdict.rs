//! The decision table: what the gate says, and why. The first row that matches wins.
//!
//! Nothing here is computed: evidence comes from [`super::route`], and every comparison is one line.
//! Never promote by default, and never promote or roll back on silence.

use serde::{Deserialize, Serialize};

use super::counts::Sums;
use super::evidence::Evidence;
use super::reading::Reading;
use super::reason::{Kind, Reason, Scope};
use super::rules::Rules;
use super::settings::Settings;

/// The gate's answer with everything behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What to do.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
    /// Whose evidence decided.
    pub scope: Scope,
    /// That evidence.
    pub evidence: Evidence,
    /// The tick since which kind and reason are these.
    pub since: u64,
}

/// A route without `min_samples` that would have them within so many seconds is waited for; a quieter one
/// is pooled with its like.
pub(super) const PATIENCE_S: f64 = 600.0;

/// Whether a route is judged on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has `min_samples`.
    Judged,
    /// It will have them soon.
    Awaited,
    /// It is pooled.
    Quiet,
}

/// Everything a verdict depends on.
pub(super) struct View<'a> {
    pub(super) settings: &'a Settings,
    pub(super) rules: &'a Rules,
    pub(super) routes: &'a [Reading],
    /// The quiet routes together; `None` while they lack `min_samples`.
    pub(super) other: Option<&'a Reading>,
    pub(super) total: Sums,
    /// ln(1/alpha), with what restarts of the same step cost.
    pub(super) need: f64,
    /// Seconds since the epoch began.
    pub(super) elapsed_s: f64,
    /// No outcome for `stale_after`, or none at all.
    pub(super) is_silent: bool,
    pub(super) replicas_missing: bool,
    pub(super) mirror_hurts_v1: bool,
}

/// What was decided, by whose evidence.
pub(super) type Decision = (Reason, Scope);

impl View<'_> {
    /// Walks the table.
    pub(super) fn decide(&self) -> Decision {
        self.alarm()
            .or_else(|| self.mirror_hurts_v1())
            .or_else(|| self.no_data())
            .or_else(|| self.coverage())
            .or_else(|| self.too_few())
            .or_else(|| self.bake())
            .or_else(|| self.recent_drop())
            .or_else(|| self.v1_below_slo())
            .unwrap_or_else(|| self.confident_or_undecided())
    }

    /// Rows 1 to 5. A rollback on one route goes before a freeze on another.
    fn alarm(&self) -> Option<Decision> {
        let alarms = self.routes.iter().enumerate().filter_map(|(at, route)| {
            let reason = self.alarm_of(route)?;
            Some((reason, Scope::Route(at), route.peaks.falling.max(route.peaks.worsening)))
        });
        let is_rollback = |reason: Reason| reason.kind() == Kind::Rollback;
        alarms
            .max_by(|a, b| is_rollback(a.0).cmp(&is_rollback(b.0)).then(a.2.total_cmp(&b.2)))
            .map(|(reason, scope, _)| (reason, scope))
    }

    fn alarm_of(&self, route: &Reading) -> Option<Reason> {
        let (rules, peaks) = (self.rules, &route.peaks);
        // Where the file asks for a comparison with V1, V2's own level counts only without one.
        let by_slo = self.settings.wants_slo() || route.sums.pairs() == 0;
        let by_v1 = self.settings.wants_v1();
        let worse = peaks.worse >= rules.worse.alarm_s;
        let below = by_slo && peaks.fell >= rules.fell.alarm_s;
        let v1_below = peaks.v1_fell >= rules.v1_fell.alarm_s;
        let no_worse = !worse && route.sums.pairs() > 0 && route.log_e_pairs >= self.need;
        let falling = by_slo && peaks.falling >= rules.falling.alarm_s;
        let worsening = by_v1 && peaks.worsening >= rules.worsening.alarm_s;

        if by_v1 && worse {
            Some(Reason::WorseThanV1)
        } else if below && v1_below && !worse {
            Some(Reason::SharedOutage)
        } else if below && no_worse && self.settings.params.only_if_v1_better {
            Some(Reason::V1NoBetter)
        } else if below {
            Some(Reason::BelowSlo)
        } else if falling || worsening {
            Some(Reason::Blip)
        } else {
            None
        }
    }

    /// Row 6.
    fn mirror_hurts_v1(&self) -> Option<Decision> {
        self.mirror_hurts_v1.then_some((Reason::MirrorHurtsV1, Scope::All))
    }

    /// Row 7.
    fn no_data(&self) -> Option<Decision> {
        (self.is_silent || self.total.samples() == 0).then_some((Reason::NoData, Scope::All))
    }

    /// Row 8. All routes together, and each one that has enough eligible requests.
    fn coverage(&self) -> Option<Decision> {
        let covered = |sums: &Sums| {
            let eligible = sums.samples() + sums.shed;
            sums.samples() as f64 >= self.settings.params.coverage * eligible as f64
        };
        if self.replicas_missing || !covered(&self.total) {
            return Some((Reason::Coverage, Scope::All));
        }
        let matters = |sums: &Sums| sums.samples() + sums.shed >= self.settings.params.min_samples;
        let bare = self.routes.iter().position(|route| matters(&route.sums) && !covered(&route.sums))?;
        Some((Reason::Coverage, Scope::Route(bare)))
    }

    /// Row 9.
    fn too_few(&self) -> Option<Decision> {
        if let Some(awaited) = self.routes.iter().position(|route| self.standing(route) == Standing::Awaited) {
            return Some((Reason::MinSamples, Scope::Route(awaited)));
        }
        if self.subjects().next().is_none() {
            return Some((Reason::MinSamples, Scope::All));
        }
        if !self.settings.wants_v1() {
            return None;
        }
        let (pairs, scope) = self.subjects().map(|(scope, it)| (it.sums.pairs(), scope)).min_by_key(|it| it.0)?;
        match pairs {
            0 => Some((Reason::NoPairs, scope)),
            n if n < self.settings.params.min_samples => Some((Reason::MinSamples, scope)),
            _ => None,
        }
    }

    /// Row 10, as far as the judge knows: people and the calendar are the ladder's business.
    fn bake(&self) -> Option<Decision> {
        // Ticks are tenths of seconds in floating point: the slack keeps 3000 of them from being short of 300 s.
        if self.elapsed_s + 1e-6 < self.settings.bake_s {
            return Some((Reason::Bake, Scope::All));
        }
        let unmeasured =
            |route: &Reading| self.settings.params.overdispersion && route.blocks < self.settings.min_blocks;
        let (scope, _) = self.subjects().find(|(_, route)| unmeasured(route))?;
        Some((Reason::Bake, scope))
    }

    /// Row 11.
    fn recent_drop(&self) -> Option<Decision> {
        let warn_s = self.settings.warn_every_s;
        let drops = |route: &Reading| {
            let by_slo = self.settings.wants_slo() && route.peaks.falling >= warn_s;
            by_slo || (self.settings.wants_v1() && route.peaks.worsening >= warn_s)
        };
        let at = self.routes.iter().position(drops)?;
        Some((Reason::RecentDrop, Scope::Route(at)))
    }

    /// Row 12.
    fn v1_below_slo(&self) -> Option<Decision> {
        if !self.settings.wants_slo() {
            return None;
        }
        let blocked = |route: &Reading| {
            route.log_e < self.need && route.v1_misses_slo(self.settings.params.slo, self.rules, self.need)
        };
        let (scope, _) = self.subjects().find(|(_, route)| blocked(route))?;
        Some((Reason::V1BelowSlo, scope))
    }

    /// Rows 13 and 14: the route with the weakest evidence speaks for all.
    fn confident_or_undecided(&self) -> Decision {
        let weakest = self.subjects().map(|(scope, route)| (self.evidence(route), scope));
        match weakest.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((evidence, scope)) if evidence >= self.need => (Reason::Confident, scope),
            Some((_, scope)) => (Reason::Undecided, scope),
            None => (Reason::MinSamples, Scope::All),
        }
    }

    /// The weaker one of the kinds of evidence that a promotion needs, nats.
    fn evidence(&self, route: &Reading) -> f64 {
        let by_slo = if self.settings.wants_slo() { route.log_e } else { f64::INFINITY };
        let by_v1 = if self.settings.wants_v1() { route.log_e_pairs } else { f64::INFINITY };
        by_slo.min(by_v1)
    }

    /// Those who must agree to a promotion.
    fn subjects(&self) -> impl Iterator<Item = (Scope, &Reading)> {
        let judged = |(_, route): &(usize, &Reading)| self.standing(route) == Standing::Judged;
        let alone = self.routes.iter().enumerate().filter(judged);
        alone.map(|(at, route)| (Scope::Route(at), route)).chain(self.other.map(|other| (Scope::Other, other)))
    }

    fn standing(&self, route: &Reading) -> Standing {
        standing(route.sums.samples(), self.settings.params.min_samples, self.elapsed_s)
    }
}

/// Where a route with `samples` after `elapsed_s` seconds stands.
pub(super) fn standing(samples: u64, min_samples: u64, elapsed_s: f64) -> Standing {
    if samples >= min_samples.max(1) {
        Standing::Judged
    } else if samples as f64 * PATIENCE_S > min_samples as f64 * elapsed_s {
        Standing::Awaited
    } else {
        Standing::Quiet
    }
}

#[cfg(test)]
mod tests;
