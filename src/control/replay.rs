//! The judges again, on what they were told before: with the rollout as it was, they say the same; with another one, this is
//! what it would have done.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::migration::Migration;
use super::recording::{Config, Judged, Now, Record, Records, Seen};
use crate::config::{self, Deployment, Problems, Rollouts};
use crate::gate::{self, Kind, Reason, Verdict};
use crate::percent::Percent;
use crate::store::read_recording;

/// Why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording cannot be read.
    #[error("failed to read the recording in {}", path.display())]
    Io {
        /// Which folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("there is no recording in {}: is this the `data_dir` of a crossfade that has run?", .0.display())]
    Empty(std::path::PathBuf),
    /// The new rollout file does not fit the recorded dependencies.
    #[error("the rollout file is not valid for what was recorded")]
    Rollout(Problems),
}

/// Something that a gate decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// When, to the second.
    pub time: Timestamp,
    /// The verdict, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<(Kind, Reason)>,
    /// What followed for the rollout, if anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<gate::Event>,
    /// In words, with numbers.
    pub sentence: String,
    /// What the gate permitted then.
    pub allowed: Percent,
}

/// What became of one dependency.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Backtest {
    /// Its name.
    pub dependency: String,
    /// As it was, decided again.
    pub recorded: Vec<Decision>,
    /// With the new rollout; the same as `recorded` without one.
    pub replayed: Vec<Decision>,
    /// Verdicts that were recorded.
    pub verdicts: u64,
    /// Of these, those that came out differently when they were decided again.
    pub differing: u64,
    /// The recording begins with a process: nothing that was judged is missing, and nothing may differ.
    pub is_whole: bool,
}

/// A verdict as it is recorded, to be compared to the last digit.
pub(super) fn said(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).expect("plain data can always be written as JSON")
}

/// Replays the recording of a data directory, as it was and, where there is one, with the content of a new rollout file.
///
/// # Errors
/// As [`ReplayError`] tells.
pub fn backtest(data_dir: &Path, rollout: Option<(&Path, &str)>) -> Result<Vec<Backtest>, ReplayError> {
    let folder = data_dir.join("recording");
    let (mut as_it_was, mut with_new) = (Replay::new(None), rollout.map(|new| Replay::new(Some(new))));
    let mut last = Now::default();
    let mut wrong = None;
    let read = read_recording(&folder, |begins, bytes| {
        if begins {
            last = Now::default();
        }
        for record in Records::new(bytes, &mut last) {
            let fed = as_it_was.feed(&record).and_then(|()| with_new.as_mut().map_or(Ok(()), |new| new.feed(&record)));
            wrong = wrong.take().or(fed.err());
        }
    });
    read.map_err(|source| ReplayError::Io { path: folder.clone(), source })?;
    if let Some(problems) = wrong {
        return Err(ReplayError::Rollout(problems));
    }
    if as_it_was.dependencies.is_empty() {
        return Err(ReplayError::Empty(folder));
    }
    Ok(as_it_was.compare(with_new))
}

/// One dependency of a replay.
struct Replayed {
    migration: Migration,
    judged: Judged,
    /// The rollout entry is the one that was in force then: what was recorded of the disk happens again.
    follows: bool,
}

pub(super) struct Replay<'a> {
    rollout: Option<(&'a Path, &'a str)>,
    dependencies: Vec<Replayed>,
    results: Vec<Backtest>,
    /// By dependency: verdicts that were decided again, and whose record is still to come.
    unmatched: Vec<(String, VecDeque<String>)>,
    has_begun: bool,
    is_whole: bool,
}

impl<'a> Replay<'a> {
    pub(super) const fn new(rollout: Option<(&'a Path, &'a str)>) -> Self {
        Self {
            rollout,
            dependencies: Vec::new(),
            results: Vec::new(),
            unmatched: Vec::new(),
            has_begun: false,
            is_whole: true,
        }
    }

    /// Takes the next record.
    pub(super) fn feed(&mut self, record: &Record) -> Result<(), Problems> {
        match record {
            Record::Begin(config) if config.continues && self.has_begun => {}
            Record::Begin(config) => self.begin(config)?,
            Record::Edit(config) => self.edit(config)?,
            Record::Blame(index, route, cause, fallbacks) => {
                if let Some(it) = self.dependencies.get_mut(*index) {
                    it.migration.blame(*route, *cause, *fallbacks);
                }
            }
            Record::Tick(now, may_rise, seen) => self.tick(*now, *may_rise, seen),
            Record::Order(now, index, verb) => {
                if let Some(it) = self.dependencies.get_mut(*index) {
                    let events = it.migration.order(now.tick, now.unix_s, *verb);
                    let sentence = format!("a person said {}", verb.as_str());
                    self.note(*index, *now, Told { verdict: None, events, sentence });
                }
            }
            Record::Risen(now, index) => {
                if let Some(it) = self.dependencies.get_mut(*index).filter(|it| it.follows) {
                    it.migration.landed(u64::MAX, now.tick);
                }
            }
            Record::Watched(now, index, alone) => {
                if let Some(it) = self.dependencies.get_mut(*index) {
                    it.migration.watch_v1(*alone, now.tick);
                }
            }
            Record::Forgotten(now, index) => {
                if let Some(it) = self.dependencies.get_mut(*index) {
                    it.migration.forget_evidence(now.tick);
                }
            }
            Record::Fell(index) => {
                if let Some(it) = self.dependencies.get_mut(*index).filter(|it| it.follows) {
                    it.migration.failed(u64::MAX);
                }
            }
            Record::Verdict(index, verdict) => self.compare_one(*index, verdict),
        }
        Ok(())
    }

    /// A process began, or the recording does.
    fn begin(&mut self, config: &Config) -> Result<(), Problems> {
        // What a process goes on with, it goes on with exactly; the midst of one is not all there.
        self.is_whole &= !config.continues;
        self.has_begun = true;
        // The last tick of the process before may have been cut short.
        self.unmatched.clear();
        let old = std::mem::take(&mut self.dependencies);
        let (deployment, recorded, rollouts) = self.read(config)?;
        for (judged, dependency) in config.dependencies.iter().zip(&deployment.dependencies) {
            let follows = is_same(&recorded, &rollouts, &judged.name);
            let own = old.iter().find(|it| !follows && it.judged.name == judged.name).map(|it| it.migration.save());
            let saved = own.as_ref().or_else(|| config.saved.get(&judged.name));
            let rollout = rollouts.entries.get(&judged.name).cloned();
            let Now { tick, unix_s } = config.now;
            let (migration, events) = Migration::new(Arc::clone(dependency), rollout, saved, tick, unix_s);
            self.dependencies.push(Replayed { migration, judged: judged.clone(), follows });
            let sentence = "a process began".to_owned();
            self.note(self.dependencies.len() - 1, config.now, Told { verdict: None, events, sentence });
        }
        Ok(())
    }

    fn edit(&mut self, config: &Config) -> Result<(), Problems> {
        let mut old = std::mem::take(&mut self.dependencies);
        let (deployment, recorded, rollouts) = self.read(config)?;
        let Now { tick, unix_s } = config.now;
        for (judged, dependency) in config.dependencies.iter().zip(&deployment.dependencies) {
            let follows = is_same(&recorded, &rollouts, &judged.name);
            let rollout = rollouts.entries.get(&judged.name).cloned();
            let known = old.iter().position(|it| it.judged.name == judged.name).map(|at| old.swap_remove(at));
            let (migration, events) = if let Some(Replayed { mut migration, judged: before, .. }) = known {
                // A dependency that did not change stays the same object, as in the running process.
                let same = before == *judged;
                let dependency = if same { migration.dependency() } else { dependency };
                let dependency = Arc::clone(dependency);
                let events = migration.edit(dependency, rollout, tick, unix_s);
                (migration, events)
            } else {
                Migration::new(Arc::clone(dependency), rollout, None, tick, unix_s)
            };
            self.dependencies.push(Replayed { migration, judged: judged.clone(), follows });
            let sentence = "the files were changed".to_owned();
            self.note(self.dependencies.len() - 1, config.now, Told { verdict: None, events, sentence });
        }
        Ok(())
    }

    /// The recorded rollouts, and those of this replay.
    fn read(&self, config: &Config) -> Result<(Deployment, Rollouts, Rollouts), Problems> {
        let deployment = config::parse_deployment(&deployment(&config.dependencies), Path::new("crossfade.toml"))?;
        let recorded = Path::new("rollout.toml (as recorded)");
        let recorded = config::parse_rollouts(&config.rollout, recorded, Some(&deployment))?;
        let rollouts = match self.rollout {
            Some((path, text)) => config::parse_rollouts(text, path, Some(&deployment))?,
            None => recorded.clone(),
        };
        Ok((deployment, recorded, rollouts))
    }

    fn tick(&mut self, now: Now, may_rise: bool, seen: &[Seen]) {
        for Seen { dependency, route, start, counts } in seen {
            if let Some(it) = self.dependencies.get_mut(*dependency) {
                it.migration.see(*route, *start, counts);
            }
        }
        for index in 0..self.dependencies.len() {
            let Replayed { migration, follows, .. } = &mut self.dependencies[index];
            let outcome = migration.tick(now.tick, now.unix_s, may_rise);
            if outcome.rise.is_some() && !*follows {
                migration.landed(u64::MAX, now.tick);
            }
            if outcome.verdict.is_none() && outcome.events.is_empty() {
                continue;
            }
            let explained = outcome.verdict.as_ref().zip(migration.judge());
            let explained = explained.map(|(verdict, judge)| judge.explain(verdict));
            let sentence = outcome.evidence.map(|evidence| evidence.sentence).or(explained).unwrap_or_default();
            if let Some(verdict) = &outcome.verdict {
                let name = migration.name().to_owned();
                self.unmatched_of(&name).push_back(said(verdict));
            }
            let verdict = outcome.verdict.map(|verdict| (verdict.kind, verdict.reason));
            self.note(index, now, Told { verdict, events: outcome.events, sentence });
        }
    }

    fn compare_one(&mut self, index: usize, recorded: &str) {
        let Some(it) = self.dependencies.get(index) else { return };
        let name = it.judged.name.clone();
        let again = self.unmatched_of(&name).pop_front();
        let result = self.result_of(&name);
        result.verdicts += 1;
        result.differing += u64::from(again.as_deref() != Some(recorded));
    }

    fn unmatched_of(&mut self, name: &str) -> &mut VecDeque<String> {
        let known = self.unmatched.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            self.unmatched.push((name.to_owned(), VecDeque::new()));
            self.unmatched.len() - 1
        });
        &mut self.unmatched[at].1
    }

    fn result_of(&mut self, name: &str) -> &mut Backtest {
        let known = self.results.iter().position(|result| result.dependency == name);
        let at = known.unwrap_or_else(|| {
            self.results.push(Backtest { dependency: name.to_owned(), ..Backtest::default() });
            self.results.len() - 1
        });
        &mut self.results[at]
    }

    fn note(&mut self, index: usize, now: Now, told: Told) {
        let Told { verdict, events, sentence } = told;
        let migration = &self.dependencies[index].migration;
        let (name, allowed) = (migration.name().to_owned(), migration.ladder().allowed());
        let time = Timestamp::from_second(now.unix_s).unwrap_or_default();
        let result = self.result_of(&name);
        if verdict.is_some() || !events.is_empty() {
            result.recorded.push(Decision { time, verdict, events, sentence, allowed });
        }
    }

    /// What came of it, beside what came of another replay.
    pub(super) fn compare(self, with_new: Option<Replay<'_>>) -> Vec<Backtest> {
        let is_whole = self.is_whole;
        let new = with_new.map(|replay| replay.results);
        let both = |result: Backtest| {
            let replayed = match &new {
                Some(new) => new.iter().find(|it| it.dependency == result.dependency).map(|it| it.recorded.clone()),
                None => Some(result.recorded.clone()),
            };
            Backtest { replayed: replayed.unwrap_or_default(), is_whole, ..result }
        };
        self.results.into_iter().map(both).collect()
    }
}

struct Told {
    verdict: Option<(Kind, Reason)>,
    events: Vec<gate::Event>,
    sentence: String,
}

fn is_same(recorded: &Rollouts, rollouts: &Rollouts, name: &str) -> bool {
    let hash = |rollouts: &Rollouts| rollouts.entries.get(name).map(|entry| entry.hash);
    hash(recorded) == hash(rollouts)
}

/// A `crossfade.toml` that is judged like the recorded one: an address stands for everything that is not recorded.
fn deployment(dependencies: &[Judged]) -> String {
    let mut text = "listen = [\"127.0.0.1:0\"]\n".to_owned();
    for (at, Judged { name, routes, has_v1, timeout_ms, generation }) in dependencies.iter().enumerate() {
        let mut add = |line: String| writeln!(text, "{line}").expect("a String takes everything");
        add(format!("[dependency.\"{name}\"]\nmatch = {{ path_prefix = \"/{at}\" }}"));
        if *has_v1 {
            add("v1 = { url = \"http://v1\" }".to_owned());
        }
        add(format!("v2 = {{ url = \"http://v2-{generation}\", timeout = \"{timeout_ms}ms\" }}"));
        for (route, name) in routes.iter().enumerate().filter(|(_, name)| *name != config::OTHER) {
            add(format!(
                "[[dependency.\"{}\".route]]\nname = \"{name}\"\nmatch = {{ path = \"/{at}/{route}\" }}",
                dependencies[at].name
            ));
        }
    }
    text
}
