//! One run: its clock, its judge, and what it has said so far.

use std::collections::HashMap;
use std::io::Write;

use serde::Serialize;

use crate::gate::{Counts, Judge, Kind, Reason, Restart, Scope, Verdict};
use crate::hit_rate::Tallied;

use super::LineError;
use super::line::{Config, Line, Stop};

/// Times are sums of decimal fractions: a line at 0.3 s belongs after boundary 3 of 100 ms.
const SLACK_TICKS: f64 = 1e-6;
/// And doubles: the time of day in seconds since 1970 is known to a millionth of a tick and no better.
const SLACK: f64 = 4.0 * f64::EPSILON;

/// Most requests of one line: whole numbers up to here have doubles of their own.
const MOST: u64 = 1 << 53;

/// Latest time of a run, seconds: some 30 000 years, and far from where doubles lose tenths.
const LATEST_S: f64 = 1e12;

pub(super) struct Run {
    name: String,
    judge: Judge,
    routes: HashMap<String, usize>,
    tick_s: f64,
    deadline_s: f64,
    stop: Stop,
    /// The tick boundary that was decided last; `None` before the first line, at which the run begins.
    decided: Option<u64>,
    /// The time of the last line.
    t: f64,
    /// Requests from before this time never count.
    epoch: f64,
    /// V1's outcomes before anything was heard of V2, that is, before mirroring began; `None`: it has.
    v1_alone: Option<Tallied>,
    said: Option<(Kind, Reason)>,
    /// The verdict that decided the run, and when.
    latched: Option<(Verdict, f64)>,
}

/// Whether a line was the last one of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Running,
    Over,
}

impl Progress {
    pub(super) fn is_over(self) -> bool {
        self == Self::Over
    }
}

/// One verdict, as written.
#[derive(Serialize)]
struct Said<'a> {
    run: &'a str,
    t: f64,
    d: Kind,
    why: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<&'a str>,
    n: u64,
    rich: u64,
    pending: u64,
    shed: u64,
    v1_n: u64,
    v1_rich: u64,
    n01: u64,
    nc: u64,
    n10: u64,
    log_e: f64,
    log_e_pairs: f64,
    need: f64,
    log_r: f64,
    log_r_pairs: f64,
    alarm: f64,
    phi: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_needed: Option<f64>,
    #[serde(rename = "final", skip_serializing_if = "std::ops::Not::not")]
    is_final: bool,
}

impl Run {
    pub(super) fn new(config: Config) -> Result<Self, LineError> {
        let settings = config.settings()?;
        let (tick_s, deadline_s) = (settings.tick_s, settings.params.deadline_s);
        let judge = Judge::new(settings, &config.route_names);
        let routes: HashMap<_, _> = config.route_names.into_iter().zip(0..).collect();
        Ok(Self {
            name: config.run,
            judge,
            routes,
            tick_s,
            deadline_s,
            stop: config.stop,
            decided: None,
            t: f64::NEG_INFINITY,
            epoch: f64::NEG_INFINITY,
            v1_alone: Some(Tallied::default()),
            said: None,
            latched: None,
        })
    }

    /// Decides every boundary up to the line's time, then takes the line in.
    pub(super) fn take(&mut self, line: &Line<'_>, output: &mut impl Write) -> Result<Progress, LineError> {
        let t = line.t.ok_or_else(|| malformed("`t` is missing"))?;
        self.pass_time(t, output)?;
        match &*line.k {
            "" => self.observe(line, t)?,
            "tick" => {}
            "step" => self.restart(Restart::Step(line.step.ok_or_else(|| malformed("`step` is missing"))?), t),
            "reset" if matches!(&*line.why, "edit" | "change") => self.restart(Restart::Change, t),
            "reset" => self.restart(Restart::Again, t),
            "end" => {
                self.say_final(t, output)?;
                return Ok(Progress::Over);
            }
            other => {
                return Err(malformed(format!("`k` is {other:?}, which is none of config, tick, step, reset, end")));
            }
        }
        Ok(Progress::Running)
    }

    fn pass_time(&mut self, t: f64, output: &mut impl Write) -> Result<(), LineError> {
        if !(0.0..=LATEST_S).contains(&t) {
            return Err(malformed(format!("`t` must lie between 0 and {LATEST_S}")));
        }
        if t < self.t {
            return Err(malformed(format!("`t` is {t}, before the line above ({})", self.t)));
        }
        self.t = t;
        let last = self.tick_of(t);
        if self.decided == Some(last) || self.latched.is_some() {
            return Ok(());
        }
        let mut at = self.decided.unwrap_or(last);
        if self.decided.is_none() {
            self.judge.restart(Restart::Change, last);
            self.decide(last, output)?;
        }
        while at < last && self.latched.is_none() {
            // Boundaries at which nothing can change are passed over.
            at = self.judge.next_tick().clamp(at + 1, last);
            self.decide(at, output)?;
        }
        self.decided = Some(last);
        Ok(())
    }

    fn tick_of(&self, t: f64) -> u64 {
        let ticks = t / self.tick_s;
        (ticks + SLACK_TICKS + ticks * SLACK) as u64
    }

    /// Rounded, since 346 ticks of 0.1 s are 34.6 s and nothing more.
    fn time_of(&self, tick: u64) -> f64 {
        (tick as f64 * self.tick_s * 1e6).round() / 1e6
    }

    fn decide(&mut self, tick: u64, output: &mut impl Write) -> Result<(), LineError> {
        self.judge.tick(tick);
        let verdict = *self.judge.verdict();
        let answer = Some((verdict.kind, verdict.reason));
        if self.said == answer {
            return Ok(());
        }
        self.said = answer;
        let t = self.time_of(tick);
        self.say(&verdict, t, false, output)?;
        let decides = match self.stop {
            Stop::First => matches!(verdict.kind, Kind::Promote | Kind::Rollback),
            Stop::Rollback => verdict.kind == Kind::Rollback,
            Stop::Never => false,
        };
        if decides {
            self.latched = Some((verdict, t));
        }
        Ok(())
    }

    fn restart(&mut self, why: Restart, t: f64) {
        if self.latched.is_none() {
            self.epoch = t;
            let tick = self.tick_of(t);
            self.judge.restart(why, tick);
        }
    }

    fn observe(&mut self, line: &Line<'_>, t: f64) -> Result<(), LineError> {
        let route = self.route(line)?;
        let start = line.s.unwrap_or(t);
        if !(start >= 0.0 && start <= t) {
            return Err(malformed(format!("`s` is {start}: requests start before their outcome, and not before 0")));
        }
        let mut left = line.n.unwrap_or(1);
        if left > MOST {
            return Err(malformed(format!("`n` is more than {MOST}")));
        }
        loop {
            let n = u32::try_from(left).unwrap_or(u32::MAX);
            let counts = self.counts(line, t - start, n)?;
            self.watch_v1(line, &counts);
            if self.latched.is_none() && start >= self.epoch {
                self.judge.observe(route, self.tick_of(start), &counts);
            }
            left -= u64::from(n);
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// V1's own level is what it has before mirroring begins, which is with the first word about V2.
    fn watch_v1(&mut self, line: &Line<'_>, counts: &Counts) {
        let Some(alone) = &mut self.v1_alone else { return };
        if line.b == "v1" {
            *alone += Tallied { rich: counts.v1_rich.into(), fallback: counts.v1_fallback.into() };
        } else {
            let tick = self.decided.unwrap_or_default();
            self.judge.watch_v1_against(*alone, tick);
            self.v1_alone = None;
        }
    }

    fn route(&self, line: &Line<'_>) -> Result<usize, LineError> {
        let Some(name) = &line.r else { return Ok(0) };
        let route = self.routes.get(&**name).copied();
        route.ok_or_else(|| malformed(format!("`r` is {name:?}, which is not in `route_names`")))
    }

    /// Of `n` of a line's requests.
    fn counts(&self, line: &Line<'_>, age: f64, n: u32) -> Result<Counts, LineError> {
        let mut counts = Counts::default();
        match (&*line.b, &*line.o) {
            ("v2", "start") => counts.started = n,
            ("v2", "shed") => counts.shed = n,
            ("v2", "excluded") => counts.withdrawn = n,
            ("v2", outcome @ ("rich" | "fallback")) => {
                // An answer after the deadline is no answer.
                let rich = outcome == "rich" && age <= self.deadline_s + SLACK_TICKS;
                *if rich { &mut counts.rich } else { &mut counts.fallback } = n;
                pair(&mut counts, rich, &line.p, n)?;
            }
            ("v1", "rich") => counts.v1_rich = n,
            ("v1", "fallback") => counts.v1_fallback = n,
            (b, o) => {
                return Err(malformed(format!("`b` is {b:?} and `o` is {o:?}, which is no observation")));
            }
        }
        // Without a start of its own, an outcome is one.
        if line.s.is_none() {
            counts.started = counts.started.max(counts.rich + counts.fallback + counts.withdrawn);
        }
        Ok(counts)
    }

    fn say_final(&self, t: f64, output: &mut impl Write) -> Result<(), LineError> {
        match &self.latched {
            Some((verdict, at)) => self.say(verdict, *at, true, output),
            None => self.say(self.judge.verdict(), t, true, output),
        }
    }

    fn say(&self, verdict: &Verdict, t: f64, is_final: bool, output: &mut impl Write) -> Result<(), LineError> {
        let it = &verdict.evidence;
        let r = match verdict.scope {
            _ if self.routes.len() < 2 => None,
            Scope::Route(at) => self.judge.route_name(at),
            Scope::Other => Some("other"),
            Scope::All => None,
        };
        let said = Said {
            run: &self.name,
            t,
            d: verdict.kind,
            why: verdict.reason,
            r,
            n: it.samples,
            rich: it.rich,
            pending: it.pending,
            shed: it.shed,
            v1_n: it.v1_samples,
            v1_rich: it.v1_rich,
            n01: it.v2_better,
            nc: it.concordant,
            n10: it.v2_worse,
            log_e: it.log_e,
            log_e_pairs: it.log_e_pairs,
            need: it.log_e_need,
            log_r: it.log_r,
            log_r_pairs: it.log_r_pairs,
            alarm: it.log_r_alarm,
            phi: it.phi,
            requests_needed: it.requests_needed,
            is_final,
        };
        serde_json::to_writer(&mut *output, &said)?;
        output.write_all(b"\n")?;
        Ok(())
    }
}

/// `n` pairs of V2's outcome with V1's.
fn pair(counts: &mut Counts, rich: bool, v1: &str, n: u32) -> Result<(), LineError> {
    let v1_rich = match v1 {
        "" => return Ok(()),
        "rich" => true,
        "fallback" => false,
        other => return Err(malformed(format!("`p` is {other:?}, neither rich nor fallback"))),
    };
    *if v1_rich { &mut counts.v1_rich } else { &mut counts.v1_fallback } = n;
    *match (v1_rich, rich) {
        (false, true) => &mut counts.v2_better,
        (true, false) => &mut counts.v2_worse,
        _ => &mut counts.concordant,
    } = n;
    Ok(())
}

fn malformed(reason: impl Into<String>) -> LineError {
    LineError::Malformed(reason.into())
}
