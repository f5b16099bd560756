//! The lines of the protocol, as written.

use std::borrow::Cow;

use serde::Deserialize;

use crate::gate::{Basis, Params, Settings};

use super::LineError;

/// Any line but `config`: an observation, or a word about time.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    /// `config`, `tick`, `step`, `reset` or `end`; empty: an observation.
    #[serde(borrow, default)]
    pub(super) k: Cow<'a, str>,
    /// Seconds.
    pub(super) t: Option<f64>,
    /// Whose outcome.
    #[serde(borrow, default)]
    pub(super) b: Cow<'a, str>,
    /// The outcome.
    #[serde(borrow, default)]
    pub(super) o: Cow<'a, str>,
    /// V1's outcome for the same requests.
    #[serde(borrow, default)]
    pub(super) p: Cow<'a, str>,
    /// How many; 1.
    pub(super) n: Option<u64>,
    /// When they started; `t`.
    pub(super) s: Option<f64>,
    /// The route; the first.
    pub(super) r: Option<Cow<'a, str>>,
    /// Of `step`.
    pub(super) step: Option<u32>,
    /// Of `reset`.
    #[serde(borrow, default)]
    pub(super) why: Cow<'a, str>,
}

/// Which evidence a promotion needs.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Absolute,
    Relative,
    Both,
}

/// At which verdict a run is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stop {
    /// The first promote or rollback.
    First,
    /// The first rollback.
    Rollback,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Overdispersion {
    Off,
    Auto,
}

/// The line that begins a run. Unknown keys are errors: a misspelt parameter would be judged with its default.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    k: String,
    pub(super) run: String,
    slo: f64,
    confidence: f64,
    margin: Option<f64>,
    mode: Option<Mode>,
    min_samples: u64,
    bake_s: f64,
    deadline_s: f64,
    false_rollback_every_s: f64,
    start_risk: f64,
    blip_s: f64,
    overdispersion: Overdispersion,
    block_s: f64,
    min_blocks: u32,
    floor: Option<f64>,
    warn_every_s: f64,
    v1_warn_every_s: f64,
    blame_margin: f64,
    min_coverage: f64,
    stale_s: f64,
    tick_s: f64,
    only_if_v1_better: bool,
    pub(super) route_names: Vec<String>,
    pub(super) stop: Stop,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            k: String::new(),
            run: String::new(),
            slo: 0.95,
            confidence: 0.99,
            margin: None,
            mode: None,
            min_samples: 100,
            bake_s: 0.0,
            deadline_s: 2.0,
            false_rollback_every_s: 2_592_000.0,
            start_risk: 0.001,
            blip_s: 0.0,
            overdispersion: Overdispersion::Off,
            block_s: 5.0,
            min_blocks: 12,
            floor: None,
            warn_every_s: 600.0,
            v1_warn_every_s: 3600.0,
            blame_margin: 0.02,
            min_coverage: 0.95,
            stale_s: 30.0,
            tick_s: 0.1,
            only_if_v1_better: false,
            route_names: vec![String::new()],
            stop: Stop::First,
        }
    }
}

impl Config {
    /// The judge's settings, once every number is in its range.
    pub(super) fn settings(&self) -> Result<Settings, LineError> {
        self.check()?;
        let basis = match (self.mode, self.margin) {
            (Some(Mode::Both), _) | (None, Some(_)) => Basis::Both,
            (Some(Mode::Relative), _) => Basis::V1,
            (Some(Mode::Absolute) | None, _) => Basis::Slo,
        };
        let floor = self.floor.unwrap_or(self.slo);
        let params = Params {
            slo: self.slo,
            confidence: self.confidence,
            margin: self.margin.unwrap_or(self.blame_margin),
            basis,
            tolerance: self.slo - floor,
            min_samples: self.min_samples,
            false_rollback_every_s: self.false_rollback_every_s,
            start_risk: self.start_risk,
            blip_s: self.blip_s,
            coverage: self.min_coverage,
            stale_after_s: self.stale_s,
            deadline_s: self.deadline_s,
            only_if_v1_better: self.only_if_v1_better,
            overdispersion: self.overdispersion == Overdispersion::Auto,
        };
        Ok(Settings {
            params,
            floor,
            bake_s: self.bake_s,
            tick_s: self.tick_s,
            block_s: self.block_s,
            min_blocks: self.min_blocks,
            warn_every_s: self.warn_every_s,
            v1_warn_every_s: self.v1_warn_every_s,
            mirror_tolerance: 0.0,
            // Whatever the mirror does, it is in the stream.
            mirror_rest_s: 0.0,
        })
    }

    fn check(&self) -> Result<(), LineError> {
        let open = |x: f64| x > 0.0 && x < 1.0;
        let rate = |x: f64| (1e-6..=1.0 - 1e-6).contains(&x);
        let closed = |x: f64| (0.0..=1.0).contains(&x);
        let seconds = |x: f64| (0.0..=1e12).contains(&x);
        let positive = |x: f64| x > 0.0 && seconds(x);
        let rules = [
            ("slo", rate(self.slo), "between 0.000001 and 0.999999"),
            ("confidence", open(self.confidence), "between 0 and 1"),
            ("floor", self.floor.is_none_or(rate), "between 0.000001 and 0.999999"),
            ("margin", self.margin.is_none_or(|m| (0.0..1.0).contains(&m)), "at least 0 and below 1"),
            ("blame_margin", (0.0..1.0).contains(&self.blame_margin), "at least 0 and below 1"),
            ("min_coverage", closed(self.min_coverage), "between 0 and 1"),
            ("start_risk", (0.0..1.0).contains(&self.start_risk), "at least 0 and below 1"),
            ("bake_s", seconds(self.bake_s), "a number of seconds"),
            ("blip_s", seconds(self.blip_s), "a number of seconds"),
            ("block_s", seconds(self.block_s), "a number of seconds"),
            ("stale_s", positive(self.stale_s), "a positive number of seconds"),
            ("deadline_s", positive(self.deadline_s), "a positive number of seconds"),
            ("tick_s", self.tick_s >= 0.001 && self.tick_s <= 3600.0, "between 0.001 and 3600 seconds"),
            ("false_rollback_every_s", self.false_rollback_every_s > 1.0, "more than one second"),
            ("warn_every_s", positive(self.warn_every_s), "a positive number of seconds"),
            ("v1_warn_every_s", positive(self.v1_warn_every_s), "a positive number of seconds"),
            ("route_names", !self.route_names.is_empty(), "a list of at least one name"),
        ];
        match rules.iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((key, _, range)) => Err(LineError::Malformed(format!("`{key}` must be {range}"))),
        }
    }
}
