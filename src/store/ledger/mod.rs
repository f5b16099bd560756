//! The ledger: what happened, what the gate said, and what it allows, in one file that a crash cannot tear.
//!
//! One thread writes, one transaction at a time, and says of each whether it is on the disk; nobody waits for it who does not
//! want to. A transaction that fails closes the file, and the next one opens it again: a disk that was full or read-only is
//! noticed when it is not any more. What could not be written is the sender's to send again.
//!
//! The ledger knows keys, order and bytes; what the bytes mean is the business of those who write and read them.

mod reader;
mod tables;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use redb::Database;
use tokio::sync::oneshot;

pub use reader::{Reader, Span};
pub use tables::FORMAT;
pub use writer::Batch;

use super::directory::DataDir;
use super::state_file::{self, StateError};
use tables::OpenFailure;

/// Batches that wait for the disk; the sender keeps what finds no room.
const WAITING: usize = 4;

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A newer crossfade wrote it.
    #[error(
        "the ledger {} has format {found}, and this version knows formats up to {FORMAT}: run the version that wrote it, \
         or give this one a `data_dir` of its own",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The state of an earlier version cannot be read, or a damaged file cannot be moved.
    #[error(transparent)]
    State(#[from] StateError),
    /// The operating system refuses a thread.
    #[error("failed to start the ledger's thread")]
    Thread(#[source] std::io::Error),
}

/// What was found in a ledger when it was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// What was saved last.
    pub state: Option<Vec<u8>>,
    /// The number of the last event; 0: none.
    pub last_event: u64,
    /// The number of the last verdict; 0: none.
    pub last_verdict: u64,
    /// Why the file could not be opened, if it could not; it is tried again with each batch.
    pub unavailable: Option<String>,
}

/// The writing end.
#[derive(Debug)]
pub struct Ledger {
    jobs: mpsc::SyncSender<writer::Job>,
    reader: Reader,
    /// Ends with the sender of its jobs.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests wait for it"))]
    thread: std::thread::JoinHandle<()>,
}

/// The open file, shared by the writer and its readers; `None` while it cannot be opened.
type Shared = Arc<Mutex<Option<Arc<Database>>>>;

impl Ledger {
    /// Opens the ledger of a data directory, or makes a new one; takes over the state of earlier versions. A damaged file is
    /// set aside and told: it is no permission for anything. A file that cannot be opened now is tried again later.
    ///
    /// # Errors
    /// As [`LedgerError`] tells.
    pub fn open(data_dir: &DataDir) -> Result<(Self, Found), LedgerError> {
        let (path, old_state) = (&data_dir.ledger(), &data_dir.gate_state());
        let (database, found) = open_or_set_aside(path)?;
        let found = match &database {
            Some(database) if found.state.is_none() => take_over(database, found, old_state)?,
            _ => found,
        };
        let shared: Shared = Arc::new(Mutex::new(database.map(Arc::new)));
        let reader = Reader::new(Arc::clone(&shared));
        let (jobs, thread) = writer::start(path.clone(), shared, data_dir.recording()).map_err(LedgerError::Thread)?;
        Ok((Self { jobs, reader, thread }, found))
    }

    /// The reading end.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Hands over a batch. The receipt says whether all of it is on the disk, or, with the reason, that none of it is known to
    /// be. `Err` gives the batch back: the disk has not answered for a while.
    ///
    /// # Errors
    /// The batch, when there is no room for it.
    pub fn write(&self, batch: Batch) -> Result<oneshot::Receiver<Result<(), String>>, Box<Batch>> {
        let (tell, receipt) = oneshot::channel();
        match self.jobs.try_send(writer::Job { batch, tell }) {
            Ok(()) => Ok(receipt),
            Err(mpsc::TrySendError::Full(job) | mpsc::TrySendError::Disconnected(job)) => Err(Box::new(job.batch)),
        }
    }
}

fn open_or_set_aside(path: &Path) -> Result<(Option<Database>, Found), LedgerError> {
    let missing = |reason| (None, Found { unavailable: Some(reason), ..Found::default() });
    let opened = tables::open(path).and_then(|database| Ok((tables::look(&database)?, database)));
    match opened {
        Ok((found, database)) => Ok((Some(database), found)),
        Err(OpenFailure::Newer(found)) => Err(LedgerError::Newer { path: path.to_owned(), found }),
        Err(OpenFailure::Io(reason)) => Ok(missing(reason)),
        Err(OpenFailure::Damaged(reason)) => {
            let aside = state_file::set_aside(path)?;
            tracing::error!(
                "the ledger is damaged ({reason}); it is now {}, and every rollout starts from no evidence at 0 %",
                aside.display()
            );
            Ok(tables::open(path).map_or_else(|error| missing(error.to_string()), |new| (Some(new), Found::default())))
        }
    }
}

/// The state of versions before the ledger, once.
fn take_over(database: &Database, found: Found, old_state: &Path) -> Result<Found, LedgerError> {
    let state = match state_file::load::<serde_json::Value>(old_state) {
        Ok(Some(state)) => state,
        Ok(None) => return Ok(found),
        Err(error @ StateError::Damaged { .. }) => {
            let aside = state_file::set_aside(old_state)?;
            tracing::error!("{error}; it is now {}, and every rollout starts from no evidence at 0 %", aside.display());
            return Ok(found);
        }
        Err(error) => return Err(error.into()),
    };
    let last_event = found.last_event.max(state["last_event"].as_u64().unwrap_or_default());
    let state = Some(state.to_string().into_bytes());
    match writer::apply(database, &Batch { state: state.clone(), ..Batch::default() }) {
        // Its content is in the ledger: the file must not be taken over again.
        Ok(()) => state_file::retire(old_state)?,
        Err(error) => tracing::error!("the state of an earlier version cannot be written to the ledger yet: {error}"),
    }
    Ok(Found { state, last_event, ..found })
}

fn current(shared: &Shared) -> Option<Arc<Database>> {
    // The option is replaced whole, so a panic elsewhere leaves nothing half done.
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn replace(shared: &Shared, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
    std::mem::replace(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner), database)
}

#[cfg(test)]
mod tests;
