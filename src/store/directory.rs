//! The data directory, held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The data directory. Once its [ledger](super::Ledger) is open nobody else can use it, until that is dropped or the process
/// ends in whatever way.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: Arc<Lock>,
}

/// The lock of a data directory. It is the operating system's, so no stale one is ever left behind.
#[derive(Debug)]
pub(super) struct Lock {
    folder: PathBuf,
    /// `None` as long as the disk does not allow it.
    held: Mutex<Option<File>>,
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
    #[error("the data directory {} is in use by another process: stop it, start this one with --take-over, or give it a `data_dir` of its own", .0.display())]
    InUse(PathBuf),
}

impl DataDir {
    /// Names it. The disk is not touched, since it may not answer: whoever writes there makes and locks it first.
    pub fn at(path: &Path) -> Self {
        let lock = Lock { folder: path.to_owned(), held: Mutex::new(None) };
        Self { path: path.to_owned(), lock: Arc::new(lock) }
    }

    /// To be taken by whoever writes in the directory.
    pub(super) const fn lock(&self) -> &Arc<Lock> {
        &self.lock
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

/// An error with its cause.
pub(super) fn described(error: &DataDirError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

impl Lock {
    /// Makes the directory where it is absent, and takes the lock where it is not held yet. Waits for the disk, for ever if
    /// need be.
    ///
    /// # Errors
    /// As [`DataDirError`] tells.
    pub(super) fn take(&self) -> Result<(), DataDirError> {
        let folder = &self.folder;
        let failed = |source| DataDirError::Open { path: folder.clone(), source };
        // The option is replaced whole, so a panic elsewhere leaves nothing half done.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            fs::create_dir_all(folder).map_err(failed)?;
            let path = folder.join("lock");
            // A lock that is there can be taken on a read-only disk as well.
            let lock = File::create(&path).or_else(|error| File::open(&path).map_err(|_| error)).map_err(failed)?;
            match lock.try_lock() {
                Ok(()) => *held = Some(lock),
                Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(folder.clone())),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belongs_to_one_process_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("deep/data");
        let first = DataDir::at(&path);
        first.lock().take().expect("nobody has it");
        assert!(matches!(DataDir::at(&path).lock().take(), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::at(&path).lock().take().expect("nobody has it any more");
    }

    #[test]
    fn is_taken_once_it_can_be() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("data");
        fs::write(&path, "in the way").expect("the folder is writable");
        let data_dir = DataDir::at(&path);
        data_dir.lock().take().expect_err("a file is no directory");
        fs::remove_file(&path).expect("the folder is writable");
        data_dir.lock().take().expect("now it is free");
    }
}
