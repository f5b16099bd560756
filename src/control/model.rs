//! The control plane driven at random, with its journal, its outbox and a real ledger on a disk that stops, fills up and
//! forgets: traffic, edits, verbs, drills, crashes at any operation of the disk, hand-overs to the next process, disks that are
//! away at the start and come back, a calendar that jumps.
//!
//! What has to hold at every instant: V2 serves no more than people wrote, than the ladder allows, and than is recorded; no
//! evidence is from before its epoch; no fault is injected but by a drill that is under way. After a crash or a hand-over: no
//! more than was recorded, no drill, and none of the fallbacks that one made. Once a disk is back: what people said before
//! holds, where they said nothing since. At the end: a collapse leads to 0 or a freeze, whatever went before; every event that
//! was told is in the ledger once, under a number of its own, without a gap but where a disk was away; and the recording leads
//! to the same verdicts again.

mod process;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, oneshot};

use self::process::{DEPLOYMENT, ENTRIES, NOON, report, start, write_entry};
use self::step::{Step, step};
use super::clock::TICK;
use super::files::Files;
use super::migration::Migration;
use super::outbox::Landed;
use super::plane::Control;
use super::replay::backtest;
use crate::config::{Fault, Struck};
use crate::console::{Ask, DrillOrder, Event, Order, Verb};
use crate::gate::{Evidence, Kind, Mode};
use crate::percent::Percent;
use crate::stage::{Phase, Stage};
use crate::store::{Disk, Span};

struct Model<'a> {
    runtime: &'a Runtime,
    folder: tempfile::TempDir,
    disk: Disk,
    calendar: Arc<AtomicI64>,
    /// Absent between two processes only.
    control: Option<Control>,
    events: broadcast::Receiver<Arc<Event>>,
    /// Events that somebody was told of, because they are in the ledger.
    told: BTreeMap<u64, Event>,
    beats: u64,
    /// Requests that V2 answered in this process, by the tick in which they began.
    answered: BTreeMap<u64, u64>,
    /// Edits in this process, each of which sets the judge's clock.
    edits: u64,
    goes_on: bool,
    /// Fallbacks of V2 in any process, but for those that a drill made.
    honest: u64,
    /// The tick in which the last drill of this process was over.
    drilled: u64,
    /// What this process knows to be recorded: V2 may serve as much.
    recorded: Percent,
    /// What the disk has.
    kept: Kept,
    /// The batch at the disk.
    flying: (u64, Kept),
    /// People resumed, or changed the entry, since this process began.
    has_spoken: bool,
    entry: usize,
    /// Numbers of events jumped ahead.
    has_jumped: bool,
}

/// What a batch records.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// V2 may serve as much.
    percent: Percent,
    /// Rolled back, or paused.
    is_latched: bool,
    /// What people wrote, by its place among the entries.
    entry: usize,
}

impl<'a> Model<'a> {
    fn new(runtime: &'a Runtime, entry: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(folder.path().join("crossfade.toml"), DEPLOYMENT).expect("the folder is writable");
        write_entry(folder.path(), entry);
        let (disk, calendar) = (Disk::default(), Arc::new(AtomicI64::new(NOON)));
        let (control, events) = start(runtime, folder.path(), &disk, &calendar);
        let mut model = Self {
            runtime,
            folder,
            disk,
            calendar,
            control: Some(control),
            events,
            told: BTreeMap::new(),
            beats: 0,
            answered: BTreeMap::new(),
            edits: 0,
            goes_on: false,
            honest: 0,
            drilled: 0,
            recorded: Percent::ZERO,
            kept: Kept { entry, ..Kept::default() },
            flying: (0, Kept::default()),
            has_spoken: false,
            entry,
            has_jumped: false,
        };
        model.look();
        model
    }

    fn control(&self) -> &Control {
        self.control.as_ref().expect("a process runs")
    }

    fn control_mut(&mut self) -> &mut Control {
        self.control.as_mut().expect("a process runs")
    }

    fn migration(&self) -> &Migration {
        &self.control().migrations[0]
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Traffic { ticks, requests, v1, rich } => (0..ticks).for_each(|_| self.tick(requests, v1, rich)),
            Step::Edit(entry) => {
                write_entry(self.folder.path(), entry);
                self.entry = entry;
                self.edits += 1;
                self.has_spoken = true;
                let (answer, _) = oneshot::channel();
                self.ask(Ask::Reload(answer));
            }
            Step::Verb(verb) => self.verb(verb),
            Step::Drill(ticks) => self.drill(ticks),
            Step::Land { is_full } => self.land(is_full),
            Step::Crash { operations, survives, is_away } => self.crash(operations, survives, is_away),
            Step::Mount => self.disk.unmount(false),
            Step::HandOver { is_full } => self.hand_over(is_full),
            Step::Jump(seconds) => {
                self.calendar.fetch_add(seconds, Ordering::Relaxed);
            }
        }
        self.look();
    }

    fn tick(&mut self, requests: u32, v1: u32, rich: u32) {
        self.runtime.block_on(tokio::time::advance(TICK));
        self.beats += 1;
        self.calendar.fetch_add(i64::from(self.beats.is_multiple_of(10)), Ordering::Relaxed);
        let start = self.control().moment().tick.saturating_sub(1);
        if requests > 0 {
            let is_drilled = self.control().live.load().plans[0].drill.is_some();
            let rich = if is_drilled { 0 } else { requests * rich / 100 };
            self.honest += if is_drilled { 0 } else { u64::from(requests - rich) };
            self.control_mut().take(&[report(start, requests, requests * v1 / 100, rich)]);
            *self.answered.entry(start).or_default() += u64::from(requests);
        }
        let beats = self.beats;
        self.control_mut().tick(beats);
        self.look();
    }

    fn ask(&mut self, ask: Ask) {
        self.control_mut().answer(ask, &|_: &Files| {});
    }

    fn drill(&mut self, ticks: u32) {
        let (fault, by) = (Fault::Errors(Percent::HUNDRED), None);
        let (dependency, share, lasts) = ("recs".to_owned(), Percent::HUNDRED, ticks * TICK);
        let (answer, _) = oneshot::channel();
        self.ask(Ask::Drill(DrillOrder { dependency, fault, share, struck: Struck::Shadows, lasts, by }, answer));
    }

    fn verb(&mut self, verb: Verb) {
        let order = Order { dependency: "recs".to_owned(), verb, by: None, reason: None };
        let (answer, _) = oneshot::channel();
        self.has_spoken |= verb == Verb::Resume;
        self.ask(Ask::Order(order, answer));
        let plan = self.migration();
        if verb == Verb::Rollback && plan.ladder().plan().stage == Stage::Cutover {
            assert_eq!(plan.in_force(), Percent::ZERO, "people are obeyed at once, whatever the disk does");
        }
    }

    /// The batch at the disk is written, or is not.
    fn land(&mut self, is_full: bool) {
        if self.flying.0 != 0 {
            self.disk.fill(is_full);
            self.disk.go_on(None);
            let control = self.control.as_mut().expect("a process runs");
            let landed = self.runtime.block_on(control.outbox.landed());
            self.disk.go_on(Some(0));
            self.disk.fill(false);
            self.take_landed(landed);
        }
    }

    fn take_landed(&mut self, landed: Landed) {
        if landed.written.is_some() {
            self.kept = self.flying.1;
            self.recorded = self.kept.percent;
        }
        self.flying = (0, Kept::default());
        let is_found = landed.found.is_some();
        if is_found {
            // What is gone on with is the evidence of another process, and its epoch.
            self.drilled = 0;
        }
        self.control_mut().land(landed);
        if is_found && self.kept.is_latched && !self.has_spoken {
            assert!(self.migration().save().is_latched(), "what people said before holds");
        }
    }

    fn to_keep(&self) -> Kept {
        let saved = self.migration().save();
        Kept { percent: saved.effective(), is_latched: saved.is_latched(), entry: self.entry }
    }

    /// Notices what was sent and told, and checks what has to hold.
    fn look(&mut self) {
        let next = self.control().outbox.next();
        if self.control().outbox.is_flying() && self.flying.0 != next {
            self.flying = (next, self.to_keep());
        }
        self.hear();
        let migration = self.migration();
        let live = self.control().live.load();
        let (ladder, in_force, plan) = (migration.ladder(), live.plans[0].effective, &live.plans[0]);
        assert!(in_force <= ladder.ceiling(), "{in_force} % is more than people wrote");
        assert!(in_force <= ladder.allowed(), "{in_force} % is more than is allowed");
        assert!(in_force <= self.recorded, "{in_force} % is in force, and {} % is recorded", self.recorded);
        let is_drilled = migration.drill().is_some_and(|drill| drill.in_force().is_some());
        assert_eq!(plan.drill.is_some(), is_drilled, "a fault is in force as long as its drill");
        let sample = plan.rollout.as_ref().map(|rollout| rollout.sample);
        assert!(!migration.rests() || sample == Some(Percent::ZERO), "what hurts V1 is shed");
        self.check_evidence();
    }

    fn hear(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let event = Event::clone(&event);
            assert!(self.told.insert(event.id, event).is_none(), "an event is told once");
        }
    }

    fn check_evidence(&mut self) {
        let is_drilled = self.control().live.load().plans[0].drill.is_some();
        if is_drilled {
            self.drilled = self.control().moment().tick;
        }
        let Some(judge) = self.migration().judge() else { return };
        let has_spoiled = !is_drilled && self.drilled > 0 && judge.is_of_epoch(self.drilled);
        assert!(!has_spoiled, "what was seen during a drill is forgotten");
        let evidence = judge.verdict().evidence;
        if self.goes_on {
            return;
        }
        // An edit that keeps the evidence sets the judge's clock, which is two ticks behind, to the present.
        let is_of_epoch = |start: u64| judge.is_of_epoch(start + 3 * self.edits);
        let of_epoch: u64 = self.answered.iter().filter(|(start, _)| is_of_epoch(**start)).map(|(_, n)| n).sum();
        assert!(evidence.samples <= of_epoch, "{} samples, {of_epoch} in this epoch", evidence.samples);
    }

    fn crash(&mut self, operations: u64, survives: u64, is_away: bool) {
        self.disk.go_on(Some(operations));
        // Whatever the writer can still do is done; nobody hears of it any more.
        while self.flying.0 != 0 && !self.disk.is_awaited() {
            let control = self.control.as_mut().expect("a process runs");
            let polled = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    landed = control.outbox.landed() => Some(landed),
                    () = tokio::task::yield_now() => None,
                }
            });
            if let Some(landed) = polled {
                // It was on the disk, and the process died before it could say so.
                self.kept = if landed.written.is_some() { self.flying.1 } else { self.kept };
                self.flying = (0, Kept::default());
            }
        }
        self.disk.crash(|number| survives >> (number % 64) & 1 == 1);
        if self.flying.0 != 0 {
            self.may_keep(self.flying.1);
        }
        self.control = None;
        self.begin(is_away);
    }

    /// This may be on the disk, or what was before.
    fn may_keep(&mut self, new: Kept) {
        self.kept.percent = self.kept.percent.max(new.percent);
        // An entry that was changed lifts what was latched.
        self.kept.is_latched &= new.is_latched && new.entry == self.kept.entry;
    }

    /// The old process decides for the last time, and lets the ledger go; the new one takes it.
    fn hand_over(&mut self, is_full: bool) {
        self.disk.fill(is_full);
        self.disk.go_on(None);
        let last = self.to_keep();
        let control = self.control.take().expect("a process runs");
        let (live, ledger) = (control.live(), control.ledger());
        let is_closed = self.runtime.block_on(async {
            // What waits for the disk waits for a thread, which does not go by the test's clock.
            tokio::time::resume();
            control.end().await;
            let is_closed = ledger.close(Duration::from_secs(5)).await;
            tokio::time::pause();
            is_closed
        });
        assert!(is_closed, "nobody reads");
        self.disk.fill(false);
        self.hear();
        let flying = if self.flying.0 == 0 { last } else { self.flying.1 };
        self.may_keep(flying);
        self.may_keep(last);
        let in_force = live.load().plans[0].effective;
        assert!(in_force <= self.kept.percent, "{in_force} % while the old process drains");
        self.begin(false);
    }

    /// The next process.
    fn begin(&mut self, is_away: bool) {
        self.disk.unmount(is_away);
        let (control, events) = start(self.runtime, self.folder.path(), &self.disk, &self.calendar);
        (self.control, self.events) = (Some(control), events);
        self.answered.clear();
        (self.edits, self.goes_on, self.beats, self.drilled) = (0, true, 0, 0);
        self.has_spoken = self.entry != self.kept.entry;
        self.has_jumped |= is_away;
        self.recorded = if is_away { Percent::ZERO } else { self.kept.percent };
        self.flying = (0, Kept::default());
        let live = self.control().live.load();
        let in_force = live.plans[0].effective;
        assert!(in_force <= self.recorded, "{in_force} % at the start, {} % recorded", self.recorded);
        assert!(live.plans[0].drill.is_none(), "a drill ends with its process");
        if let Some(judge) = self.migration().judge() {
            let Evidence { samples, rich, .. } = judge.verdict().evidence;
            assert!(samples - rich <= self.honest, "what a drill made is no evidence");
        }
    }

    /// V2 fails every request, and the disk works.
    fn collapse(&mut self) {
        self.disk.unmount(false);
        for _ in 0..300 {
            self.tick(40, 100, 0);
            self.land(false);
            self.look();
        }
        let (migration, kept) = (self.migration(), self.control().live.load().plans[0].effective);
        let ladder = migration.ladder();
        let is_gated = ladder.plan().stage == Stage::Cutover && ladder.plan().mode == Mode::Enforce;
        assert!(!is_gated || kept == Percent::ZERO || ladder.phase() == Phase::Frozen, "{kept} %, {}", ladder.phase());
        let kind = migration.judge().map(|judge| judge.verdict().kind);
        let is_judged = ladder.is_judged();
        assert!(!is_judged || matches!(kind, Some(Kind::Rollback | Kind::Freeze)), "{kind:?}");
    }

    /// What is in the ledger, against what was told.
    fn check_events(&mut self) {
        for _ in 0..3 {
            self.tick(0, 0, 0);
            self.land(false);
        }
        self.disk.go_on(None);
        let rows = self.control().ledger().events(Span { after: 0, most: usize::MAX }).expect("readable");
        let kept: Vec<Event> = rows.iter().map(|(_, event)| serde_json::from_slice(event).expect("JSON")).collect();
        assert!(self.has_jumped || rows.iter().map(|(id, _)| *id).eq(1..=rows.len() as u64), "a number is missing");
        let kept: BTreeMap<u64, Event> = rows.iter().map(|(id, _)| *id).zip(kept).collect();
        assert!(kept.iter().all(|(id, event)| event.id == *id));
        for (id, event) in &self.told {
            let story = |event: &Event| (event.id, event.time, event.kind, event.from, event.to, event.reason.clone());
            assert_eq!(kept.get(id).map(story), Some(story(event)), "what was told is in the ledger");
        }
    }
}

impl Drop for Model<'_> {
    /// Nobody must wait for the disk when a check has failed.
    fn drop(&mut self) {
        self.disk.crash(|_| false);
    }
}

/// Whatever happens: `steps`, a collapse of V2, and a look at what is left in the ledger and in the recording.
fn live_through(entry: usize, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    // Its time is everybody's.
    let _entered = runtime.enter();
    let mut model = Model::new(&runtime, entry);
    for step in steps {
        model.take(step);
    }
    model.collapse();
    model.check_events();

    let result = backtest(model.folder.path(), None).expect("readable").remove(0);
    assert!(result.is_whole && (result.verdicts > 0 || model.migration().judge().is_none()));
    assert_eq!(result.differing, 0, "of {} verdicts", result.verdicts);
}

/// Evidence from memory is recorded, since the disk came back late: what is read from there has to be the same number.
#[test]
fn what_a_late_disk_recorded_is_judged_alike_to_the_last_digit() {
    let traffic = |ticks, requests, v1| Step::Traffic { ticks, requests, v1, rich: 100 };
    let away = Step::Crash { operations: 10, survives: 0, is_away: true };
    live_through(0, &[away, Step::Edit(6), traffic(17, 18, 0), traffic(12, 11, 100)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_v2_serves_no_more_than_is_allowed_and_recorded_and_no_event_is_lost(
        entry in 0..ENTRIES.len(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        live_through(entry, &steps);
    }
}
