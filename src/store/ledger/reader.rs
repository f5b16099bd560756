//! The reading end: sees what was committed, while more is being written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Database, Error, ReadableDatabase, ReadableTable};

use super::tables::{EVENTS, HOURS, VERDICTS};
use super::{Shared, current, replace};

/// Between two looks whether somebody still reads.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// Which rows, by number: those after `after`, up to `most` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number before the first one; 0: from the first.
    pub after: u64,
    /// How many at most.
    pub most: usize,
}

/// The reading end; clones share the file. Its methods wait for the disk: not for the control plane's thread.
#[derive(Debug, Clone)]
pub struct Reader(Shared);

impl Reader {
    pub(super) const fn new(shared: Shared) -> Self {
        Self(shared)
    }

    /// Closes the file, for another process to open it; waits until nobody reads any more, at most for `patience`, and
    /// says whether that was enough. Only after the writing end was dropped, which would open it again.
    pub async fn close(&self, patience: Duration) -> bool {
        let since = Instant::now();
        let Some(mut database) = replace(&self.0, None) else { return true };
        loop {
            match Arc::try_unwrap(database) {
                // Here, and not wherever the last reader ends: the file is closed when this says so. The disk may hang.
                Ok(unread) => {
                    let closing = tokio::task::spawn_blocking(move || drop(unread));
                    return tokio::time::timeout(patience, closing).await.is_ok();
                }
                Err(read) if since.elapsed() < patience => database = read,
                Err(_) => return false,
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Events in their order.
    ///
    /// # Errors
    /// Why the ledger cannot be read now.
    pub fn events(&self, span: Span) -> Result<Vec<(u64, Vec<u8>)>, String> {
        self.read(|database| {
            let events = database.begin_read()?.open_table(EVENTS)?;
            let rows = events.range(span.after.saturating_add(1)..)?.take(span.most);
            rows.map(|row| row.map(|(id, event)| (id.value(), event.value().to_vec())).map_err(Error::from)).collect()
        })
    }

    /// Shows events to `keep`, the newest first, until it says no.
    ///
    /// # Errors
    /// Why the ledger cannot be read now.
    pub fn each_event_back(&self, mut keep: impl FnMut(u64, &[u8]) -> bool) -> Result<(), String> {
        self.read(|database| {
            let events = database.begin_read()?.open_table(EVENTS)?;
            for row in events.iter()?.rev() {
                let (id, event) = row?;
                if !keep(id.value(), event.value()) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The last changes of a dependency's verdict, the newest first.
    ///
    /// # Errors
    /// Why the ledger cannot be read now.
    pub fn verdicts(&self, dependency: &str, most: usize) -> Result<Vec<Vec<u8>>, String> {
        self.read(|database| {
            let verdicts = database.begin_read()?.open_table(VERDICTS)?;
            let rows = verdicts.range((dependency, 0)..=(dependency, u64::MAX))?.rev().take(most);
            rows.map(|row| row.map(|(_, verdict)| verdict.value().to_vec()).map_err(Error::from)).collect()
        })
    }

    /// Shows the counts of a route since an hour, in order: the hour since 1970, and its records one after the other.
    ///
    /// # Errors
    /// Why the ledger cannot be read now.
    pub fn each_hour(
        &self,
        (dependency, route): (&str, &str),
        since: u64,
        mut show: impl FnMut(u64, &[u8]),
    ) -> Result<(), String> {
        self.read(|database| {
            let hours = database.begin_read()?.open_table(HOURS)?;
            for row in hours.range((dependency, route, since)..=(dependency, route, u64::MAX))? {
                let (key, records) = row?;
                show(key.value().2, records.value());
            }
            Ok(())
        })
    }

    /// The routes of a dependency that were ever counted.
    ///
    /// # Errors
    /// Why the ledger cannot be read now.
    pub fn routes(&self, dependency: &str) -> Result<Vec<String>, String> {
        self.read(|database| {
            let hours = database.begin_read()?.open_table(HOURS)?;
            let mut routes: Vec<String> = Vec::new();
            loop {
                // From one route to the next without reading what lies between.
                let last = routes.last().map(String::as_str).unwrap_or_default();
                let from = if routes.is_empty() { 0 } else { u64::MAX };
                let Some(row) = hours.range((dependency, last, from)..)?.next() else { break };
                let key = row?.0;
                let (found, route, _) = key.value();
                if found != dependency {
                    break;
                }
                routes.push(route.to_owned());
            }
            Ok(routes)
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Arc<Database>) -> Result<T, Error>) -> Result<T, String> {
        let database = current(&self.0).ok_or_else(|| "the ledger cannot be opened at present".to_owned())?;
        read(&database).map_err(|error| error.to_string())
    }
}
