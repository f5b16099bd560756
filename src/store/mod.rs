//! What survives the process: the ledger, with the gate's state in it.

mod directory;
mod ledger;
mod recording;
mod state_file;

pub use directory::{DataDir, DataDirError};
#[cfg(test)]
pub(crate) use ledger::Disk;
pub use ledger::{Batch, FORMAT, Found, Ledger, LedgerError, NotWritten, Reader, Receipt, Span};
pub use recording::{Block, read_recording};
pub use state_file::StateError;
