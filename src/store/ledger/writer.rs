//! The thread that writes: one transaction for each batch, flushed before it says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use redb::{Database, Error, ReadableTable};
use tokio::sync::oneshot;

use super::super::recording::{Block, Recording};
use super::super::state_file::{self, StateError};
use super::medium::Medium;
use super::prune;
use super::tables::{self, EVENTS, GATE, HOURS, OpenFailure, STATE, VERDICTS, sealed, set_last_verdict};
use super::{Found, LedgerError, Shared, current, replace};

/// What is written together: all of it, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Replaces the state.
    pub state: Option<Vec<u8>>,
    /// By number. A number that is there already is replaced: sending a batch again does no harm.
    pub events: Vec<(u64, Vec<u8>)>,
    /// By dependency and number.
    pub verdicts: Vec<(String, u64, Vec<u8>)>,
    /// Records to be appended, by dependency, route, and hour since 1970.
    pub minutes: Vec<(String, String, u64, Vec<u8>)>,
    /// For the recording.
    pub blocks: Vec<Block>,
}

/// Why a batch is not on the disk, as far as is known. It is to be sent again.
#[derive(Debug)]
pub enum NotWritten {
    /// It cannot be written, for this reason.
    Failed(String),
    /// It could be, but the ledger holds what nobody knew when it was sent: it could not be read at the start.
    Found(Box<Found>),
}

/// A batch, and whom to tell.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) tell: oneshot::Sender<Result<(), NotWritten>>,
}

/// What the thread owns.
pub(super) struct Writer<M> {
    medium: M,
    /// The gate's state as versions before the ledger kept it.
    old_state: PathBuf,
    recording: Recording,
    shared: Shared,
    /// What is in `shared` can be written.
    is_writable: bool,
    known: Known,
}

/// What those know of the ledger who send the batches.
enum Known {
    /// Nothing.
    Nothing,
    /// What could be read while it could not be written; another process may write it meanwhile.
    Seen(Found),
    /// What is in it: they were told, or sent it themselves.
    All,
}

/// Why the ledger cannot be written.
enum Unopened {
    /// It may be possible later.
    ForNow(String),
    /// It will not be.
    ForGood(LedgerError),
}

impl From<LedgerError> for Unopened {
    fn from(error: LedgerError) -> Self {
        Self::ForGood(error)
    }
}

impl std::fmt::Display for Unopened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ForNow(reason) => f.write_str(reason),
            Self::ForGood(error) => error.fmt(f),
        }
    }
}

/// Why nothing is known of a disk.
pub(super) fn hangs(patience: Duration) -> String {
    format!("the disk has not answered for {} s", patience.as_secs())
}

impl<M: Medium> Writer<M> {
    pub(super) fn new(medium: M, old_state: PathBuf, recording: PathBuf, shared: Shared) -> Self {
        let recording = Recording::new(recording);
        Self { medium, old_state, recording, shared, is_writable: false, known: Known::Nothing }
    }

    /// Opens the ledger, tells what is in it, and writes until nobody can send any more.
    pub(super) fn run(mut self, tell: &mpsc::SyncSender<Result<Found, LedgerError>>, given: &mpsc::Receiver<Job>) {
        let begun = self.begin();
        let found = begun.as_ref().ok().cloned();
        match (tell.send(begun), found) {
            (Ok(()), Some(found)) => self.known = if self.is_writable { Known::All } else { Known::Seen(found) },
            // Whoever started this thread ends with it.
            (Ok(()), None) => return,
            // Nobody waited that long: they are told instead of what they ask for first.
            (Err(_), _) => {
                replace(&self.shared, None);
                self.is_writable = false;
            }
        }
        while let Ok(Job { batch, tell }) = given.recv() {
            // Whoever sent it may have gone; what was sent is written all the same.
            let _ = tell.send(self.write(&batch));
        }
    }

    fn begin(&mut self) -> Result<Found, LedgerError> {
        let reason = match self.open() {
            Ok(found) => return Ok(found),
            Err(Unopened::ForGood(error)) => return Err(error),
            Err(Unopened::ForNow(reason)) => reason,
        };
        let seen = self.medium.look().and_then(|database| Ok((tables::look(&database)?, database)));
        let found = seen.map(|(found, database)| {
            replace(&self.shared, Some(Arc::new(database)));
            found
        });
        Ok(Found { unavailable: Some(reason), ..found.unwrap_or_default() })
    }

    /// Opens it to be written.
    fn open(&mut self) -> Result<Found, Unopened> {
        let (found, database) = self.open_or_set_aside()?;
        let found = if found.state.is_none() { self.take_over(&database, found)? } else { found };
        replace(&self.shared, Some(Arc::new(database)));
        self.is_writable = true;
        Ok(found)
    }

    fn open_or_set_aside(&self) -> Result<(Found, Database), Unopened> {
        let open = || {
            let opened = unless_it_panics(|| self.medium.open().and_then(|it| Ok((tables::look(&it)?, it))));
            opened.unwrap_or_else(|reason| Err(OpenFailure::Damaged(reason)))
        };
        open().or_else(|failure| match failure {
            OpenFailure::Damaged(reason) => {
                let aside = self.medium.set_aside().map_err(LedgerError::from)?;
                tracing::error!(
                    "the ledger is damaged ({reason}); it is now {}, and what it said is forgotten: where nothing else is \
                     known, a rollout starts from no evidence at 0 %",
                    aside.display()
                );
                open().map_err(|failure| self.unopened(failure))
            }
            other => Err(self.unopened(other)),
        })
    }

    fn unopened(&self, failure: OpenFailure) -> Unopened {
        match failure {
            OpenFailure::InUse(error) => LedgerError::InUse(error).into(),
            OpenFailure::Newer(found) => LedgerError::Newer { path: self.medium.path(), found }.into(),
            OpenFailure::Damaged(reason) | OpenFailure::Io(reason) => Unopened::ForNow(reason),
        }
    }

    /// The state of versions before the ledger, once.
    fn take_over(&self, database: &Database, found: Found) -> Result<Found, LedgerError> {
        let old_state = &self.old_state;
        let state = match state_file::load::<serde_json::Value>(old_state) {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(found),
            Err(error @ StateError::Damaged { .. }) => {
                let aside = state_file::set_aside(old_state)?;
                tracing::error!(
                    "{error}; it is now {}, and every rollout starts from no evidence at 0 %",
                    aside.display()
                );
                return Ok(found);
            }
            Err(error) => return Err(error.into()),
        };
        let last_event = found.last_event.max(state["last_event"].as_u64().unwrap_or_default());
        let state = Some(state.to_string().into_bytes());
        match apply(database, &Batch { state: state.clone(), ..Batch::default() }) {
            // Its content is in the ledger: the file must not be taken over again.
            Ok(()) => state_file::retire(old_state)?,
            Err(error) => {
                tracing::error!("the state of an earlier version cannot be written to the ledger yet: {error}");
            }
        }
        Ok(Found { state, last_event, ..found })
    }

    fn write(&mut self, batch: &Batch) -> Result<(), NotWritten> {
        if !self.is_writable {
            let found = self.open().map_err(|why| NotWritten::Failed(format!("the ledger cannot be opened: {why}")))?;
            let is_news = match std::mem::replace(&mut self.known, Known::All) {
                Known::Nothing => true,
                Known::Seen(seen) => seen.content() != found.content(),
                Known::All => false,
            };
            if is_news {
                return Err(NotWritten::Found(Box::new(found)));
            }
        }
        self.record(batch).map_err(NotWritten::Failed)?;
        let database = current(&self.shared).ok_or_else(|| NotWritten::Failed("the ledger is closed".to_owned()))?;
        let applied = unless_it_panics(|| apply(&database, batch));
        if let Ok(Ok(())) = applied {
            return Ok(());
        }
        // After a failed write the file is in an unknown state until it is opened again.
        replace(&self.shared, None);
        self.is_writable = false;
        Err(NotWritten::Failed(match applied {
            Ok(written) => written.err().map(|error| error.to_string()).unwrap_or_default(),
            Err(reason) => self.give_up(database, reason),
        }))
    }

    /// A file that makes the store panic is damaged where opening it does not look: the next batch begins another one.
    fn give_up(&self, database: Arc<Database>, reason: String) -> String {
        // Closing it looks at the same places; whoever still reads it lets go of it later.
        let _ = unless_it_panics(|| drop(database));
        match self.medium.set_aside() {
            Ok(aside) => tracing::error!("the ledger is damaged ({reason}); it is now {}", aside.display()),
            Err(error) => tracing::error!("the ledger is damaged ({reason}), and cannot be set aside: {error}"),
        }
        reason
    }

    fn record(&mut self, batch: &Batch) -> Result<(), String> {
        let recorded = batch.blocks.iter().try_for_each(|block| self.recording.append(block));
        recorded.map_err(|error| format!("the recording cannot be written: {error}"))
    }
}

/// The store reads a damaged file without looking at everything first, and panics where it meets what cannot be.
fn unless_it_panics<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the store panics on it".to_owned())
}

pub(super) fn apply(database: &Database, batch: &Batch) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    // A commit takes some 10 ms with it and 4 ms without; to open 2.4 GB after a crash, 16 ms with it and 5.5 s without.
    transaction.set_quick_repair(true);
    if let Some(state) = &batch.state {
        transaction.open_table(STATE)?.insert(GATE, sealed(state).as_slice())?;
    }
    add_events(&transaction, batch)?;
    add_verdicts(&transaction, batch)?;
    add_minutes(&transaction, batch)?;
    transaction.commit()?;
    Ok(())
}

fn add_events(transaction: &redb::WriteTransaction, batch: &Batch) -> Result<(), Error> {
    if batch.events.is_empty() {
        return Ok(());
    }
    let mut events = transaction.open_table(EVENTS)?;
    for (id, event) in &batch.events {
        events.insert(*id, event.as_slice())?;
    }
    prune::events(&mut events)
}

fn add_verdicts(transaction: &redb::WriteTransaction, batch: &Batch) -> Result<(), Error> {
    let Some(last) = batch.verdicts.iter().map(|(_, number, _)| *number).max() else { return Ok(()) };
    set_last_verdict(transaction, last)?;
    let mut verdicts = transaction.open_table(VERDICTS)?;
    for (dependency, number, verdict) in &batch.verdicts {
        verdicts.insert((dependency.as_str(), *number), verdict.as_slice())?;
    }
    prune::verdicts(&mut verdicts)
}

fn add_minutes(transaction: &redb::WriteTransaction, batch: &Batch) -> Result<(), Error> {
    let Some(last) = batch.minutes.iter().map(|(.., hour, _)| *hour).max() else { return Ok(()) };
    let mut hours = transaction.open_table(HOURS)?;
    for (dependency, route, hour, record) in &batch.minutes {
        let key = (dependency.as_str(), route.as_str(), *hour);
        let mut row = hours.get(key)?.map(|row| row.value().to_vec()).unwrap_or_default();
        // A batch is sent again when it is not known whether it was written.
        if !row.windows(record.len().max(1)).any(|there| there == record) {
            row.extend_from_slice(record);
            hours.insert(key, row.as_slice())?;
        }
    }
    prune::hours(&mut hours, last)
}
