//! What goes from the ledger so that it stays bounded, the oldest first; a little with each batch, so that none takes long.
//!
//! What belongs to a dependency or a route that has left the configuration goes by the same rules as the rest.

use redb::{Error, ReadableTable, ReadableTableMetadata, Table};

/// Events that are kept; with one a minute, 400 days of them are 576 000. At some 700 bytes each.
const MOST_EVENTS: u64 = 600_000;
/// Changes of the verdict that are kept, of all dependencies together; at some 900 bytes each.
const MOST_VERDICTS: u64 = 600_000;
/// Hours of counts that are kept: 400 days.
const HOURS_KEPT: u64 = 400 * 24;
/// Rows of counts that are kept, of all routes together: a hundred routes for 400 days. At most 5 kB each, where a route has
/// traffic in every minute.
const MOST_HOURS: u64 = 1_000_000;
/// Rows of each kind that one batch removes at most.
const AT_ONCE: usize = 1000;
/// Where there are too many rows of counts, so many hours of the oldest go together.
const DAY: u64 = 24;

type Events<'a> = Table<'a, u64, &'static [u8]>;
type Verdicts<'a> = Table<'a, (&'static str, u64), &'static [u8]>;
type Hours<'a> = Table<'a, (&'static str, &'static str, u64), &'static [u8]>;

pub(super) fn events(events: &mut Events<'_>) -> Result<(), Error> {
    for _ in 0..too_many(events, MOST_EVENTS)? {
        events.pop_first()?;
    }
    Ok(())
}

/// The lowest numbers go, whosever they are: numbers are given out one after the other.
pub(super) fn verdicts(verdicts: &mut Verdicts<'_>) -> Result<(), Error> {
    for _ in 0..too_many(verdicts, MOST_VERDICTS)? {
        let firsts = first_verdicts(verdicts)?;
        let Some((dependency, number)) = firsts.into_iter().min_by_key(|(_, number)| *number) else { break };
        verdicts.remove((dependency.as_str(), number))?;
    }
    Ok(())
}

/// `now` is the hour that is running.
pub(super) fn hours(hours: &mut Hours<'_>, now: u64) -> Result<(), Error> {
    prune_hours(hours, now, MOST_HOURS)
}

fn prune_hours(hours: &mut Hours<'_>, now: u64, most: u64) -> Result<(), Error> {
    let firsts = first_hours(hours)?;
    let oldest = firsts.iter().map(|(.., hour)| *hour).min().unwrap_or_default();
    let crowded_out = if too_many(hours, most)? > 0 { oldest + DAY } else { 0 };
    let until = now.saturating_sub(HOURS_KEPT).max(crowded_out);
    let mut left = AT_ONCE;
    for (dependency, route, _) in firsts.iter().filter(|(.., first)| *first < until) {
        let (dependency, route) = (dependency.as_str(), route.as_str());
        let old = hours.range((dependency, route, 0)..(dependency, route, until))?.take(left);
        let old = old.map(|row| Ok(row?.0.value().2)).collect::<Result<Vec<u64>, Error>>()?;
        left -= old.len();
        for hour in old {
            hours.remove((dependency, route, hour))?;
        }
    }
    Ok(())
}

fn too_many(table: &impl ReadableTableMetadata, most: u64) -> Result<usize, Error> {
    Ok(table.len()?.saturating_sub(most).min(AT_ONCE as u64) as usize)
}

/// The lowest number of each dependency, without reading what lies behind it.
fn first_verdicts(verdicts: &Verdicts<'_>) -> Result<Vec<(String, u64)>, Error> {
    let mut firsts: Vec<(String, u64)> = Vec::new();
    loop {
        let from = firsts.last().map_or(("", 0), |(dependency, _)| (dependency.as_str(), u64::MAX));
        let Some(row) = verdicts.range(from..)?.next() else { return Ok(firsts) };
        let key = row?.0;
        let (dependency, number) = key.value();
        firsts.push((dependency.to_owned(), number));
    }
}

/// The first hour of each route of each dependency.
fn first_hours(hours: &Hours<'_>) -> Result<Vec<(String, String, u64)>, Error> {
    let mut firsts: Vec<(String, String, u64)> = Vec::new();
    loop {
        let last = firsts.last();
        let from = last.map_or(("", "", 0), |(dependency, route, _)| (dependency.as_str(), route.as_str(), u64::MAX));
        let Some(row) = hours.range(from..)?.next() else { return Ok(firsts) };
        let key = row?.0;
        let (dependency, route, hour) = key.value();
        firsts.push((dependency.to_owned(), route.to_owned(), hour));
    }
}

#[cfg(test)]
mod tests {
    use redb::{Database, backends::InMemoryBackend};

    use super::super::tables::HOURS;
    use super::*;

    /// The hours that are left of those at which rows were put in, for each route; the last hour is the present one.
    fn left(rows: &[(&str, u64)], most: u64) -> Vec<(String, u64)> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("memory");
        let transaction = database.begin_write().expect("memory");
        let mut hours = transaction.open_table(HOURS).expect("memory");
        for (dependency, hour) in rows {
            hours.insert((*dependency, "list", *hour), [0].as_slice()).expect("memory");
        }
        prune_hours(&mut hours, rows.last().map_or(0, |row| row.1), most).expect("memory");
        let keys = hours.iter().expect("memory").map(|row| {
            let key = row.expect("memory").0;
            (key.value().0.to_owned(), key.value().2)
        });
        keys.collect()
    }

    #[test]
    fn counts_of_what_left_the_configuration_go_with_their_time() {
        let rows = [("gone", 1), ("gone", 399), ("gone", 401), ("here", 399), ("here", HOURS_KEPT + 400)];
        assert_eq!(left(&rows, 100), [("gone".to_owned(), 401), ("here".to_owned(), HOURS_KEPT + 400)]);
    }

    #[test]
    fn where_there_are_too_many_the_oldest_day_goes_whosever_it_is() {
        let rows = [("a", 100), ("a", 200), ("b", 90), ("b", 113), ("b", 114), ("c", 201)];
        let names: Vec<_> = left(&rows, 5).into_iter().map(|(name, hour)| format!("{name}{hour}")).collect();
        assert_eq!(names, ["a200", "b114", "c201"]);
    }
}
