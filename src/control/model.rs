//! The state machine of a migration, driven at random: traffic, edits, verbs, restarts, a disk that fails, clocks that jump.
//!
//! What has to hold at every instant: V2 serves no more than people wrote, than the ladder allows, and than is recorded; no
//! evidence is from before its epoch. At the end: a collapse leads to 0 or a freeze, whatever went before, and the recording
//! leads to the same verdicts again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::migration::{Effect, Migration, SavedMigration};
use super::recording::{Config, Judged, Now, Record, Seen};
use super::replay::{Replay, said};
use crate::config::{Deployment, Rollout, parse_deployment, parse_rollouts};
use crate::console::Verb;
use crate::gate::{Counts, Mode};
use crate::percent::Percent;
use crate::stage::{Phase, Stage};

const DEPLOYMENT: &str = "listen = [\"127.0.0.1:0\"]\n[dependency.\"recs\"]\nmatch = { path_prefix = \"/0\" }\n\
                          v1 = { url = \"http://v1\" }\nv2 = { url = \"http://v2-0\", timeout = \"500ms\" }\n";
const GATE: &str = "slo = 0.9\nbake = \"0s\"\nblip = \"0s\"\nmin_samples = 20\noverdispersion = \"off\"\n";
/// Rollout entries that people switch between.
const ENTRIES: [&str; 8] = [
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 25, 100]\n",
    "stage = \"cutover\"\npercent = 50\nsteps = [5, 25, 50]\n",
    "stage = \"cutover\"\npercent = 0\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [10, 100]\napprove = [10, 100]\n",
    "stage = \"cutover\"\npercent = 30\nmode = \"observe\"\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 100]\nfreeze = [{ from = 2026-11-20T00:00:00Z, to = 2026-11-20T12:00:00Z }]\n",
    "stage = \"shadow\"\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 100]\nmargin = 0.05\n",
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
    /// The batch at the disk is written, or is not.
    Land(bool),
    /// The process dies and starts again, with the entry that is in the file.
    Crash,
    /// The calendar jumps by so many seconds.
    Jump(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let rich = prop_oneof![4 => Just(100u32), 1 => 0u32..100];
    prop_oneof![
        6 => (1u64..30, 0u32..40, rich).prop_map(|(ticks, requests, rich)| Step::Traffic { ticks, requests, rich }),
        2 => (0..ENTRIES.len()).prop_map(Step::Edit),
        2 => prop::sample::select(Verb::ALL.to_vec()).prop_map(Step::Verb),
        5 => prop::bool::weighted(0.8).prop_map(Step::Land),
        1 => Just(Step::Crash),
        1 => (-200_000i64..200_000).prop_map(Step::Jump),
    ]
}

/// What went to the disk together.
struct Batch {
    number: u64,
    state: String,
    effective: Percent,
}

struct Model {
    deployment: Deployment,
    entry: usize,
    migration: Migration,
    now: Now,
    /// Requests that V2 answered, by the tick in which they began.
    answered: BTreeMap<u64, u64>,
    number: u64,
    flying: Option<Batch>,
    /// The state on the disk, and how much it lets V2 serve.
    disk: Option<(String, Percent)>,
    records: Vec<Record>,
}

fn text(entry: usize) -> String {
    format!("[recs]\n{}{GATE}", ENTRIES[entry])
}

impl Model {
    fn new(entry: usize) -> Self {
        let deployment = parse_deployment(DEPLOYMENT, Path::new("crossfade.toml")).expect("valid");
        let rollout = rollout(&deployment, entry);
        let now = Now { tick: 5, unix_s: NOON };
        let dependency = Arc::clone(&deployment.dependencies[0]);
        let (migration, _) = Migration::new(dependency, Some(rollout), None, now.tick, now.unix_s);
        let mut model = Self {
            deployment,
            entry,
            migration,
            now,
            answered: BTreeMap::new(),
            number: 0,
            flying: None,
            disk: None,
            records: Vec::new(),
        };
        model.migration.hold_back(Percent::ZERO, 1);
        let config = model.config(BTreeMap::new());
        model.records.push(Record::Begin(config));
        model
    }

    fn config(&self, saved: BTreeMap<String, SavedMigration>) -> Config {
        let dependencies = vec![Judged::new(&self.deployment.dependencies[0], 0)];
        Config { now: self.now, rollout: text(self.entry), dependencies, saved, continues: false }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Traffic { ticks, requests, rich } => (0..ticks).for_each(|_| self.tick(requests, rich)),
            Step::Edit(entry) => self.edit(entry),
            Step::Verb(verb) => self.verb(verb),
            Step::Land(is_written) => self.land(is_written),
            Step::Crash => self.crash(),
            Step::Jump(seconds) => self.now.unix_s += seconds,
        }
        self.send();
        self.check();
    }

    fn tick(&mut self, requests: u32, rich: u32) {
        self.now.tick += 1;
        self.now.unix_s += i64::from(self.now.tick.is_multiple_of(10));
        let rich = requests * rich / 100;
        let counts = Counts {
            started: requests,
            rich,
            fallback: requests - rich,
            v1_rich: requests,
            concordant: rich,
            v2_worse: requests - rich,
            ..Counts::default()
        };
        let start = self.now.tick - 1;
        let route = self.deployment.dependencies[0].routes.len() - 1;
        self.migration.see(route, start, &counts);
        *self.answered.entry(start).or_default() += u64::from(requests);
        let seen = vec![Seen { dependency: 0, route, start, counts }];
        self.records.push(Record::Tick(self.now, true, seen));
        let outcome = self.migration.tick(self.now.tick, self.now.unix_s, true);
        if outcome.rise.is_some() {
            self.migration.begin_rise(self.number + 1, Vec::new());
        }
        if let Some(verdict) = outcome.verdict {
            self.records.push(Record::Verdict(0, said(&verdict)));
        }
        self.send();
        self.check();
    }

    fn edit(&mut self, entry: usize) {
        self.entry = entry;
        let config = self.config(BTreeMap::new());
        self.records.push(Record::Edit(config));
        let before = self.migration.in_force();
        let (dependency, rollout) = (Arc::clone(self.migration.dependency()), rollout(&self.deployment, entry));
        self.migration.edit(dependency, Some(rollout), self.now.tick, self.now.unix_s);
        self.migration.hold_back(before, self.number + 1);
    }

    fn verb(&mut self, verb: Verb) {
        self.records.push(Record::Order(self.now, 0, verb));
        let before = self.migration.in_force();
        self.migration.order(self.now.tick, self.now.unix_s, verb);
        self.migration.hold_back(before, self.number + 1);
        if verb == Verb::Rollback && self.migration.rollout().is_some_and(|rollout| rollout.stage == Stage::Cutover) {
            assert_eq!(self.migration.in_force(), Percent::ZERO, "people are obeyed at once, whatever the disk does");
        }
    }

    /// The disk gets what there is now, if it is free.
    fn send(&mut self) {
        if self.flying.is_none() {
            self.number += 1;
            let saved = self.migration.save();
            let state = serde_json::to_string(&saved).expect("plain data");
            self.flying = Some(Batch { number: self.number, state, effective: saved.effective() });
        }
    }

    fn land(&mut self, is_written: bool) {
        let Some(Batch { number, state, effective }) = self.flying.take() else { return };
        if !is_written {
            if self.migration.failed(number).is_some() {
                self.records.push(Record::Fell(0));
            }
            return;
        }
        self.disk = Some((state, effective));
        if self.migration.landed(number, self.now.tick) == Effect::Risen {
            self.records.push(Record::Risen(self.now, 0));
        }
    }

    fn crash(&mut self) {
        let saved: Option<SavedMigration> =
            self.disk.as_ref().map(|(state, _)| serde_json::from_str(state).expect("what was written is read"));
        self.now = Now { tick: 5, unix_s: self.now.unix_s + 2 };
        self.answered.clear();
        (self.flying, self.number) = (None, 0);
        let dependency = Arc::clone(&self.deployment.dependencies[0]);
        let rollout = rollout(&self.deployment, self.entry);
        let before = saved.as_ref().map_or(Percent::ZERO, SavedMigration::effective);
        let (tick, unix_s) = (self.now.tick, self.now.unix_s);
        let (migration, _) = Migration::new(dependency, Some(rollout), saved.as_ref(), tick, unix_s);
        self.migration = migration;
        self.migration.hold_back(before, 1);
        let saved = saved.map(|saved| ("recs".to_owned(), saved)).into_iter().collect();
        let config = self.config(saved);
        self.records.push(Record::Begin(config));
    }

    fn check(&self) {
        let (ladder, in_force) = (self.migration.ladder(), self.migration.in_force());
        assert!(in_force <= ladder.ceiling(), "{in_force} % is more than people wrote");
        assert!(in_force <= ladder.allowed(), "{in_force} % is more than is allowed");
        let recorded = self.disk.as_ref().map_or(Percent::ZERO, |(_, effective)| *effective);
        assert!(in_force <= recorded, "{in_force} % is in force, and {recorded} % is recorded");
        let Some(judge) = self.migration.judge() else { return };
        let evidence = judge.verdict().evidence;
        // The judge is two ticks behind the clock, and an edit that keeps the evidence sets its own clock to it.
        let edits = self.records.iter().filter(|record| matches!(record, Record::Edit(_))).count() as f64;
        let began = self.now.tick as f64 - evidence.elapsed_s * 10.0 - 4.0 - 3.0 * edits;
        let of_epoch: u64 = self.answered.iter().filter(|(start, _)| **start as f64 >= began).map(|(_, n)| n).sum();
        let saved =
            self.records.iter().any(|record| matches!(record, Record::Begin(config) if !config.saved.is_empty()));
        assert!(saved || evidence.samples <= of_epoch, "{} samples, {of_epoch} in this epoch", evidence.samples);
    }

    /// V2 fails every request, and the disk works.
    fn collapse(&mut self) {
        for _ in 0..300 {
            self.tick(40, 0);
            self.land(true);
        }
        let ladder = self.migration.ladder();
        let is_gated = ladder.plan().stage == Stage::Cutover && ladder.plan().mode == Mode::Enforce;
        let is_safe = self.migration.in_force() == Percent::ZERO || ladder.phase() == Phase::Frozen;
        assert!(!is_gated || is_safe, "{} % after a collapse, phase {}", self.migration.in_force(), ladder.phase());
        let kind = self.migration.judge().map(|judge| judge.verdict().kind);
        assert!(matches!(kind, Some(crate::gate::Kind::Rollback | crate::gate::Kind::Freeze)), "{kind:?}");
    }
}

fn rollout(deployment: &Deployment, entry: usize) -> Arc<Rollout> {
    let parsed = parse_rollouts(&text(entry), Path::new("rollout.toml"), Some(deployment)).expect("valid");
    Arc::clone(&parsed.entries["recs"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_v2_serves_no_more_than_is_allowed_and_recorded(
        entry in 0..ENTRIES.len(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::new(entry);
        for step in &steps {
            model.take(step);
        }
        model.collapse();

        let mut replay = Replay::new(None);
        for record in &model.records {
            replay.feed(record).expect("what was valid is valid again");
        }
        let result = replay.compare(None).remove(0);
        prop_assert!(result.is_whole && result.verdicts > 0);
        prop_assert_eq!(result.differing, 0, "of {} verdicts", result.verdicts);
    }
}
