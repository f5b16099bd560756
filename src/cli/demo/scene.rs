//! The stage on which the acts are played: it waits for values, tells what happens meanwhile, and remembers what must hold.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};

use super::counts::Counts;
use super::folder::Wish;
use super::narrator::{Narrator, Tone, event_in_words, is_told, summary};
use super::stretch::Stretches;
use super::traffic::{Lap, Seen};
use super::world::World;
use crate::config::content_hash;
use crate::console::{DependencyStatus, Event, EventKind, Order, Status, Verb};

/// The one dependency of the demo.
pub(super) const DEPENDENCY: &str = "recommendations";
/// Who acts in the demo: in `[change]` and in orders.
const DEMO: &str = "demo";
/// How often consumers are looked at.
const LOOK_EACH: Duration = Duration::from_millis(50);
/// A summary is told when nothing else was for so long.
const SILENCE: Duration = Duration::from_secs(5);

/// Why an act ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something did not happen, or something else did.
    Unmet {
        /// What was expected.
        expected: String,
        /// What was seen.
        seen: String,
    },
    /// A person took over, by the file or a verb.
    ByHand,
    /// Nobody reads what is told, or a file cannot be written.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An event, and when it was heard.
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) event: Arc<Event>,
}

/// Whether anybody has to be able to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as the gate can prove anything.
    Once,
    /// As fast as people read.
    People,
}

/// What the acts are played on.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) pace: Pace,
    pub(super) narrator: Narrator,
    /// What was heard in this act.
    pub(super) heard: Vec<Heard>,
    status: watch::Receiver<Arc<Status>>,
    events: broadcast::Receiver<Arc<Event>>,
    stretches: Stretches,
    /// Of all that the demo wrote.
    written: Vec<u64>,
    deadline: Option<Instant>,
}

impl<'a> Scene<'a> {
    /// Listens from now on. `written` is the text of the rollout file.
    pub(super) fn new(world: &'a World, pace: Pace, narrator: Narrator, written: &str) -> Self {
        Self {
            world,
            pace,
            narrator,
            heard: Vec::new(),
            status: world.app.console.follow(),
            events: world.app.console.events(),
            stretches: Stretches::new(world.traffic.next_lap()),
            written: vec![content_hash(written)],
            deadline: None,
        }
    }

    /// An act begins; all that it waits for must have happened within `patience`.
    pub(super) fn open(&mut self, title: &str, patience: Duration) -> Result<(), Stop> {
        self.heard.clear();
        self.deadline = Some(Instant::now() + patience);
        Ok(self.narrator.head(title)?)
    }

    /// Nothing is expected any more.
    pub(super) fn expect_nothing(&mut self) {
        self.deadline = None;
    }

    /// Tells one thing.
    pub(super) fn tell(&mut self, tone: Tone, text: &str) -> Result<(), Stop> {
        Ok(self.narrator.tell(tone, text)?)
    }

    /// Whether such an event was heard in this act.
    pub(super) fn has_heard(&self, kind: EventKind) -> bool {
        self.heard.iter().any(|heard| heard.event.kind == kind)
    }

    /// What the proxy counted so far.
    pub(super) fn counts(&self) -> Counts {
        Counts::read(&self.world.app.totals, DEPENDENCY)
    }

    /// Writes the rollout file, as a release manager would.
    pub(super) fn wish(&mut self, wish: Wish) -> Result<(), Stop> {
        let text = wish.text();
        self.written.push(content_hash(&text));
        Ok(self.world.folder.write_rollout(&text)?)
    }

    /// Gives the order to resume, as a release manager would.
    pub(super) async fn resume(&mut self) -> Result<(), Stop> {
        let order = Order {
            dependency: DEPENDENCY.to_owned(),
            verb: Verb::Resume,
            by: Some(DEMO.to_owned()),
            reason: Some("V2 is repaired".to_owned()),
        };
        let done = self.world.app.console.order(order).await;
        done.map(drop).map_err(|refusal| unmet("`resume` is carried out", refusal))
    }

    /// From now on, requests count as a lap of their own.
    pub(super) fn lap(&mut self) -> Arc<Lap> {
        let lap = self.world.traffic.next_lap();
        self.stretches.go_on(Arc::clone(&lap));
        lap
    }

    /// What people see now.
    pub(super) fn shown(&self) -> Option<DependencyStatus> {
        self.status.borrow().dependency(DEPENDENCY).cloned()
    }

    /// Waits until `find` finds what is `expected` in the status; tells what happens meanwhile.
    pub(super) async fn until<T>(
        &mut self,
        expected: impl Display,
        mut find: impl FnMut(&Self, &DependencyStatus) -> Option<T>,
    ) -> Result<T, Stop> {
        loop {
            let shown = self.shown();
            if let Some(found) = shown.as_ref().and_then(|shown| find(self, shown)) {
                return Ok(found);
            }
            if !self.step(self.deadline).await? {
                let seen = shown.map_or_else(|| "no status".to_owned(), |shown| summary(&shown));
                return Err(unmet(expected, format!("{seen} (until the deadline)")));
            }
        }
    }

    /// Gives people time to read; tells what happens meanwhile.
    pub(super) async fn rest(&mut self, seconds: u64) -> Result<(), Stop> {
        if self.pace == Pace::Once {
            return Ok(());
        }
        let until = Instant::now() + Duration::from_secs(seconds);
        // Reading time is nobody's delay.
        self.deadline = self.deadline.map(|deadline| deadline + Duration::from_secs(seconds));
        while self.step(Some(until)).await? {}
        Ok(())
    }

    /// Waits for one piece of news, and tells it; for a moment only, since what consumers saw is no news. `false` when the
    /// deadline has passed.
    pub(super) async fn step(&mut self, deadline: Option<Instant>) -> Result<bool, Stop> {
        let moment = Instant::now() + LOOK_EACH;
        tokio::select! {
            // Events first: a status may already be about what they tell.
            biased;
            event = self.events.recv() => match event {
                Ok(event) => self.hear(event)?,
                Err(broadcast::error::RecvError::Lagged(missed)) => return Err(unmet("every event is heard", format!("{missed} were missed"))),
                Err(broadcast::error::RecvError::Closed) => return Err(unmet("the proxy runs", "it ended")),
            },
            changed = self.status.changed() => match changed {
                Ok(()) => self.look()?,
                Err(_) => return Err(unmet("the proxy runs", "it ended")),
            },
            () = tokio::time::sleep_until(deadline.map_or(moment, |deadline| deadline.min(moment)).into()) => {}
        }
        Ok(deadline.is_none_or(|deadline| Instant::now() < deadline))
    }

    fn hear(&mut self, event: Arc<Event>) -> Result<(), Stop> {
        if is_told(&event) {
            let (tone, text) = event_in_words(&event);
            self.narrator.tell(tone, &text)?;
        }
        if self.deadline.is_none() {
            // Nothing is checked any more, so nothing need be remembered.
            return Ok(());
        }
        if matches!(event.kind, EventKind::Promote | EventKind::Rollback) {
            self.stretches.move_to(event.to, self.world.traffic.next_lap());
        }
        let by_hand = !matches!(event.by.as_str(), "gate" | DEMO) || !self.written.contains(&event.revision.hash);
        self.heard.push(Heard { at: Instant::now(), event });
        if by_hand { Err(Stop::ByHand) } else { Ok(()) }
    }

    fn look(&mut self) -> Result<(), Stop> {
        let Some(shown) = self.shown() else { return Ok(()) };
        let percent = shown.percent;
        if percent.effective > percent.ceiling || percent.effective > percent.allowed {
            let seen = format!(
                "{} % in force, ceiling {} %, allowed {} %",
                percent.effective, percent.ceiling, percent.allowed
            );
            return Err(unmet("the percent in force is never above the ceiling, nor above what the gate allows", seen));
        }
        if self.pace == Pace::People && self.narrator.silence() >= SILENCE {
            self.narrator.tell(Tone::Quiet, &summary(&shown))?;
        }
        Ok(())
    }

    /// What consumers saw since the demo began.
    pub(super) fn seen(&self) -> Seen {
        self.stretches.seen()
    }

    /// As [`Stretches::require_right_answers`].
    pub(super) fn require_right_answers(&self) -> Result<u64, Stop> {
        self.stretches.require_right_answers()
    }
}

/// Ends an act unless `holds`.
pub(super) fn require(holds: bool, expected: impl Display, seen: impl Display) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(unmet(expected, seen)) }
}

/// Why an act cannot go on.
pub(super) fn unmet(expected: impl Display, seen: impl Display) -> Stop {
    Stop::Unmet { expected: expected.to_string(), seen: seen.to_string() }
}
