//! The loop of the control plane: what is reported, what time brings, what people ask, what files say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::drill::{self, Running, Traffic};
use super::files::{Files, Reloaded};
use super::journal::Journal;
use super::migration::{Effect, Migration, SavedMigration};
use super::minutes::Minutes;
use super::outbox::{Landed, Outbox};
use super::preview;
use super::recorder::Recorder;
use super::recording::{Config, Judged, Now, Record, Seen};
use super::replay;
use super::show;
use super::state::{self, Saved};
use super::tell::{self, Cause};
use crate::backend::Backend;
use crate::config::{Dependency, Deployment, Handle, Live, Problems, Rollouts};
use crate::console::{
    Ask, Desk, DrillOrder, Event, EventKind, Note, Order, PastVerdict, Preview, Refusal, Status, Verb,
};
use crate::gate;
use crate::percent::Percent;
use crate::revision::Revision;
use crate::store::{DataDir, Ledger, LedgerError, Reader};
use crate::telemetry::{LedgerTotals, Report, Totals, WINDOWS};

/// The time between two looks of the judge.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks of people: gauges, status, windows.
const SHOW_EACH: u64 = 5;
/// Ticks between two saves of evidence; what the gate allows is saved at once.
const SAVE_EACH: u64 = 50;
/// Whoever asked for something waits no longer than this for it to be recorded: it is in force already.
const PROMISE: Duration = Duration::from_secs(1);
/// At the end, the disk has this long to take what is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The control plane.
pub struct Control {
    files: Files,
    revision: Revision,
    migrations: Vec<Migration>,
    record: Journal,
    live: Handle,
    totals: Arc<Totals>,
    desk: Desk,
    outbox: Outbox,
    minutes: Minutes,
    recorder: Recorder,
    /// By dependency: grows when anything about it changes that the recording does not hold.
    generations: BTreeMap<String, (Arc<Dependency>, u64)>,
    ledger: Reader,
    last_verdict: u64,
    /// Those who asked for something, and are told once it is recorded.
    promises: Vec<Promise>,
    origin: Instant,
    /// Nobody else writes there while this is held.
    _data_dir: DataDir,
}

/// An answer that is given when a batch is on the disk; or without it, when that takes too long.
struct Promise {
    batch: u64,
    since: Instant,
    keep: Box<dyn FnOnce() + Send>,
}

/// Why the control plane cannot begin.
#[derive(Debug)]
pub enum OpenError {
    /// The rollout file is invalid, and there is no earlier content of it.
    Rollout(Problems),
    /// The ledger cannot be used.
    Ledger(LedgerError),
}

impl Control {
    /// Restores what was saved, reads the rollout file, and puts both in force.
    ///
    /// # Errors
    /// As [`OpenError`] tells.
    pub async fn open(
        mut files: Files,
        data_dir: DataDir,
        desk: Desk,
        totals: Arc<Totals>,
        origin: Instant,
    ) -> Result<Self, OpenError> {
        let (ledger, found) = Ledger::open(&data_dir).map_err(OpenError::Ledger)?;
        let saved = found.state.as_deref().and_then(state::read);
        let last_good = saved.as_ref().map(|saved| saved.rollout.as_str());
        let reloaded = files.open_rollout(last_good).map_err(OpenError::Rollout)?;
        let saved = saved.unwrap_or_default();
        let live = Handle::new(Live {
            revision: saved.revision,
            deployment: Arc::clone(files.deployment()),
            rollouts: Arc::clone(files.rollouts()),
            plans: Vec::new(),
        });
        let reader = ledger.reader();
        let last_event = state::first_numbers_after(found.last_event.max(saved.last_event), &found);
        let record = Journal::new(last_event, state::past_events(&reader), desk.events.clone(), Arc::clone(&totals));
        let revision = files.revision(saved.revision);
        let mut control = Self {
            files,
            revision,
            migrations: Vec::new(),
            record,
            live,
            totals,
            desk,
            outbox: Outbox::new(ledger, found.unavailable.clone()),
            minutes: Minutes::default(),
            recorder: Recorder::default(),
            generations: BTreeMap::new(),
            ledger: reader,
            last_verdict: state::first_numbers_after(found.last_verdict, &found),
            promises: Vec::new(),
            origin,
            _data_dir: data_dir,
        };
        control.count_reload(&reloaded);
        control.set_migrations(saved.migrations, true);
        control.save();
        // A disk that does not answer holds up nothing but what has to be recorded first.
        if let Ok(landed) = tokio::time::timeout(PROMISE, control.outbox.landed()).await {
            control.land(landed);
        }
        control.publish();
        control.show();
        Ok(control)
    }

    /// The ledger, to be read.
    pub fn ledger(&self) -> Reader {
        self.ledger.clone()
    }

    /// The configuration in force.
    pub fn live(&self) -> Handle {
        self.live.clone()
    }

    /// Runs until the last worker has made its last report. `nudged` tells that a file may have changed, `applied` hears
    /// of what was applied.
    pub async fn run(
        mut self,
        mut reports: mpsc::Receiver<Vec<Report>>,
        mut nudged: mpsc::Receiver<()>,
        applied: impl Fn(&Files),
    ) {
        let mut beat = tokio::time::interval(TICK);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut beats = 0;
        self.save();
        loop {
            tokio::select! {
                biased;
                _ = beat.tick() => {
                    beats += 1;
                    self.tick(beats);
                }
                landed = self.outbox.landed() => self.land(landed),
                reported = reports.recv() => match reported {
                    Some(reports) => self.take(&reports),
                    None => break,
                },
                Some(ask) = self.desk.asks.recv() => self.answer(ask, &applied),
                Some(()) = nudged.recv() => {
                    self.reload(&applied);
                }
            }
        }
        self.end().await;
    }

    /// The last state goes to the disk, and who waits for an answer gets it.
    async fn end(mut self) {
        self.show();
        let names: Vec<&str> = self.migrations.iter().map(Migration::name).collect();
        for minute in self.minutes.take_rest(&names) {
            self.outbox.minute(minute);
        }
        self.outbox.urge();
        let last = self.outbox.next();
        let everything = async {
            loop {
                self.pump();
                let landed = self.outbox.landed().await;
                let is_last = landed.number >= last || landed.written.is_err();
                self.land(landed);
                if is_last {
                    break;
                }
            }
        };
        if tokio::time::timeout(LAST_WORDS, everything).await.is_err() {
            tracing::error!("the disk did not take the last state");
        }
    }

    /// A batch is on the disk, or is not.
    fn land(&mut self, Landed { number, written }: Landed) {
        if let Ok(events) = written {
            self.take_effect(number);
            for event in events {
                self.record.announce(event);
            }
        } else {
            let mut ids = Vec::new();
            for (index, migration) in self.migrations.iter_mut().enumerate() {
                if let Some(withdrawn) = migration.failed(number) {
                    self.recorder.put(&Record::Fell(index));
                    ids.extend(withdrawn);
                }
            }
            self.outbox.withdraw(&ids);
            self.record.withdraw(&ids);
            self.show();
        }
        self.keep_promises(|promise| promise.batch <= number);
        self.pump();
    }

    /// What waited for this batch is in force.
    fn take_effect(&mut self, batch: u64) {
        let now = self.moment();
        let mut is_news = false;
        for (index, migration) in self.migrations.iter_mut().enumerate() {
            let effect = migration.landed(batch, now.tick);
            is_news |= effect != Effect::None;
            if effect == Effect::Risen {
                self.recorder.put(&Record::Risen(now, index));
            }
        }
        if is_news {
            self.publish();
            self.show();
        }
    }

    fn keep_promises(&mut self, is_due: impl Fn(&Promise) -> bool) {
        let (due, left) = std::mem::take(&mut self.promises).into_iter().partition(is_due);
        self.promises = left;
        let due: Vec<Promise> = due;
        for promise in due {
            (promise.keep)();
        }
    }

    /// Answers when what was done is recorded.
    fn promise(&mut self, keep: impl FnOnce() + Send + 'static) {
        let promise = Promise { batch: self.outbox.next(), since: Instant::now(), keep: Box::new(keep) };
        self.promises.push(promise);
        self.save();
    }

    fn take(&mut self, reports: &[Report]) {
        let second = self.second();
        let mut totals = self.totals.lock();
        for report in reports {
            totals.add(report, second);
            self.minutes.count(report);
            if let Some(migration) = self.migrations.iter_mut().find(|it| it.name() == report.route.dependency) {
                migration.observe(report);
            }
        }
    }

    fn tick(&mut self, beats: u64) {
        let moment = self.moment();
        let unix_s = moment.unix_s;
        let may_rise = self.outbox.trouble().is_none();
        self.record_tick(moment, may_rise);
        for index in 0..self.migrations.len() {
            self.judge(index, moment, may_rise);
        }
        self.end_drills(moment);
        let names: Vec<&str> = self.migrations.iter().map(Migration::name).collect();
        for minute in self.minutes.take_ended(unix_s, &names) {
            self.outbox.minute(minute);
        }
        if beats.is_multiple_of(SHOW_EACH) {
            self.show();
        }
        if beats.is_multiple_of(SAVE_EACH) {
            self.outbox.urge();
        }
        self.keep_promises(|promise| promise.since.elapsed() > PROMISE);
        self.pump();
    }

    /// A step down is in force before it is saved, a step up is saved before it is in force: whenever the process dies, what
    /// the next one allows was allowed by this one.
    fn judge(&mut self, index: usize, now: Now, may_rise: bool) {
        let outcome = self.migrations[index].tick(now.tick, now.unix_s, may_rise);
        if let Some(verdict) = outcome.verdict {
            self.count_verdict(index, &verdict);
        }
        if outcome.events.is_empty() {
            return;
        }
        if outcome.rise.is_none() {
            self.publish();
        }
        if let Some(drill) = self.migrations[index].drill_mut() {
            drill.hear(&outcome.events);
        }
        let rollouts = Arc::clone(self.files.rollouts());
        let cause = Cause { evidence: outcome.evidence, ..self.cause(&rollouts) };
        let batch = self.outbox.next();
        let told = self.record_all(index, &outcome.events, &cause);
        if outcome.rise.is_some() {
            self.migrations[index].begin_rise(batch, told.iter().map(|event| event.id).collect());
        }
        self.save();
        self.show();
    }

    fn answer(&mut self, ask: Ask, applied: &impl Fn(&Files)) {
        // Whoever asked may have left meanwhile; what was asked is done all the same.
        match ask {
            Ask::Order(order, answer) => {
                let done = self.order(&order);
                self.promise(|| drop(answer.send(done)));
            }
            Ask::Drill(order, answer) => {
                let begun = self.drill(&order);
                self.promise(|| drop(answer.send(begun)));
            }
            Ask::Note(note, answer) => {
                let noted = self.note(note);
                self.promise(|| drop(answer.send(noted)));
            }
            Ask::Plan(rollout, answer) => drop(answer.send(self.plan(&rollout))),
            Ask::Reload(answer) => {
                let reloaded = self.reload(applied);
                let reasons: Vec<String> = reloaded.failed.into_iter().map(|failure| failure.reason).collect();
                self.promise(move || {
                    drop(answer.send(if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n")) }));
                });
            }
        }
    }

    fn find(&self, name: &str) -> Result<usize, Refusal> {
        self.migrations.iter().position(|it| it.name() == name).ok_or_else(|| {
            let known = self.migrations.iter().map(|it| it.name().to_owned()).collect();
            Refusal::UnknownDependency { name: name.to_owned(), known }
        })
    }

    /// Begins a drill.
    fn drill(&mut self, order: &DrillOrder) -> Result<Event, Refusal> {
        let index = self.find(&order.dependency)?;
        let migration = &self.migrations[index];
        drill::check(order, migration, self.traffic(migration.name()))?;
        let event = self.note_of(index, EventKind::Drill, order.by.clone(), drill::warning(order, migration));
        self.migrations[index].begin_drill(Running::begin(order, event.id));
        self.publish();
        self.show();
        Ok(event)
    }

    /// V2's calls per second in the last minute.
    fn traffic(&self, name: &str) -> Traffic {
        let second = self.second();
        let mut totals = self.totals.lock();
        let counted = totals.dependency(name, second);
        let seconds = (WINDOWS[0].1 as f64).min(second.max(1) as f64);
        let primaries = counted.primaries.sum(second, 0).rich as f64 / seconds;
        let all = counted.backends[Backend::V2 as usize].sum(second, 0).samples() as f64 / seconds;
        Traffic { shadows: (all - primaries).max(0.0), primaries }
    }

    /// Takes out faults whose time is over, and the evidence that they spoiled.
    fn end_drills(&mut self, now: Now) {
        for index in 0..self.migrations.len() {
            if self.migrations[index].drill_mut().is_some_and(Running::end_if_due) {
                self.publish();
                self.recorder.put(&Record::Forgotten(now, index));
                self.migrations[index].forget_evidence(now.tick);
                let result = self.migrations[index].drill().map(Running::result).unwrap_or_default();
                self.note_of(index, EventKind::Drill, Some("crossfade".to_owned()), result);
                self.save();
                self.show();
            }
        }
    }

    fn note(&mut self, note: Note) -> Result<Event, Refusal> {
        let index = self.find(&note.dependency)?;
        let event = self.note_of(index, note.kind, note.by, note.text);
        self.show();
        Ok(event)
    }

    fn note_of(&mut self, index: usize, kind: EventKind, by: Option<String>, text: String) -> Event {
        let event = tell::note(&self.migrations[index], kind, (by, text), self.revision);
        self.record(event, None)
    }

    fn order(&mut self, order: &Order) -> Result<Event, Refusal> {
        let index = self.find(&order.dependency)?;
        let moment = self.moment();
        let Now { tick: now, unix_s } = moment;
        if order.verb == Verb::Rollback && self.migrations[index].dependency().v1.is_none() {
            return Err(Refusal::NotNow("there is no V1 to go back to: crossfade.toml has no `v1`".to_owned()));
        }
        self.recorder.put(&Record::Order(moment, index, order.verb));
        let (migration, batch) = (&mut self.migrations[index], self.outbox.next());
        let before = migration.in_force();
        let events = migration.order(now, unix_s, order.verb);
        migration.hold_back(before, batch);
        self.publish();
        let rollouts = Arc::clone(self.files.rollouts());
        let cause = Cause { order: Some(order), ..self.cause(&rollouts) };
        let event = self.record_all(index, &events, &cause).pop();
        self.show();
        event.ok_or_else(|| Refusal::NotNow(nothing_to_do(order.verb).to_owned()))
    }

    /// What would change if the rollout file had this content.
    fn plan(&self, rollout: &str) -> Result<Vec<Preview>, String> {
        let new = self.files.try_rollouts(rollout)?;
        let (second, unix_s) = (self.second(), unix_now());
        let mut totals = self.totals.lock();
        let previews = self.migrations.iter().map(|migration| {
            let (name, seconds) = (migration.name(), WINDOWS[1].1 as f64);
            let seen = totals.dependency(name, second).primaries.sum(second, 1).samples();
            let rate = (seen > 0).then(|| seen as f64 / seconds.min(second.max(1) as f64));
            preview::preview(migration, new.entries.get(name).map(AsRef::as_ref), rate, unix_s)
        });
        Ok(previews.collect())
    }

    fn reload(&mut self, applied: &impl Fn(&Files)) -> Reloaded {
        let reloaded = self.files.reload();
        self.count_reload(&reloaded);
        let revision = self.files.revision(self.revision);
        if !reloaded.applied.is_empty() {
            self.revision = revision;
            let edits = self.set_migrations(BTreeMap::new(), false);
            applied(&self.files);
            self.publish();
            let rollouts = Arc::clone(self.files.rollouts());
            for (index, events) in edits {
                self.record_all(index, &events, &self.cause(&rollouts));
            }
        }
        self.record_failures(&reloaded);
        self.save();
        self.show();
        reloaded
    }

    /// Fits the migrations to the configuration; what went on before goes on. Returns what changed, by index.
    fn set_migrations(
        &mut self,
        saved: BTreeMap<String, SavedMigration>,
        is_first: bool,
    ) -> Vec<(usize, Vec<gate::Event>)> {
        let moment = self.moment();
        let Now { tick: now, unix_s } = moment;
        let mut old = std::mem::take(&mut self.migrations);
        let mut edits = Vec::new();
        let dependencies: Vec<Arc<Dependency>> = self.files.deployment().dependencies.clone();
        for dependency in dependencies {
            let rollout = self.files.rollouts().entries.get(&dependency.name).cloned();
            let known = old.iter().position(|it| it.name() == dependency.name).map(|at| old.swap_remove(at));
            let (migration, events) = if let Some(mut known) = known {
                let before = known.in_force();
                let events = known.edit(dependency, rollout, now, unix_s);
                known.hold_back(before, self.outbox.next());
                (known, events)
            } else {
                let saved = saved.get(&dependency.name);
                let before = saved.map_or(Percent::ZERO, SavedMigration::effective);
                let (mut new, events) = Migration::new(dependency, rollout, saved, now, unix_s);
                new.hold_back(before, self.outbox.next());
                (new, events)
            };
            edits.push((self.migrations.len(), events));
            self.migrations.push(migration);
        }
        let deployment = self.files.deployment();
        self.record.retain(|name| deployment.dependencies.iter().any(|it| it.name == name));
        self.totals.lock().retain(|name, route| is_configured(deployment, name, route));
        edits.retain(|(_, events)| !events.is_empty());
        let config = self.config(moment, saved);
        if is_first {
            self.recorder.begin(config);
        } else {
            self.recorder.put(&Record::Edit(config));
        }
        edits
    }

    /// For the recording: what the judges go by.
    fn config(&mut self, now: Now, saved: BTreeMap<String, SavedMigration>) -> Config {
        let dependencies = &self.files.deployment().dependencies;
        let judged = dependencies.iter().map(|dependency| {
            let known = self.generations.entry(dependency.name.clone()).or_insert_with(|| (Arc::clone(dependency), 0));
            let is_same = known.0.differs_in_secrets_only(dependency);
            *known = (Arc::clone(dependency), known.1 + u64::from(!is_same));
            Judged::new(dependency, known.1)
        });
        let dependencies = judged.collect();
        Config { now, rollout: self.files.rollout_text().to_owned(), dependencies, saved, continues: false }
    }

    /// What the judges are about to be told; a new file begins where the old one is full.
    fn record_tick(&mut self, now: Now, may_rise: bool) {
        if self.recorder.is_full() {
            let saved = self.migrations.iter().map(|it| (it.name().to_owned(), it.save())).collect();
            let continues = !self.recorder.has_gap();
            let config = self.config(now, saved);
            self.recorder.begin(Config { continues, ..config });
        }
        let seen = self.migrations.iter().enumerate().flat_map(|(dependency, migration)| {
            migration.seen().map(move |(route, start, counts)| Seen { dependency, route, start, counts })
        });
        self.recorder.put(&Record::Tick(now, may_rise, seen.collect()));
    }

    fn moment(&self) -> Now {
        Now { tick: self.now(), unix_s: unix_now() }
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

    /// Has everything recorded as soon as the disk can.
    fn save(&mut self) {
        self.outbox.urge();
        self.pump();
    }

    fn pump(&mut self) {
        if !self.outbox.is_due() {
            return;
        }
        let state = Saved {
            revision: self.revision,
            last_event: self.record.last_id(),
            rollout: self.files.rollout_text().to_owned(),
            migrations: self.migrations.iter().map(|it| (it.name().to_owned(), it.save())).collect(),
        };
        self.outbox.send(state::write(&state), self.recorder.take());
    }

    /// Nobody in particular: what the files say.
    fn cause<'a>(&self, rollouts: &'a Rollouts) -> Cause<'a> {
        Cause { evidence: None, order: None, change: rollouts.change.as_ref(), revision: self.revision }
    }

    fn record_all(&mut self, index: usize, events: &[gate::Event], cause: &Cause<'_>) -> Vec<Event> {
        let told = |event| (tell::event(&self.migrations[index], event, cause), tell::rollback_reason(event));
        let told: Vec<_> = events.iter().map(told).collect();
        told.into_iter().map(|(event, rolled_back)| self.record(event, rolled_back)).collect()
    }

    fn record(&mut self, event: Event, rolled_back: Option<&'static str>) -> Event {
        let event = self.record.add(event, rolled_back, self.second());
        self.outbox.event(event.clone());
        event
    }

    /// Once for each file and reason; the same mistake read again is no news.
    fn record_failures(&mut self, reloaded: &Reloaded) {
        for failure in reloaded.failed.iter().filter(|failure| failure.is_news) {
            self.record(tell::reload_failed(failure, self.revision), None);
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

    fn count_verdict(&mut self, index: usize, verdict: &gate::Verdict) {
        let migration = &self.migrations[index];
        let name = migration.name();
        if let Some(judge) = migration.judge() {
            self.last_verdict += 1;
            self.recorder.put(&Record::Verdict(index, replay::said(verdict)));
            self.outbox.verdict(PastVerdict {
                id: self.last_verdict,
                time: Timestamp::now(),
                dependency: name.to_owned(),
                revision: self.revision,
                allowed: migration.ladder().allowed(),
                verdict: show::verdict(judge, verdict),
            });
        }
        let (kind, reason) = (verdict.kind.as_str(), verdict.reason.as_str());
        tracing::debug!(dependency = name, verdict = kind, reason, "the verdict changed");
        let mut totals = self.totals.lock();
        *totals.dependency(name, self.second()).verdicts.entry((kind, reason)).or_default() += 1;
    }

    /// Puts together what people and Prometheus see.
    fn show(&mut self) {
        let (second, unix_s) = (self.second(), unix_now());
        let mut totals = self.totals.lock();
        let ((waiting, lost), trouble) = (self.outbox.waiting_and_lost(), self.outbox.trouble());
        totals.ledger = Some(LedgerTotals { is_writable: trouble.is_none(), waiting, lost });
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
            store_error: trouble,
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
