//! The data directory, held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The data directory; nobody else can open it until it is dropped, or its process ends in whatever way.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock is the operating system's, so no stale one is ever left behind.
    _lock: File,
}

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is not there and cannot be made, or not writable.
    #[error("failed to open the data directory {}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("the data directory {} is in use by another process: stop it, or give this one a `data_dir` of its own", .0.display())]
    InUse(PathBuf),
}

impl DataDir {
    /// Opens the directory, and makes it where it is absent.
    ///
    /// # Errors
    /// As [`DataDirError`] tells.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Open { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.redb")
    }

    /// The folder of what the judge saw.
    pub fn recording(&self) -> PathBuf {
        self.path.join("recording")
    }

    /// Samples of V2's fallbacks.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples.jsonl")
    }

    /// The gate's state as versions before the ledger kept it.
    pub fn gate_state(&self) -> PathBuf {
        self.path.join("gate.state")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belongs_to_one_process_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("deep/data");
        let first = DataDir::open(&path).expect("nobody has it");
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(&path).expect("nobody has it any more");
    }
}
