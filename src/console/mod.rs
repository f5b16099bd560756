//! Where people and the control plane meet: verbs go in, status and events come out.
//!
//! The admin port and the demo hold a [`Console`]; the control plane holds its other end, the [`Desk`]. Neither knows the
//! other.

mod event;
mod finish;
mod lift;
mod preview;
mod report;
mod status;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::config::{Fault, Struck};
use crate::percent::Percent;

pub use event::{Event, EventKind, PastVerdict};
pub use finish::Finish;
pub use lift::RouteLift;
pub use preview::{Consequence, Load, PlannedGate, Preview};
pub use report::{Dora, Hour, Report, dora};
pub use status::{
    DependencyStatus, DrillStatus, Evidence, FileStatus, Percents, PoisonedRule, Rates, Status, VerdictStatus,
    WindowRates,
};

/// Verbs that wait for the control plane, which takes them ten times a second or faster; more callers wait their turn.
const WAITING: usize = 64;
/// Events that a slow listener may be behind before it misses some (and is told so).
const EVENTS: usize = 1024;

/// What a person can tell a rollout. All of them always work, whatever the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Lets the next step happen that waits for a person.
    Approve,
    /// Stops promotions; rollbacks still happen.
    Pause,
    /// Ends a pause, or lifts a latched rollback; evidence starts from zero after a rollback.
    Resume,
    /// Everyone back to V1, until `resume` or a changed rollout entry.
    Rollback,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 4] = [Self::Approve, Self::Pause, Self::Resume, Self::Rollback];

    /// The name used on the command line and in the admin port's paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rollback => "rollback",
        }
    }
}

/// One verb for one dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub dependency: String,
    /// What to do.
    pub verb: Verb,
    /// Who wants it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A fault to be injected into V2's calls.
#[derive(Debug, Clone, PartialEq)]
pub struct DrillOrder {
    /// Into which dependency's.
    pub dependency: String,
    /// What goes wrong.
    pub fault: Fault,
    /// With this share of the calls.
    pub share: Percent,
    /// With which calls.
    pub struck: Struck,
    /// For how long at most.
    pub lasts: Duration,
    /// Who wants it.
    pub by: Option<String>,
}

/// Something that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of which dependency.
    pub dependency: String,
    /// What kind of thing.
    pub kind: EventKind,
    /// Who wanted to know.
    pub by: Option<String>,
    /// In words.
    pub text: String,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No dependency has that name; these exist.
    #[error("no dependency is named `{name}`; there are: {}", .known.join(", "))]
    UnknownDependency {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The verb makes no sense now.
    #[error("{0}")]
    NotNow(String),
    /// The process is ending.
    #[error("crossfade is shutting down")]
    Closing,
}

/// Something asked of the control plane, with the way to answer.
#[derive(Debug)]
pub enum Ask {
    /// A verb.
    Order(Order, oneshot::Sender<Result<Event, Refusal>>),
    /// A drill; answered when it has begun.
    Drill(DrillOrder, oneshot::Sender<Result<Event, Refusal>>),
    /// Something that was found out, to be recorded.
    Note(Note, oneshot::Sender<Result<Event, Refusal>>),
    /// What would change if the rollout file had this content.
    Plan(String, oneshot::Sender<Result<Vec<Preview>, String>>),
    /// Read both files again now. Answers with what is wrong, if anything is.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// The people's end.
#[derive(Debug, Clone)]
pub struct Console {
    asks: mpsc::Sender<Ask>,
    status: watch::Receiver<Arc<Status>>,
    events: broadcast::Sender<Arc<Event>>,
}

/// The control plane's end.
#[derive(Debug)]
pub struct Desk {
    /// What people ask.
    pub asks: mpsc::Receiver<Ask>,
    /// What they see; replaced whole.
    pub status: watch::Sender<Arc<Status>>,
    /// What happens.
    pub events: broadcast::Sender<Arc<Event>>,
}

/// Both ends.
pub fn open() -> (Console, Desk) {
    let (ask, asks) = mpsc::channel(WAITING);
    let (show, status) = watch::channel(Arc::default());
    let (events, _) = broadcast::channel(EVENTS);
    (Console { asks: ask, status, events: events.clone() }, Desk { asks, status: show, events })
}

impl Console {
    /// What was shown last.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Follows the status; wakes at each change.
    pub fn follow(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Gives an order, and waits until it is carried out and recorded.
    ///
    /// # Errors
    /// As [`Refusal`] tells.
    pub async fn order(&self, order: Order) -> Result<Event, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Order(order, answer)).await.map_err(|_| Refusal::Closing)?;
        answered.await.map_err(|_| Refusal::Closing)?
    }

    /// Begins a drill.
    ///
    /// # Errors
    /// As [`Refusal`] tells.
    pub async fn drill(&self, order: DrillOrder) -> Result<Event, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Drill(order, answer)).await.map_err(|_| Refusal::Closing)?;
        answered.await.map_err(|_| Refusal::Closing)?
    }

    /// Has something recorded that was found out.
    ///
    /// # Errors
    /// As [`Refusal`] tells.
    pub async fn note(&self, note: Note) -> Result<Event, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Note(note, answer)).await.map_err(|_| Refusal::Closing)?;
        answered.await.map_err(|_| Refusal::Closing)?
    }

    /// Asks what would change if the rollout file had this content.
    ///
    /// # Errors
    /// What is wrong with it, as `file:line:column: reason`, a line each.
    pub async fn plan(&self, rollout: String) -> Result<Vec<Preview>, String> {
        let (answer, answered) = oneshot::channel();
        let closing = || Refusal::Closing.to_string();
        self.asks.send(Ask::Plan(rollout, answer)).await.map_err(|_| closing())?;
        answered.await.map_err(|_| closing())?
    }

    /// Has both files read again, and waits for the result.
    ///
    /// # Errors
    /// What is wrong with them, as `file:line:column: reason`, a line each.
    pub async fn reload(&self) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let closing = || Refusal::Closing.to_string();
        self.asks.send(Ask::Reload(answer)).await.map_err(|_| closing())?;
        answered.await.map_err(|_| closing())?
    }
}
