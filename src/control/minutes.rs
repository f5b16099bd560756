//! The minute that is running: what each route counts, until it goes to the ledger.

use std::collections::BTreeMap;

use super::outbox;
use crate::telemetry::{Minute, Report};

/// The running minute.
#[derive(Default)]
pub(super) struct Minutes {
    /// Since 1970; 0: none yet.
    minute: u64,
    /// By dependency and route; bounded by the configuration, where both come from.
    routes: BTreeMap<String, BTreeMap<String, Minute>>,
}

impl Minutes {
    /// Adds what a worker reported.
    pub(super) fn count(&mut self, report: &Report) {
        let id = &report.route;
        if !self.routes.contains_key(&id.dependency) {
            self.routes.insert(id.dependency.clone(), BTreeMap::new());
        }
        let Some(routes) = self.routes.get_mut(&id.dependency) else { return };
        if let Some(minute) = routes.get_mut(&id.route) {
            minute.count(&report.tally);
        } else {
            routes.entry(id.route.clone()).or_default().count(&report.tally);
        }
    }

    /// The records of the minute that has ended at `unix_s`, if one has. Each of `dependencies` has one without a route as
    /// well: it says that somebody was there to count.
    pub(super) fn take_ended(&mut self, unix_s: i64, dependencies: &[&str]) -> Vec<outbox::Minute> {
        let minute = u64::try_from(unix_s).unwrap_or_default() / 60;
        if self.minute == minute {
            return Vec::new();
        }
        let ended = std::mem::replace(&mut self.minute, minute);
        if ended == 0 { Vec::new() } else { self.take(ended, dependencies) }
    }

    /// The records of the minute that is running, at the end of the process.
    pub(super) fn take_rest(&mut self, dependencies: &[&str]) -> Vec<outbox::Minute> {
        if self.minute == 0 { Vec::new() } else { self.take(self.minute, dependencies) }
    }

    fn take(&mut self, minute: u64, dependencies: &[&str]) -> Vec<outbox::Minute> {
        let record = |dependency: &str, route: &str, counts: &Minute| outbox::Minute {
            dependency: dependency.to_owned(),
            route: route.to_owned(),
            hour: minute / 60,
            record: counts.encode((minute % 60) as u8),
        };
        let presence = dependencies.iter().map(|dependency| record(dependency, "", &Minute::default()));
        let mut records: Vec<_> = presence.collect();
        for (dependency, routes) in std::mem::take(&mut self.routes) {
            records.extend(routes.iter().map(|(route, counts)| record(&dependency, route, counts)));
        }
        records
    }
}
