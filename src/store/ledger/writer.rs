//! The thread that writes: one transaction for each batch, flushed before it says so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use redb::{Database, Error, ReadableTable, ReadableTableMetadata};
use tokio::sync::oneshot;

use super::super::recording::{Block, Recording};
use super::tables::{EVENTS, GATE, HOURS, STATE, VERDICTS, open, sealed, set_last_verdict};
use super::{Shared, WAITING, current, replace};

/// Events that are kept; with one a minute, 400 days of them are 576 000. At some 700 bytes each.
const MOST_EVENTS: u64 = 600_000;
/// Changes of the verdict that are kept for each dependency; at some 900 bytes each.
const MOST_VERDICTS: u64 = 200_000;
/// Hours of counts that are kept: 400 days.
const HOURS_KEPT: u64 = 400 * 24;
/// Rows that one batch removes at most, so that none takes long.
const PRUNED_AT_ONCE: usize = 1000;

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

/// A batch, and whom to tell.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) tell: oneshot::Sender<Result<(), String>>,
}

pub(super) fn start(
    path: PathBuf,
    shared: Shared,
    recording: PathBuf,
) -> std::io::Result<(mpsc::SyncSender<Job>, thread::JoinHandle<()>)> {
    let (jobs, given) = mpsc::sync_channel::<Job>(WAITING);
    let thread = thread::Builder::new().name("ledger".to_owned()).spawn(move || {
        let mut recording = Recording::new(recording);
        while let Ok(Job { batch, tell }) = given.recv() {
            let written = record(&mut recording, &batch).and_then(|()| write(&path, &shared, &batch));
            // Whoever sent it may have gone; what was sent is written all the same.
            let _ = tell.send(written);
        }
    })?;
    Ok((jobs, thread))
}

fn record(recording: &mut Recording, batch: &Batch) -> Result<(), String> {
    let recorded = batch.blocks.iter().try_for_each(|block| recording.append(block));
    recorded.map_err(|error| format!("the recording cannot be written: {error}"))
}

fn write(path: &Path, shared: &Shared, batch: &Batch) -> Result<(), String> {
    let database = match current(shared) {
        Some(database) => database,
        None => reopen(path, shared)?,
    };
    apply(&database, batch).map_err(|error| {
        // After a failed write the file is in an unknown state until it is opened again.
        replace(shared, None);
        error.to_string()
    })
}

fn reopen(path: &Path, shared: &Shared) -> Result<Arc<Database>, String> {
    let database = open(path).map_err(|error| format!("the ledger {} cannot be opened: {error}", path.display()))?;
    let database = Arc::new(database);
    replace(shared, Some(Arc::clone(&database)));
    Ok(database)
}

pub(super) fn apply(database: &Database, batch: &Batch) -> Result<(), Error> {
    let transaction = database.begin_write()?;
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
    for _ in 0..PRUNED_AT_ONCE {
        if events.len()? <= MOST_EVENTS {
            break;
        }
        events.pop_first()?;
    }
    Ok(())
}

fn add_verdicts(transaction: &redb::WriteTransaction, batch: &Batch) -> Result<(), Error> {
    let Some(last) = batch.verdicts.iter().map(|(_, number, _)| *number).max() else { return Ok(()) };
    set_last_verdict(transaction, last)?;
    let mut verdicts = transaction.open_table(VERDICTS)?;
    for (dependency, number, verdict) in &batch.verdicts {
        verdicts.insert((dependency.as_str(), *number), verdict.as_slice())?;
        // Numbers are given out one after the other: whatever is this much older than the last one is too much.
        let oldest = number.saturating_sub(MOST_VERDICTS);
        let old = verdicts.range((dependency.as_str(), 0)..(dependency.as_str(), oldest))?.take(PRUNED_AT_ONCE);
        let old: Vec<u64> = old.map(|row| Ok(row?.0.value().1)).collect::<Result<_, Error>>()?;
        for number in old {
            verdicts.remove((dependency.as_str(), number))?;
        }
    }
    Ok(())
}

fn add_minutes(transaction: &redb::WriteTransaction, batch: &Batch) -> Result<(), Error> {
    if batch.minutes.is_empty() {
        return Ok(());
    }
    let mut hours = transaction.open_table(HOURS)?;
    for (dependency, route, hour, record) in &batch.minutes {
        let key = (dependency.as_str(), route.as_str(), *hour);
        let mut row = hours.get(key)?.map(|row| row.value().to_vec()).unwrap_or_default();
        // A batch is sent again when it is not known whether it was written.
        if !row.windows(record.len().max(1)).any(|there| there == record) {
            row.extend_from_slice(record);
            hours.insert(key, row.as_slice())?;
        }
        let oldest = hour.saturating_sub(HOURS_KEPT);
        let old = hours.range((key.0, key.1, 0)..(key.0, key.1, oldest))?.take(PRUNED_AT_ONCE);
        let old: Vec<u64> = old.map(|row| Ok(row?.0.value().2)).collect::<Result<_, Error>>()?;
        for hour in old {
            hours.remove((key.0, key.1, hour))?;
        }
    }
    Ok(())
}
