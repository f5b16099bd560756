//! Where a ledger is kept, and in which ways it can be opened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use redb::{Database, StorageBackend};

use super::super::directory::{DataDir, DataDirError, Lock, described};
use super::super::state_file::{self, StateError};
use super::tables::{self, OpenFailure};

/// Where a ledger is kept. All methods wait for the disk.
pub(super) trait Medium: Send + 'static {
    /// Opens it to be written; makes a new one where there is none.
    ///
    /// # Errors
    /// As [`OpenFailure`] tells.
    fn open(&self) -> Result<Database, OpenFailure>;

    /// Opens it to be read only, on a disk that cannot be written: what is written to the result is lost with it.
    ///
    /// # Errors
    /// As [`OpenFailure`] tells, also where there is none.
    fn look(&self) -> Result<Database, OpenFailure>;

    /// Where it is, for people.
    fn path(&self) -> PathBuf;

    /// Moves a damaged one out of the way, and says where it is now.
    ///
    /// # Errors
    /// [`StateError::Io`]
    fn set_aside(&self) -> Result<PathBuf, StateError>;
}

/// A file in a data directory.
#[derive(Debug)]
pub(super) struct InDirectory {
    path: PathBuf,
    /// Whoever holds the directory decides how long this process does.
    lock: Weak<Lock>,
}

impl InDirectory {
    pub(super) fn new(data_dir: &DataDir) -> Self {
        Self { path: data_dir.ledger(), lock: Arc::downgrade(data_dir.lock()) }
    }
}

impl Medium for InDirectory {
    fn open(&self) -> Result<Database, OpenFailure> {
        let lock = self.lock.upgrade().ok_or_else(|| OpenFailure::Io("the process is ending".to_owned()))?;
        lock.take().map_err(|error| match error {
            DataDirError::InUse(_) => OpenFailure::InUse(error),
            DataDirError::Open { .. } => OpenFailure::Io(described(&error)),
        })?;
        tables::open(&self.path)
    }

    fn look(&self) -> Result<Database, OpenFailure> {
        let file = File::open(&self.path).map_err(|error| OpenFailure::Io(error.to_string()))?;
        tables::with(Overlay { file, written: Mutex::default() })
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn set_aside(&self) -> Result<PathBuf, StateError> {
        state_file::set_aside(&self.path)
    }
}

/// A file that is not written to: what should be is kept in memory. So a ledger on a read-only disk can be read even where
/// a crash left it in need of repair. What a repair writes is small; nothing else is written.
#[derive(Debug)]
struct Overlay {
    file: File,
    written: Mutex<Written>,
}

/// Pages by number, and the length where it was changed.
#[derive(Debug, Default)]
struct Written {
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    length: Option<u64>,
}

const PAGE: usize = 4096;

impl Overlay {
    fn page(&self, written: &Written, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = written.pages.get(&number) {
            return Ok(page.clone());
        }
        let (mut page, mut filled) = (Box::new([0; PAGE]), 0);
        while filled < PAGE {
            match self.file.read_at(&mut page[filled..], number * PAGE as u64 + filled as u64)? {
                // What lies behind the end of the file is zero.
                0 => break,
                read => filled += read,
            }
        }
        Ok(page)
    }

    /// Shows each page that the bytes from `offset` on lie in: its number, where in it they begin, and how many there are.
    fn each_page(
        offset: u64,
        length: usize,
        mut show: impl FnMut(u64, usize, usize, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let within = (at % PAGE as u64) as usize;
            let bytes = (PAGE - within).min(length - done);
            show(at / PAGE as u64, within, bytes, done)?;
            done += bytes;
        }
        Ok(())
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.length.map_or_else(|| Ok(self.file.metadata()?.len()), Ok)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        Self::each_page(offset, out.len(), |number, within, bytes, done| {
            let page = self.page(&written, number)?;
            out[done..done + bytes].copy_from_slice(&page[within..within + bytes]);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).length = Some(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        Self::each_page(offset, data.len(), |number, within, bytes, done| {
            let mut page = self.page(&written, number)?;
            page[within..within + bytes].copy_from_slice(&data[done..done + bytes]);
            written.pages.insert(number, page);
            Ok(())
        })
    }
}
