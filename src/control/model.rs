//! The control plane driven at random, with its journal, its outbox and a real ledger on a disk that stops, fills up and
//! forgets: traffic, edits, verbs, crashes at any operation of the disk, a calendar that jumps.
//!
//! What has to hold at every instant: V2 serves no more than people wrote, than the ladder allows, and than is recorded; no
//! evidence is from before its epoch. After a crash: no more than was recorded. At the end: a collapse leads to 0 or a freeze,
//! whatever went before; every event that was told is in the ledger once, under a number of its own, without a gap; and the
//! recording leads to the same verdicts again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, oneshot};

use super::clock::{Clock, TICK};
use super::files::Files;
use super::plane::Control;
use super::replay::backtest;
use crate::backend::{Backend, Role};
use crate::console::{self, Ask, Event, Order, Verb};
use crate::gate::{Kind, Mode};
use crate::outcome::{Cause, Outcome};
use crate::percent::Percent;
use crate::stage::{Phase, Stage};
use crate::store::{Disk, Ledger, Span};
use crate::telemetry::{Report, RouteId, Tally};

const DEPLOYMENT: &str = "listen = [\"127.0.0.1:0\"]\n[dependency.recs]\nv1 = { url = \"http://v1\" }\n\
                          v2 = { url = \"http://v2\", timeout = \"500ms\" }\n";
const GATE: &str = "slo = 0.9\nbake = \"0s\"\nblip = \"0s\"\nmin_samples = 20\noverdispersion = \"off\"\n";
/// Rollout entries that people switch between; the freeze window is written in the time of a place far east.
const ENTRIES: [&str; 9] = [
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 25, 100]\n",
    "stage = \"cutover\"\npercent = 50\nsteps = [5, 25, 50]\n",
    "stage = \"cutover\"\npercent = 0\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [10, 100]\napprove = [10, 100]\n",
    "stage = \"cutover\"\npercent = 30\nmode = \"observe\"\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 100]\nfreeze = [{ from = 2026-11-20T13:00:00+13:00, to = 2026-11-21T01:00:00+13:00 }]\n",
    "stage = \"shadow\"\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 100]\nmargin = 0.05\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 25, 100]\nrollback_to = \"previous\"\n",
];
/// Noon of 20 November 2026, UTC: the end of the freeze window.
const NOON: i64 = 1_795_176_000;

#[derive(Debug, Clone)]
enum Step {
    /// Ticks with so many requests each, of which V2 answers this percentage rich.
    Traffic {
        ticks: u64,
        requests: u32,
        rich: u32,
    },
    Edit(usize),
    Verb(Verb),
    /// The disk works until what it has is written, or is full and says so.
    Land {
        is_full: bool,
    },
    /// So many more operations of the disk, and the machine loses power; what was not flushed is there by this pattern.
    Crash {
        operations: u64,
        survives: u64,
    },
    /// The calendar jumps by so many seconds.
    Jump(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let rich = prop_oneof![4 => Just(100u32), 1 => 0u32..100];
    prop_oneof![
        6 => (1u64..30, 0u32..40, rich).prop_map(|(ticks, requests, rich)| Step::Traffic { ticks, requests, rich }),
        2 => (0..ENTRIES.len()).prop_map(Step::Edit),
        2 => prop::sample::select(Verb::ALL.to_vec()).prop_map(Step::Verb),
        5 => prop::bool::weighted(0.2).prop_map(|is_full| Step::Land { is_full }),
        1 => (0u64..60, any::<u64>()).prop_map(|(operations, survives)| Step::Crash { operations, survives }),
        1 => (-200_000i64..200_000).prop_map(Step::Jump),
    ]
}

struct Model<'a> {
    runtime: &'a Runtime,
    folder: tempfile::TempDir,
    disk: Disk,
    calendar: Arc<AtomicI64>,
    control: Control,
    events: broadcast::Receiver<Arc<Event>>,
    /// Events that somebody was told of, because they are in the ledger.
    told: BTreeMap<u64, Event>,
    /// Answers that verbs still wait for.
    beats: u64,
    /// Requests that V2 answered in this process, by the tick in which they began.
    answered: BTreeMap<u64, u64>,
    /// Edits in this process, each of which sets the judge's clock.
    edits: u64,
    goes_on: bool,
    /// What V2 may serve by the batch that landed last, and by the one at the disk.
    recorded: Percent,
    flying: (u64, Percent),
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
            control,
            events,
            told: BTreeMap::new(),
            beats: 0,
            answered: BTreeMap::new(),
            edits: 0,
            goes_on: false,
            recorded: Percent::ZERO,
            flying: (0, Percent::ZERO),
        };
        model.look();
        model
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Traffic { ticks, requests, rich } => (0..ticks).for_each(|_| self.tick(requests, rich)),
            Step::Edit(entry) => {
                write_entry(self.folder.path(), entry);
                self.edits += 1;
                let (answer, _) = oneshot::channel();
                self.ask(Ask::Reload(answer));
            }
            Step::Verb(verb) => self.verb(verb),
            Step::Land { is_full } => self.land(is_full),
            Step::Crash { operations, survives } => self.crash(operations, survives),
            Step::Jump(seconds) => {
                self.calendar.fetch_add(seconds, Ordering::Relaxed);
            }
        }
        self.look();
    }

    fn tick(&mut self, requests: u32, rich: u32) {
        self.runtime.block_on(tokio::time::advance(TICK));
        self.beats += 1;
        self.calendar.fetch_add(i64::from(self.beats.is_multiple_of(10)), Ordering::Relaxed);
        let start = self.control.moment().tick.saturating_sub(1);
        if requests > 0 {
            self.control.take(&[report(start, requests, requests * rich / 100)]);
            *self.answered.entry(start).or_default() += u64::from(requests);
        }
        self.control.tick(self.beats);
        self.look();
    }

    fn ask(&mut self, ask: Ask) {
        self.control.answer(ask, &|_: &Files| {});
    }

    fn verb(&mut self, verb: Verb) {
        let order = Order { dependency: "recs".to_owned(), verb, by: None, reason: None };
        let (answer, _) = oneshot::channel();
        self.ask(Ask::Order(order, answer));
        let plan = &self.control.migrations[0];
        if verb == Verb::Rollback && plan.ladder().plan().stage == Stage::Cutover {
            assert_eq!(plan.in_force(), Percent::ZERO, "people are obeyed at once, whatever the disk does");
        }
    }

    /// The batch at the disk is written, or is not.
    fn land(&mut self, is_full: bool) {
        if self.flying.0 != 0 {
            self.disk.fill(is_full);
            self.disk.go_on(None);
            let landed = self.runtime.block_on(self.control.outbox.landed());
            self.disk.go_on(Some(0));
            self.disk.fill(false);
            self.take_landed(landed);
        }
    }

    fn take_landed(&mut self, landed: super::outbox::Landed) {
        if landed.written.is_some() {
            self.recorded = self.flying.1;
        }
        self.flying = (0, Percent::ZERO);
        self.control.land(landed);
    }

    /// Notices what was sent and told, and checks what has to hold.
    fn look(&mut self) {
        let next = self.control.outbox.next();
        let migration = &self.control.migrations[0];
        if self.control.outbox.is_flying() && self.flying.0 != next {
            self.flying = (next, migration.save().effective());
        }
        while let Ok(event) = self.events.try_recv() {
            let event = Event::clone(&event);
            assert!(self.told.insert(event.id, event).is_none(), "an event is told once");
        }
        let (ladder, in_force) = (migration.ladder(), self.control.live.load().plans[0].effective);
        assert!(in_force <= ladder.ceiling(), "{in_force} % is more than people wrote");
        assert!(in_force <= ladder.allowed(), "{in_force} % is more than is allowed");
        assert!(in_force <= self.recorded, "{in_force} % is in force, and {} % is recorded", self.recorded);
        self.check_evidence();
    }

    fn check_evidence(&self) {
        let Some(judge) = self.control.migrations[0].judge().filter(|_| !self.goes_on) else { return };
        let evidence = judge.verdict().evidence;
        // An edit that keeps the evidence sets the judge's clock, which is two ticks behind, to the present.
        let is_of_epoch = |start: u64| judge.is_of_epoch(start + 3 * self.edits);
        let of_epoch: u64 = self.answered.iter().filter(|(start, _)| is_of_epoch(**start)).map(|(_, n)| n).sum();
        assert!(evidence.samples <= of_epoch, "{} samples, {of_epoch} in this epoch", evidence.samples);
    }

    fn crash(&mut self, operations: u64, survives: u64) {
        self.disk.go_on(Some(operations));
        // Whatever the writer can still do is done; nobody hears of it any more.
        while self.flying.0 != 0 && !self.disk.is_awaited() {
            let polled = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    landed = self.control.outbox.landed() => Some(landed),
                    () = tokio::task::yield_now() => None,
                }
            });
            if let Some(landed) = polled {
                // It was on the disk, and the process died before it could say so.
                self.recorded = if landed.written.is_some() { self.flying.1 } else { self.recorded };
                self.flying = (0, Percent::ZERO);
            }
        }
        self.disk.crash(|number| survives >> (number % 64) & 1 == 1);
        let may = if self.flying.0 == 0 { self.recorded } else { self.recorded.max(self.flying.1) };
        let (control, events) = start(self.runtime, self.folder.path(), &self.disk, &self.calendar);
        (self.control, self.events) = (control, events);
        let in_force = self.control.live.load().plans[0].effective;
        assert!(in_force <= may, "{in_force} % after a crash, {may} % recorded");
        self.answered.clear();
        (self.edits, self.goes_on, self.beats) = (0, true, 0);
        (self.recorded, self.flying) = (may, (0, Percent::ZERO));
    }

    /// V2 fails every request, and the disk works.
    fn collapse(&mut self) {
        for _ in 0..300 {
            self.tick(40, 0);
            self.land(false);
            self.look();
        }
        let (migration, kept) = (&self.control.migrations[0], self.control.live.load().plans[0].effective);
        let ladder = migration.ladder();
        let is_gated = ladder.plan().stage == Stage::Cutover && ladder.plan().mode == Mode::Enforce;
        assert!(!is_gated || kept == Percent::ZERO || ladder.phase() == Phase::Frozen, "{kept} %, {}", ladder.phase());
        let kind = migration.judge().map(|judge| judge.verdict().kind);
        assert!(matches!(kind, Some(Kind::Rollback | Kind::Freeze)), "{kind:?}");
    }

    /// What is in the ledger, against what was told.
    fn check_events(&mut self) {
        for _ in 0..3 {
            self.tick(0, 0);
            self.land(false);
        }
        self.disk.go_on(None);
        let rows = self.control.ledger().events(Span { after: 0, most: usize::MAX }).expect("readable");
        let kept: Vec<Event> = rows.iter().map(|(_, event)| serde_json::from_slice(event).expect("JSON")).collect();
        assert!(rows.iter().map(|(id, _)| *id).eq(1..=rows.len() as u64), "a number is missing");
        assert!(kept.iter().zip(1..).all(|(event, id)| event.id == id));
        for (id, event) in &self.told {
            let story = |event: &Event| (event.id, event.time, event.kind, event.from, event.to, event.reason.clone());
            assert_eq!(kept.get(*id as usize - 1).map(story), Some(story(event)), "what was told is in the ledger");
        }
    }
}

impl Drop for Model<'_> {
    /// Nobody must wait for the disk when a check has failed.
    fn drop(&mut self) {
        self.disk.crash(|_| false);
    }
}

fn write_entry(folder: &Path, entry: usize) {
    let text = format!("[recs]\n{}{GATE}", ENTRIES[entry]);
    std::fs::write(folder.join("rollout.toml"), text).expect("the folder is writable");
}

type Started = (Control, broadcast::Receiver<Arc<Event>>);

/// A process, with the disk stopped as soon as the ledger is open.
fn start(runtime: &Runtime, folder: &Path, disk: &Disk, calendar: &Arc<AtomicI64>) -> Started {
    let (files, _) = Files::open(&folder.join("crossfade.toml"), None).expect("valid");
    let opened = Ledger::on_disk(disk, folder);
    disk.go_on(Some(0));
    let (people, control_end) = console::open();
    let events = people.events();
    let control = runtime.block_on(async {
        // The first half second is what a process has behind it when it is told of requests.
        let mut clock = Clock::since(tokio::time::Instant::now().into_std());
        tokio::time::advance(5 * TICK).await;
        let calendar = Arc::clone(calendar);
        clock.calendar = Box::new(move || calendar.load(Ordering::Relaxed));
        Control::begin(files, opened, control_end, Arc::default(), clock).await
    });
    (control.unwrap_or_else(|error| panic!("{error:?}")), events)
}

fn report(start: u64, requests: u32, rich: u32) -> Report {
    let mut tally = Tally::default();
    for _ in rich..requests {
        tally.outcome(Backend::V2, Role::Shadow, Outcome::Fallback(Cause::Status));
    }
    let counts = tally.cohort(start);
    (counts.started, counts.rich, counts.fallback) = (requests, rich, requests - rich);
    (counts.v1_rich, counts.concordant, counts.v2_worse) = (requests, rich, requests - rich);
    let route = RouteId { dependency: "recs".to_owned(), route: "other".to_owned(), index: 0 };
    Report { route: Arc::new(route), catalogue: Arc::default(), tally: Box::new(tally) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_v2_serves_no_more_than_is_allowed_and_recorded_and_no_event_is_lost(
        entry in 0..ENTRIES.len(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        // Its time is everybody's.
        let _entered = runtime.enter();
        let mut model = Model::new(&runtime, entry);
        for step in &steps {
            model.take(step);
        }
        model.collapse();
        model.check_events();

        let result = backtest(model.folder.path(), None).expect("readable").remove(0);
        prop_assert!(result.is_whole && result.verdicts > 0);
        prop_assert_eq!(result.differing, 0, "of {} verdicts", result.verdicts);
    }
}
