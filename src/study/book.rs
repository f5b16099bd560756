//! What was found so far. The study writes into it, one exchange at a time, and the admin port reads it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sample::Sample;
use super::samples::Samples;
use crate::config::{Deployment, Live};
use crate::outcome::Cause;

/// What was found so far, for whoever asks. Clones share it. Every answer may take as long as the study takes with one
/// exchange, some milliseconds: not to be asked for on a thread that serves.
#[derive(Clone)]
pub struct Findings(Arc<Mutex<Book>>);

/// What was found so far.
#[derive(Default)]
pub(super) struct Book {
    pub(super) samples: Samples,
    /// Where samples survive the process.
    pub(super) file: PathBuf,
    pub(super) news: bool,
    /// The configuration that all of this belongs to.
    pub(super) live: Option<Arc<Live>>,
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
}

impl Book {
    pub(super) fn sampled(&mut self, sample: Sample) {
        self.samples.add(sample);
        self.news = true;
    }

    /// Forgets what belongs to routes that are not there any more, or are scored by other rules.
    pub(super) fn adopt(&mut self, live: Arc<Live>) {
        let (old, new) = (self.live.take(), &live.deployment);
        self.samples.retain(|dependency, route| {
            let old = old.as_ref().map(|live| &live.deployment);
            old.map_or_else(
                || has(new, dependency, route),
                |old| is_scored_alike(old, new, dependency, route).unwrap_or_else(|| has(new, dependency, route)),
            )
        });
        self.live = Some(live);
        self.news = true;
    }
}

fn has(deployment: &Deployment, dependency: &str, route: &str) -> bool {
    let dependency = deployment.dependency(dependency);
    dependency.is_some_and(|(_, dependency)| dependency.routes.iter().any(|it| it.name == route))
}

/// `None` where the route was not there before.
fn is_scored_alike(old: &Deployment, new: &Deployment, dependency: &str, route: &str) -> Option<bool> {
    let of = |deployment: &Deployment| {
        let (_, dependency) = deployment.dependency(dependency)?;
        dependency.routes.iter().find(|it| it.name == route).map(|route| route.rules.clone())
    };
    let old = of(old)?;
    Some(of(new).is_some_and(|new| new == old))
}
