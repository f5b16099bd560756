//! What the file consists of, and how an older one becomes one of this version.

use std::io;
use std::path::Path;

use redb::{
    Database, DatabaseError, Error, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition,
    TableError,
};
use xxhash_rust::xxh3::xxh3_64;

use super::super::directory::DataDirError;
use super::Found;

/// The format that this version writes.
pub const FORMAT: u64 = 1;

/// Pages kept in memory: the ledger is written far more than it is read.
const CACHE: usize = 8 << 20;

/// `format`: the version of everything else here.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
/// `gate`: what the next process goes on with, replaced whole, after a checksum of its own: it is a permission, and the store
/// looks for torn pages, not for bits that a disk changed.
pub(super) const STATE: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("state");
/// Events by number.
pub(super) const EVENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("events");
/// Changes of the verdict by dependency and number.
pub(super) const VERDICTS: TableDefinition<'static, (&str, u64), &[u8]> = TableDefinition::new("verdicts");
/// Counts by dependency, route and hour: one record for each minute with traffic.
pub(super) const HOURS: TableDefinition<'static, (&str, &str, u64), &[u8]> = TableDefinition::new("hours");

/// Events of earlier processes that are read at the start.
const PAST: usize = 1000;

/// The one key of [`STATE`].
pub(super) const GATE: &str = "gate";
const FORMAT_KEY: &str = "format";
const LAST_VERDICT: &str = "last_verdict";

/// Why a file cannot be opened.
#[derive(Debug)]
pub(super) enum OpenFailure {
    /// It has this format, which is unknown here.
    Newer(u64),
    /// It is no ledger, or was one.
    Damaged(String),
    /// Another process uses the directory.
    InUse(DataDirError),
    /// The operating system says no; it may say yes later.
    Io(String),
}

impl std::fmt::Display for OpenFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer(found) => write!(f, "a newer version wrote it (format {found})"),
            Self::InUse(error) => error.fmt(f),
            Self::Damaged(reason) | Self::Io(reason) => f.write_str(reason),
        }
    }
}

impl From<Error> for OpenFailure {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupted(reason) => Self::Damaged(reason),
            Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => Self::Damaged(source.to_string()),
            Error::TableTypeMismatch { .. } | Error::TableIsMultimap(_) | Error::UpgradeRequired(_) => {
                Self::Damaged(error.to_string())
            }
            other => Self::Io(other.to_string()),
        }
    }
}

/// Opens a ledger, makes one where there is none, and brings an older one up to date.
pub(super) fn open(path: &Path) -> Result<Database, OpenFailure> {
    prepared(Database::builder().set_cache_size(CACHE).create(path))
}

/// The same for what is kept elsewhere than in a file of its own.
pub(super) fn with(backend: impl StorageBackend) -> Result<Database, OpenFailure> {
    prepared(Database::builder().set_cache_size(CACHE).create_with_backend(backend))
}

fn prepared(opened: Result<Database, DatabaseError>) -> Result<Database, OpenFailure> {
    let database = opened.map_err(|error| match error {
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::UnexpectedEof => {
            OpenFailure::Damaged("it is cut short".to_owned())
        }
        error => Error::from(error).into(),
    })?;
    migrate(&database)?;
    Ok(database)
}

/// Formats before the present one are brought up to date here, one step after the other; there are none yet.
fn migrate(database: &Database) -> Result<(), OpenFailure> {
    match format(database)? {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => Err(OpenFailure::Newer(newer)),
        _ => begin(database).map_err(OpenFailure::from),
    }
}

fn format(database: &Database) -> Result<Option<u64>, Error> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get(FORMAT_KEY)?.map(|found| found.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All tables, and the format.
fn begin(database: &Database) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(STATE)?;
    transaction.open_table(EVENTS)?;
    transaction.open_table(VERDICTS)?;
    transaction.open_table(HOURS)?;
    transaction.commit()?;
    Ok(())
}

/// What the next process goes on with.
pub(super) fn look(database: &Database) -> Result<Found, Error> {
    let transaction = database.begin_read()?;
    let state = transaction.open_table(STATE)?.get(GATE)?.map(|state| whole(state.value())).transpose()?;
    let last_verdict = transaction.open_table(META)?.get(LAST_VERDICT)?.map_or(0, |last| last.value());
    let events = transaction.open_table(EVENTS)?;
    let last_event = events.last()?.map_or(0, |(id, _)| id.value());
    let past = events.iter()?.rev().take(PAST).map(|row| Ok(row?.1.value().to_vec()));
    let past = past.collect::<Result<_, Error>>()?;
    Ok(Found { state, last_event, last_verdict, past, unavailable: None })
}

/// A state as it is kept.
pub(super) fn sealed(state: &[u8]) -> Vec<u8> {
    [&xxh3_64(state).to_le_bytes(), state].concat()
}

fn whole(sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = || Error::Corrupted("the checksum of the gate's state differs".to_owned());
    let (checksum, state) = sealed.split_first_chunk::<8>().ok_or_else(damaged)?;
    if *checksum == xxh3_64(state).to_le_bytes() { Ok(state.to_vec()) } else { Err(damaged()) }
}

/// Remembers the number of the last verdict, which is not the last key of its table.
pub(super) fn set_last_verdict(transaction: &redb::WriteTransaction, number: u64) -> Result<(), Error> {
    transaction.open_table(META)?.insert(LAST_VERDICT, number)?;
    Ok(())
}
