//! One process of the model: what it is configured with, how it begins, and what it is told of requests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::runtime::Runtime;
use tokio::sync::broadcast;

use crate::backend::{Backend, Role};
use crate::console::{self, Event};
use crate::control::clock::{Clock, TICK};
use crate::control::files::Files;
use crate::control::plane::Control;
use crate::outcome::{Cause, Outcome};
use crate::store::{Disk, Ledger};
use crate::telemetry::{Report, RouteId, Tally};

pub(super) const DEPLOYMENT: &str = "listen = [\"127.0.0.1:0\"]\n[dependency.recs]\nv1 = { url = \"http://v1\" }\n\
                          v2 = { url = \"http://v2\", timeout = \"500ms\" }\n";
const GATE: &str = "slo = 0.9\nbake = \"0s\"\nblip = \"0s\"\nmin_samples = 20\noverdispersion = \"off\"\n";
/// Rollout entries that people switch between; the freeze window is written in the time of a place far east.
pub(super) const ENTRIES: [&str; 10] = [
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 25, 100]\n",
    "stage = \"cutover\"\npercent = 50\nsteps = [5, 25, 50]\n",
    "stage = \"cutover\"\npercent = 0\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [10, 100]\napprove = [10, 100]\n",
    "stage = \"cutover\"\npercent = 30\nmode = \"observe\"\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 100]\nfreeze = [{ from = 2026-11-20T13:00:00+13:00, to = 2026-11-21T01:00:00+13:00 }]\n",
    "stage = \"shadow\"\n",
    "stage = \"off\"\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 100]\nmargin = 0.05\n",
    "stage = \"cutover\"\npercent = 100\nsteps = [5, 25, 100]\nrollback_to = \"previous\"\n",
];
/// Noon of 20 November 2026, UTC: the end of the freeze window.
pub(super) const NOON: i64 = 1_795_176_000;

pub(super) fn write_entry(folder: &Path, entry: usize) {
    let text = format!("[recs]\n{}{GATE}", ENTRIES[entry]);
    std::fs::write(folder.join("rollout.toml"), text).expect("the folder is writable");
}

pub(super) type Started = (Control, broadcast::Receiver<Arc<Event>>);

/// A process, with the disk stopped as soon as the ledger is open.
pub(super) fn start(runtime: &Runtime, folder: &Path, disk: &Disk, calendar: &Arc<AtomicI64>) -> Started {
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

pub(super) fn report(start: u64, requests: u32, v1: u32, rich: u32) -> Report {
    let mut tally = Tally::default();
    for request in 0..requests {
        let outcome = if request < rich { Outcome::Rich } else { Outcome::Fallback(Cause::Status) };
        tally.outcome(Backend::V2, Role::Shadow, outcome);
    }
    let counts = tally.cohort(start);
    (counts.started, counts.rich, counts.fallback) = (requests, rich, requests - rich);
    (counts.v1_rich, counts.v1_fallback) = (v1, requests - v1);
    (counts.v2_better, counts.v2_worse) = (rich.saturating_sub(v1), v1.saturating_sub(rich));
    counts.concordant = requests - counts.v2_better - counts.v2_worse;
    let route = RouteId { dependency: "recs".to_owned(), route: "other".to_owned(), index: 0 };
    Report { route: Arc::new(route), catalogue: Arc::default(), tally: Box::new(tally) }
}
