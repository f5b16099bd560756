//! What was found so far. The study writes into it, one exchange at a time, and the admin port reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;

use super::differences::{Differences, RouteDifferences};
use super::sample::Sample;
use super::samples::Samples;
use crate::config::{Dependency, Deployment, Live, Route};
use crate::outcome::Cause;
use crate::score::diff::{self, Options, Pattern};

/// What was found so far, for whoever asks. Clones share it. Every answer may take as long as the study takes with one
/// exchange, some milliseconds: not to be asked for on a thread that serves.
#[derive(Clone)]
pub struct Findings(Arc<Mutex<Book>>);

/// What was found so far.
pub(super) struct Book {
    pub(super) samples: Samples,
    /// There is something that is not in the file yet.
    pub(super) news: bool,
    /// By dependency and route.
    studies: BTreeMap<(String, String), diff::Study>,
    /// The configuration that all of this belongs to.
    live: Arc<Live>,
}

impl Findings {
    pub(super) fn new(book: Book) -> Self {
        Self(Arc::new(Mutex::new(book)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Book> {
        // What was found is found, and nothing is ever half entered.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples of V2's fallbacks, newest first: of one dependency, and where that is asked for of one route or cause.
    pub fn samples(&self, dependency: &str, route: Option<&str>, cause: Option<Cause>) -> Vec<Sample> {
        self.lock().samples.of(dependency, route, cause)
    }

    /// Where the answers of a dependency, or of one of its routes, differ. `today` is a day in UTC.
    pub fn differences(&self, dependency: &str, route: Option<&str>, today: Date) -> Differences {
        self.lock().differences(dependency, route, today)
    }
}

impl Book {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { samples: Samples::default(), news: false, studies: BTreeMap::new(), live }
    }

    /// Samples of former processes, before any of this one.
    pub(super) fn remember(&mut self, samples: Samples) {
        self.samples = samples;
        let deployment = Arc::clone(&self.live.deployment);
        self.samples.retain(|dependency, route| find(&deployment, dependency, route).is_some());
    }

    pub(super) fn sampled(&mut self, sample: Sample) {
        self.samples.add(sample);
        self.news = true;
    }

    /// The study of a route, if an exchange under these settings of it is of any use to it.
    pub(super) fn study(&mut self, dependency: &Dependency, route: &Route) -> Option<&mut diff::Study> {
        let deployment = &self.live.deployment;
        let now = find(deployment, &dependency.name, &route.name)?;
        if !is_compared_alike(now, (dependency, route)) {
            return None;
        }
        let options = options(deployment, now.1);
        let id = (dependency.name.clone(), route.name.clone());
        Some(self.studies.entry(id).or_insert_with(|| diff::Study::new(options)))
    }

    fn differences(&self, name: &str, only: Option<&str>, today: Date) -> Differences {
        let Some((_, dependency)) = self.live.deployment.dependency(name) else { return Differences::default() };
        let wanted = dependency.routes.iter().filter(|route| only.is_none_or(|only| route.name == only));
        let found = wanted.filter_map(|route| {
            let study = self.studies.get(&(name.to_owned(), route.name.clone()))?;
            Some(RouteDifferences::of(&route.name, study, &route.diff.options.ignore, today))
        });
        Differences::of(name, found.collect())
    }

    /// Forgets what belongs to routes that are not there any more, or whose answers are scored or compared in another way.
    pub(super) fn adopt(&mut self, live: Arc<Live>) {
        let old = std::mem::replace(&mut self.live, live);
        let (old, new) = (&old.deployment, &self.live.deployment);
        self.samples.retain(|dependency, route| {
            let (old, new) = (find(old, dependency, route), find(new, dependency, route));
            new.is_some_and(|new| old.is_none_or(|old| is_scored_alike(old, new)))
        });
        let shows_alike = old.study.allow == new.study.allow;
        self.studies.retain(|(dependency, route), study| {
            let (old, new) = (find(old, dependency, route), find(new, dependency, route));
            let (Some(old), Some(new)) = (old, new) else { return false };
            study.ignore(new.1.diff.options.ignore.clone());
            shows_alike && is_compared_alike(old, new)
        });
        self.news = true;
    }
}

/// A route, with whose it is.
type Place<'a> = (&'a Dependency, &'a Route);

fn find<'a>(deployment: &'a Deployment, dependency: &str, route: &str) -> Option<Place<'a>> {
    let (_, dependency) = deployment.dependency(dependency)?;
    dependency.routes.iter().find(|it| it.name == route).map(|route| (&**dependency, route))
}

/// Whether fallbacks of one would be fallbacks of the other.
fn is_scored_alike(old: Place<'_>, new: Place<'_>) -> bool {
    old.1.rules == new.1.rules && old.0.v2.response == new.0.v2.response
}

/// Whether differences of one would be differences of the other.
fn is_compared_alike(old: Place<'_>, new: Place<'_>) -> bool {
    let asked_alike = (&old.1.methods, &old.1.path) == (&new.1.methods, &new.1.path);
    asked_alike && old.0.v2.response == new.0.v2.response && old.1.diff.compares_like(&new.1.diff)
}

/// How answers are compared; labels are shown at the places that samples may show.
fn options(deployment: &Deployment, route: &Route) -> Options {
    let allowed = deployment.study.allow.iter().filter_map(|place| Pattern::parse(&place.to_string()).ok());
    Options { reveal: allowed.collect(), ..route.diff.options.clone() }
}
