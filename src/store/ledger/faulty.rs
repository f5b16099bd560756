//! A disk for tests: it stops when it is told to, is full when it is told to, and forgets in a crash what was not flushed.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use redb::{Database, StorageBackend};

use super::super::state_file::StateError;
use super::medium::Medium;
use super::tables::{self, OpenFailure};

/// Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<(Mutex<Platter>, Condvar)>);

#[derive(Debug, Default)]
struct Platter {
    /// As it is read.
    bytes: Vec<u8>,
    /// As it was flushed last.
    flushed: Vec<u8>,
    /// Where, and what, since then.
    written: Vec<(usize, Vec<u8>)>,
    /// Operations until it stops; `None`: it does not.
    left: Option<u64>,
    /// Somebody waits for it.
    is_awaited: bool,
    is_full: bool,
    /// Nobody finds it.
    is_away: bool,
    /// Whoever opened it before the last crash is dead.
    life: u64,
}

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does so many more operations, and stops; `None`: does not stop.
    pub(crate) fn go_on(&self, operations: Option<u64>) {
        let mut platter = self.platter();
        (platter.left, platter.is_awaited) = (operations, false);
        self.0.1.notify_all();
    }

    /// Takes nothing more.
    pub(crate) fn fill(&self, is_full: bool) {
        self.platter().is_full = is_full;
    }

    /// Cannot be opened.
    pub(crate) fn unmount(&self, is_away: bool) {
        self.platter().is_away = is_away;
    }

    /// Somebody waits for it to go on.
    pub(crate) fn is_awaited(&self) -> bool {
        self.platter().is_awaited
    }

    /// The machine loses power, and starts again. Of what was not flushed only what `survives` says is there, by number.
    pub(crate) fn crash(&self, survives: impl Fn(usize) -> bool) {
        let mut platter = self.platter();
        let mut bytes = std::mem::take(&mut platter.flushed);
        for (_, (at, data)) in std::mem::take(&mut platter.written).into_iter().enumerate().filter(|it| survives(it.0))
        {
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[at..at + data.len()].copy_from_slice(&data);
        }
        *platter = Platter { flushed: bytes.clone(), bytes, life: platter.life + 1, ..Platter::default() };
        self.0.1.notify_all();
    }
}

impl Medium for Disk {
    fn open(&self) -> Result<Database, OpenFailure> {
        let platter = self.platter();
        if platter.is_away {
            return Err(OpenFailure::Io("no such disk".to_owned()));
        }
        let life = platter.life;
        drop(platter);
        tables::with(Opened { disk: self.clone(), life })
    }

    fn look(&self) -> Result<Database, OpenFailure> {
        Err(OpenFailure::Io("nobody can read it who cannot write it".to_owned()))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("the disk of a test")
    }

    fn set_aside(&self) -> Result<PathBuf, StateError> {
        panic!("no crash damages a ledger")
    }
}

/// The disk, by whoever opened it in one of its lives.
#[derive(Debug)]
struct Opened {
    disk: Disk,
    life: u64,
}

impl Opened {
    /// Waits until the disk goes on.
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let mut platter = self.disk.platter();
        while platter.life == self.life && platter.left == Some(0) {
            platter.is_awaited = true;
            platter = self.disk.0.1.wait(platter).unwrap_or_else(PoisonError::into_inner);
        }
        if platter.life != self.life {
            return Err(io::Error::other("the power is gone"));
        }
        platter.left = platter.left.map(|left| left - 1);
        Ok(platter)
    }

    fn to_write(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.platter()?;
        if platter.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(platter) }
    }
}

impl StorageBackend for Opened {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter()?;
        let at = offset as usize;
        let there = platter.bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(there);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platter = self.to_write()?;
        // A file system that reorders this with what is written into the new pages is asking too much of a test.
        platter.bytes.resize(length as usize, 0);
        platter.flushed.resize(length as usize, 0);
        platter.written.retain(|(at, data)| (at + data.len()) as u64 <= length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.to_write()?;
        for (at, data) in std::mem::take(&mut platter.written) {
            platter.flushed[at..at + data.len()].copy_from_slice(&data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.to_write()?;
        let at = offset as usize;
        platter.bytes[at..at + data.len()].copy_from_slice(data);
        platter.written.push((at, data.to_vec()));
        Ok(())
    }
}
