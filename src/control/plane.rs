//! The loop of the control plane: what is reported, what time brings, what people ask, what files say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::clock::{Clock, TICK};
use super::files::Files;
use super::journal::Journal;
use super::migration::{Effect, Migration};
use super::minutes::Minutes;
use super::outbox::{Landed, Outbox};
use super::recorder::Recorder;
use super::recording::{Now, Record};
use super::show;
use super::state::{self, Saved};
use super::tell::{self, Cause};
use crate::config::{Dependency, Handle, Live, Problems};
use crate::console::{DependencyStatus, Desk, Status};
use crate::revision::Revision;
use crate::store::{DataDir, Found, Ledger, LedgerError, Reader};
use crate::telemetry::{LedgerTotals, Report, Totals};

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
    pub(super) files: Files,
    pub(super) revision: Revision,
    pub(super) migrations: Vec<Migration>,
    pub(super) record: Journal,
    pub(super) live: Handle,
    pub(super) totals: Arc<Totals>,
    pub(super) desk: Desk,
    pub(super) outbox: Outbox,
    pub(super) minutes: Minutes,
    pub(super) recorder: Recorder,
    /// By dependency: grows when anything about it changes that the recording does not hold.
    pub(super) generations: BTreeMap<String, (Arc<Dependency>, u64)>,
    pub(super) ledger: Reader,
    pub(super) last_verdict: u64,
    /// Those who asked for something, and are told once it is recorded.
    pub(super) promises: Vec<Promise>,
    pub(super) clock: Clock,
}

/// An answer that is given when a batch is on the disk; or without it, when that takes too long.
pub(super) struct Promise {
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
        files: Files,
        data_dir: DataDir,
        desk: Desk,
        totals: Arc<Totals>,
        origin: std::time::Instant,
    ) -> Result<Self, OpenError> {
        let opened = Ledger::open(&data_dir).map_err(OpenError::Ledger)?;
        Self::begin(files, opened, desk, totals, Clock::since(origin)).await
    }

    /// The same with a ledger that is open.
    pub(super) async fn begin(
        mut files: Files,
        (ledger, found): (Ledger, Found),
        desk: Desk,
        totals: Arc<Totals>,
        clock: Clock,
    ) -> Result<Self, OpenError> {
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
        let past = state::past_events(&found.past);
        let record = Journal::new(last_event, past, desk.events.clone(), Arc::clone(&totals));
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
            clock,
        };
        control.count_reload(&reloaded);
        let edits = control.set_migrations(saved.migrations, true);
        control.record_edits(edits);
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
    pub(super) async fn end(mut self) {
        self.show();
        let names: Vec<&str> = self.migrations.iter().map(Migration::name).collect();
        for minute in self.minutes.take_rest(&names) {
            self.outbox.minute(minute);
        }
        self.outbox.hurry();
        let last = self.outbox.next();
        let everything = async {
            loop {
                self.pump();
                let landed = self.outbox.landed().await;
                let is_last = landed.number >= last || (landed.written.is_none() && landed.found.is_none());
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
    pub(super) fn land(&mut self, Landed { number, written, found }: Landed) {
        if let Some(events) = written {
            self.take_effect(number);
            for event in events {
                self.record.announce(event);
            }
        } else {
            self.withdraw_rises(number);
            self.show();
        }
        if let Some(found) = found {
            self.adopt(&found);
        }
        self.keep_promises(|promise| promise.batch <= number);
        self.pump();
    }

    /// Steps up that could not be recorded do not happen. Their events have numbers, which say so now: a gap would look like
    /// a loss, and nobody knows what of the batch is on the disk.
    fn withdraw_rises(&mut self, batch: u64) {
        let why = self.outbox.trouble().unwrap_or_else(|| "it was just opened again".to_owned());
        let second = self.second();
        for (index, migration) in self.migrations.iter_mut().enumerate() {
            let Some(events) = migration.failed(batch) else { continue };
            self.recorder.put(&Record::Fell(index));
            for event in events {
                let instead = tell::not_risen(event, &why);
                self.record.replace(&instead, second);
                self.outbox.replace(instead);
            }
        }
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
    pub(super) fn promise(&mut self, keep: impl FnOnce() + Send + 'static) {
        let promise = Promise { batch: self.outbox.next(), since: Instant::now(), keep: Box::new(keep) };
        self.promises.push(promise);
        self.save();
    }

    pub(super) fn take(&mut self, reports: &[Report]) {
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

    pub(super) fn tick(&mut self, beats: u64) {
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
        let rested = self.migrations[index].rests();
        let outcome = self.migrations[index].tick(now.tick, now.unix_s, may_rise);
        if let Some(verdict) = outcome.verdict {
            self.count_verdict(index, &verdict);
        }
        if rested != self.migrations[index].rests() {
            self.publish();
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
        if outcome.rise.is_some() {
            let told = self.record_rise(index, &outcome.events, &cause);
            self.migrations[index].begin_rise(batch, told);
        } else {
            self.record_all(index, &outcome.events, &cause);
        }
        self.save();
        self.show();
    }

    pub(super) fn moment(&self) -> Now {
        self.clock.now()
    }

    /// Puts in force what files and ladders say; each request from now on sees all of it.
    pub(super) fn publish(&self) {
        self.live.store(Live {
            revision: self.revision,
            deployment: Arc::clone(self.files.deployment()),
            rollouts: Arc::clone(self.files.rollouts()),
            plans: self.migrations.iter().map(|migration| Arc::new(migration.plan())).collect(),
        });
    }

    /// Has everything recorded as soon as the disk can.
    pub(super) fn save(&mut self) {
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

    /// Puts together what people and Prometheus see.
    pub(super) fn show(&mut self) {
        let (second, unix_s) = (self.second(), self.clock.unix_s());
        for event in self.migrations.iter_mut().flat_map(Migration::take_happened) {
            self.record.confirm(&event, second);
        }
        let mut totals = self.totals.lock();
        let ((waiting, lost), trouble) = (self.outbox.waiting_and_lost(), self.outbox.trouble());
        totals.ledger = Some(LedgerTotals { is_writable: trouble.is_none(), waiting, lost });
        let rules = totals.lane.poisoned(std::time::Instant::now());
        let mut dependencies = Vec::with_capacity(self.migrations.len());
        for migration in &self.migrations {
            let counted = totals.dependency(migration.name(), second);
            counted.rollout = Some(show::gauges(migration));
            let status = show::status(migration, counted, &self.record, second, unix_s);
            let poisoned_rules = show::poisoned(&rules, migration.name());
            dependencies.push(DependencyStatus { poisoned_rules, ..status });
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

    pub(super) fn second(&self) -> u64 {
        self.clock.second()
    }
}
