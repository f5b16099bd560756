//! The ledger: what happened, what the gate said, and what it allows, in one file that a crash cannot tear.
//!
//! One thread writes, one transaction at a time, and says of each whether it is on the disk; nobody waits for it who does not
//! want to. A transaction that fails closes the file, and the next one opens it again: a disk that was full or read-only is
//! noticed when it is not any more. What could not be written is the sender's to send again.
//!
//! The ledger knows keys, order and bytes; what the bytes mean is the business of those who write and read them.

#[cfg(test)]
mod faulty;
mod medium;
mod prune;
mod reader;
mod tables;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use redb::Database;
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use faulty::Disk;
pub use reader::{Reader, Span};
pub use tables::FORMAT;
pub use writer::{Batch, NotWritten};

use super::directory::{DataDir, DataDirError, Lock};
use super::state_file::StateError;
use medium::{InDirectory, Medium};
use writer::Writer;

/// Batches that wait for the disk; the sender keeps what finds no room.
const WAITING: usize = 4;
/// At the start a disk has this long to answer. After a crash it may take a while: see benches/README.md.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Another process uses the data directory.
    #[error(transparent)]
    InUse(DataDirError),
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
    /// The last events, newest first.
    pub past: Vec<Vec<u8>>,
    /// Why the file could not be opened to be written, if it could not; it is tried again with each batch. What is found all
    /// the same could be read.
    pub unavailable: Option<String>,
}

impl Found {
    /// What tells a ledger from what another process made of it.
    fn content(&self) -> (Option<&[u8]>, u64, u64) {
        (self.state.as_deref(), self.last_event, self.last_verdict)
    }
}

/// Says how a batch fared.
pub type Receipt = oneshot::Receiver<Result<(), NotWritten>>;

/// The writing end.
#[derive(Debug)]
pub struct Ledger {
    jobs: mpsc::SyncSender<writer::Job>,
    reader: Reader,
    /// Ends with the sender of its jobs.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests wait for it"))]
    thread: thread::JoinHandle<()>,
    /// The directory is this process's as long as somebody may write there. The thread itself does not hold it: a disk that
    /// never answers would hold it for ever.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is held"))]
    lock: Option<Arc<Lock>>,
}

/// The open file, shared by the writer and its readers; `None` while it cannot be opened.
type Shared = Arc<Mutex<Option<Arc<Database>>>>;

impl Ledger {
    /// Opens the ledger of a data directory, or makes a new one; takes over the state of earlier versions. A damaged file is
    /// set aside and told: it is no permission for anything. A file that cannot be opened now is read if it can be, and tried
    /// again with each batch. All of it, the directory and its lock included, happens on the ledger's own thread; a disk that
    /// does not answer is waited for 5 s, and heard later.
    ///
    /// # Errors
    /// As [`LedgerError`] tells.
    pub fn open(data_dir: &DataDir) -> Result<(Self, Found), LedgerError> {
        let medium = InDirectory::new(data_dir);
        let (ledger, found) = Self::on(medium, data_dir.gate_state(), data_dir.recording(), PATIENCE)?;
        Ok((Self { lock: Some(Arc::clone(data_dir.lock())), ..ledger }, found))
    }

    /// On a disk that a test has in hand.
    #[cfg(test)]
    pub(crate) fn on_disk(disk: &Disk, data_dir: &std::path::Path) -> (Self, Found) {
        let (old_state, recording) = (data_dir.join("gate.state"), data_dir.join("recording"));
        Self::on(disk.clone(), old_state, recording, PATIENCE).expect("no version but this one wrote it")
    }

    fn on(
        medium: impl Medium,
        old_state: PathBuf,
        recording: PathBuf,
        patience: Duration,
    ) -> Result<(Self, Found), LedgerError> {
        let shared = Shared::default();
        let reader = Reader::new(Arc::clone(&shared));
        let (jobs, given) = mpsc::sync_channel(WAITING);
        let (tell, opened) = mpsc::sync_channel(0);
        let writer = Writer::new(medium, old_state, recording, shared);
        let thread = thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || writer.run(&tell, &given)).map_err(LedgerError::Thread)?;
        let found = match opened.recv_timeout(patience) {
            Ok(found) => found?,
            Err(_) => Found { unavailable: Some(writer::hangs(patience)), ..Found::default() },
        };
        Ok((Self { jobs, reader, thread, lock: None }, found))
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
    pub fn write(&self, batch: Batch) -> Result<Receipt, Box<Batch>> {
        let (tell, receipt) = oneshot::channel();
        match self.jobs.try_send(writer::Job { batch, tell }) {
            Ok(()) => Ok(receipt),
            Err(mpsc::TrySendError::Full(job) | mpsc::TrySendError::Disconnected(job)) => Err(Box::new(job.batch)),
        }
    }
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
