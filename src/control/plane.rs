//! The loop of the control plane: what is reported, what time brings, what people ask, what files say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::files::{Files, Reloaded};
use super::migration::{Migration, SavedMigration};
use super::record::Record;
use super::show;
use super::state::{self, Saved, restore};
use super::tell::{self, Cause};
use crate::config::{Dependency, Deployment, Handle, Live, Problems, Rollouts};
use crate::console::{Ask, Desk, Event, Order, Refusal, Status, Verb};
use crate::gate;
use crate::revision::Revision;
use crate::store::{DataDir, StateError};
use crate::telemetry::{Report, Totals};

/// The time between two looks of the judge.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks of people: gauges, status, windows.
const SHOW_EACH: u64 = 5;
/// Ticks between two saves of evidence; what the gate allows is saved at once.
const SAVE_EACH: u64 = 50;

/// The control plane.
pub struct Control {
    files: Files,
    revision: Revision,
    migrations: Vec<Migration>,
    record: Record,
    live: Handle,
    totals: Arc<Totals>,
    desk: Desk,
    data_dir: DataDir,
    origin: Instant,
    store_error: Option<String>,
}

/// Why the control plane cannot begin.
#[derive(Debug)]
pub enum OpenError {
    /// The rollout file is invalid, and there is no earlier content of it.
    Rollout(Problems),
    /// The gate's state cannot be read.
    State(StateError),
}

impl Control {
    /// Restores what was saved, reads the rollout file, and puts both in force.
    ///
    /// # Errors
    /// As [`OpenError`] tells.
    pub fn open(
        mut files: Files,
        data_dir: DataDir,
        desk: Desk,
        totals: Arc<Totals>,
        origin: Instant,
    ) -> Result<Self, OpenError> {
        let saved = restore(&data_dir.gate_state()).map_err(OpenError::State)?;
        let last_good = saved.as_ref().map(|saved| saved.rollout.as_str());
        let reloaded = files.open_rollout(last_good).map_err(OpenError::Rollout)?;
        let saved = saved.unwrap_or_default();
        let live = Handle::new(Live {
            revision: saved.revision,
            deployment: Arc::clone(files.deployment()),
            rollouts: Arc::clone(files.rollouts()),
            plans: Vec::new(),
        });
        let record = Record::new(saved.last_event, desk.events.clone(), Arc::clone(&totals));
        let revision = files.revision(saved.revision);
        let mut control = Self {
            files,
            revision,
            migrations: Vec::new(),
            record,
            live,
            totals,
            desk,
            data_dir,
            origin,
            store_error: None,
        };
        control.count_reload(&reloaded);
        control.set_migrations(&saved.migrations);
        control.publish();
        control.show();
        Ok(control)
    }

    /// The configuration in force.
    pub fn live(&self) -> Handle {
        self.live.clone()
    }

    /// Runs until the last worker has made its last report. `nudged` tells that a file may have changed, `adopted` hears
    /// of every reload.
    pub async fn run(
        mut self,
        mut reports: mpsc::Receiver<Vec<Report>>,
        mut nudged: mpsc::Receiver<()>,
        adopted: impl Fn(&Files),
    ) {
        let mut beat = tokio::time::interval(TICK);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut beats = 0;
        self.save().await;
        loop {
            tokio::select! {
                biased;
                _ = beat.tick() => {
                    beats += 1;
                    self.tick(beats).await;
                }
                reported = reports.recv() => match reported {
                    Some(reports) => self.take(&reports),
                    None => break,
                },
                Some(ask) = self.desk.asks.recv() => self.answer(ask, &adopted).await,
                Some(()) = nudged.recv() => {
                    self.reload(&adopted).await;
                }
            }
        }
        self.show();
        self.save().await;
    }

    fn take(&mut self, reports: &[Report]) {
        let second = self.second();
        let mut totals = self.totals.lock();
        for report in reports {
            totals.add(report, second);
            if let Some(migration) = self.migrations.iter_mut().find(|it| it.name() == report.route.dependency) {
                migration.observe(report);
            }
        }
    }

    async fn tick(&mut self, beats: u64) {
        let (now, unix_s) = (self.now(), unix_now());
        for index in 0..self.migrations.len() {
            self.judge(index, now, unix_s).await;
        }
        if beats.is_multiple_of(SHOW_EACH) {
            self.show();
        }
        if beats.is_multiple_of(SAVE_EACH) {
            self.save().await;
        }
    }

    /// A step down is in force before it is saved, a step up is saved before it is in force: whenever the process dies, what
    /// the next one allows was allowed by this one.
    async fn judge(&mut self, index: usize, now: u64, unix_s: i64) {
        let before = self.migrations[index].remember();
        let outcome = self.migrations[index].tick(now, unix_s);
        if let Some(verdict) = outcome.verdict {
            self.count_verdict(index, &verdict);
        }
        if outcome.events.is_empty() {
            return;
        }
        let rises = self.migrations[index].ladder().allowed() > before.allowed();
        if rises && !self.save().await {
            self.migrations[index].put_back(before);
            return;
        }
        self.publish();
        let rollouts = Arc::clone(self.files.rollouts());
        let cause = Cause { evidence: outcome.evidence, ..self.cause(&rollouts) };
        self.record_all(index, &outcome.events, &cause);
        self.save().await;
        self.show();
    }

    async fn answer(&mut self, ask: Ask, adopted: &impl Fn(&Files)) {
        // Whoever asked may have left meanwhile; what was asked is done all the same.
        match ask {
            Ask::Order(order, answer) => {
                let done = self.order(&order).await;
                let _ = answer.send(done);
            }
            Ask::Reload(answer) => {
                let reloaded = self.reload(adopted).await;
                let reasons: Vec<String> = reloaded.failed.into_iter().map(|failure| failure.reason).collect();
                let _ = answer.send(if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n")) });
            }
        }
    }

    async fn order(&mut self, order: &Order) -> Result<Event, Refusal> {
        let Some(index) = self.migrations.iter().position(|it| it.name() == order.dependency) else {
            let known = self.migrations.iter().map(|it| it.name().to_owned()).collect();
            return Err(Refusal::UnknownDependency { name: order.dependency.clone(), known });
        };
        let (now, unix_s) = (self.now(), unix_now());
        if order.verb == Verb::Rollback && self.migrations[index].dependency().v1.is_none() {
            return Err(Refusal::NotNow("there is no V1 to go back to: crossfade.toml has no `v1`".to_owned()));
        }
        let events = self.migrations[index].order(now, |ladder| match order.verb {
            Verb::Approve => ladder.approve(),
            Verb::Pause => ladder.pause(unix_s),
            Verb::Resume => ladder.resume(unix_s),
            Verb::Rollback => ladder.rollback(unix_s),
        });
        self.publish();
        let rollouts = Arc::clone(self.files.rollouts());
        let cause = Cause { order: Some(order), ..self.cause(&rollouts) };
        let event = self.record_all(index, &events, &cause);
        self.save().await;
        self.show();
        event.ok_or_else(|| Refusal::NotNow(nothing_to_do(order.verb).to_owned()))
    }

    async fn reload(&mut self, adopted: &impl Fn(&Files)) -> Reloaded {
        let reloaded = self.files.reload();
        self.count_reload(&reloaded);
        let revision = self.files.revision(self.revision);
        if !reloaded.applied.is_empty() {
            self.revision = revision;
            let edits = self.set_migrations(&BTreeMap::new());
            adopted(&self.files);
            self.publish();
            let rollouts = Arc::clone(self.files.rollouts());
            for (index, events) in edits {
                self.record_all(index, &events, &self.cause(&rollouts));
            }
        }
        self.record_failures(&reloaded);
        self.show();
        self.save().await;
        reloaded
    }

    /// Fits the migrations to the configuration; what went on before goes on. Returns what changed, by index.
    fn set_migrations(&mut self, saved: &BTreeMap<String, SavedMigration>) -> Vec<(usize, Vec<gate::Event>)> {
        let (now, unix_s) = (self.now(), unix_now());
        let mut old = std::mem::take(&mut self.migrations);
        let mut edits = Vec::new();
        let dependencies: Vec<Arc<Dependency>> = self.files.deployment().dependencies.clone();
        for dependency in dependencies {
            let rollout = self.files.rollouts().entries.get(&dependency.name).cloned();
            let known = old.iter().position(|it| it.name() == dependency.name).map(|at| old.swap_remove(at));
            let (migration, events) = if let Some(mut known) = known {
                let events = known.edit(dependency, rollout, now, unix_s);
                (known, events)
            } else {
                let saved = saved.get(&dependency.name);
                Migration::new(dependency, rollout, saved, now, unix_s)
            };
            edits.push((self.migrations.len(), events));
            self.migrations.push(migration);
        }
        let deployment = self.files.deployment();
        self.record.retain(|name| deployment.dependencies.iter().any(|it| it.name == name));
        self.totals.lock().retain(|name, route| is_configured(deployment, name, route));
        edits.retain(|(_, events)| !events.is_empty());
        edits
    }

    /// Puts in force what files and ladders say; each request from now on sees all of it.
    fn publish(&self) {
        self.live.store(Live {
            revision: self.revision,
            deployment: Arc::clone(self.files.deployment()),
            rollouts: Arc::clone(self.files.rollouts()),
            plans: self.migrations.iter().map(|migration| Arc::new(migration.plan())).collect(),
        });
    }

    /// Saves the gate's state; `false` when it cannot be saved.
    async fn save(&mut self) -> bool {
        let state = Saved {
            revision: self.revision,
            last_event: self.record.last_id(),
            rollout: self.files.rollout_text().to_owned(),
            migrations: self.migrations.iter().map(|it| (it.name().to_owned(), it.save())).collect(),
        };
        let error = state::save(self.data_dir.gate_state(), state).await.err();
        if let Some(error) = error.as_ref().filter(|_| self.store_error.is_none()) {
            tracing::error!("the gate's state cannot be saved, nothing is promoted until it can: {error}");
        }
        self.store_error = error;
        self.store_error.is_none()
    }

    /// Nobody in particular: what the files say.
    fn cause<'a>(&self, rollouts: &'a Rollouts) -> Cause<'a> {
        Cause { evidence: None, order: None, change: rollouts.change.as_ref(), revision: self.revision }
    }

    fn record_all(&mut self, index: usize, events: &[gate::Event], cause: &Cause<'_>) -> Option<Event> {
        let second = self.second();
        let mut last = None;
        for event in events {
            let told = tell::event(&self.migrations[index], event, cause);
            last = Some(self.record.add(told, tell::rollback_reason(event), second));
        }
        last
    }

    /// Once for each file and reason; the same mistake read again is no news.
    fn record_failures(&mut self, reloaded: &Reloaded) {
        let second = self.second();
        for failure in reloaded.failed.iter().filter(|failure| failure.is_news) {
            self.record.add(tell::reload_failed(failure, self.revision), None, second);
        }
    }

    fn count_reload(&self, reloaded: &Reloaded) {
        let mut totals = self.totals.lock();
        for file in &reloaded.applied {
            let file = totals.files.entry(file).or_default();
            file.successes += 1;
            file.last_ok = true;
            file.last_success = Timestamp::now().as_millisecond() as f64 / 1000.0;
        }
        for failure in &reloaded.failed {
            let file = totals.files.entry(failure.file).or_default();
            file.failures += 1;
            file.last_ok = false;
        }
    }

    fn count_verdict(&self, index: usize, verdict: &gate::Verdict) {
        let name = self.migrations[index].name();
        let (kind, reason) = (verdict.kind.as_str(), verdict.reason.as_str());
        tracing::debug!(dependency = name, verdict = kind, reason, "the verdict changed");
        let mut totals = self.totals.lock();
        *totals.dependency(name, self.second()).verdicts.entry((kind, reason)).or_default() += 1;
    }

    /// Puts together what people and Prometheus see.
    fn show(&mut self) {
        let (second, unix_s) = (self.second(), unix_now());
        let mut totals = self.totals.lock();
        let mut dependencies = Vec::with_capacity(self.migrations.len());
        for migration in &self.migrations {
            let counted = totals.dependency(migration.name(), second);
            counted.rollout = Some(show::gauges(migration));
            dependencies.push(show::status(migration, counted, &self.record, second, unix_s));
        }
        drop(totals);
        self.desk.status.send_replace(Arc::new(Status {
            time: Timestamp::now(),
            revision: self.revision,
            files: self.files.status().clone(),
            store_error: self.store_error.clone(),
            dependencies,
        }));
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64 / TICK.as_millis() as u64
    }

    fn second(&self) -> u64 {
        self.origin.elapsed().as_secs()
    }
}

fn is_configured(deployment: &Deployment, dependency: &str, route: Option<&str>) -> bool {
    let found = deployment.dependencies.iter().find(|it| it.name == dependency);
    dependency == "none"
        || found.is_some_and(|found| route.is_none_or(|route| found.routes.iter().any(|it| it.name == route)))
}

fn nothing_to_do(verb: Verb) -> &'static str {
    match verb {
        Verb::Approve => "no step waits for an approval",
        Verb::Pause => "it is paused already",
        Verb::Resume => "it is neither paused nor rolled back",
        Verb::Rollback => "it is rolled back already, or its stage has nothing to roll back",
    }
}

fn unix_now() -> i64 {
    Timestamp::now().as_second()
}
