//! The configuration in force: replaced whole by the control plane, read once by every request.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use xxhash_rust::xxh3::xxh3_64;

use super::deployment::Deployment;
use super::drill::Drill;
use super::rollout::{Rollout, Rollouts};
use crate::percent::Percent;
use crate::revision::Revision;
use crate::stage::Stage;

/// XXH3-64 of a file's content: the hash of its [`Revision`].
pub fn content_hash(source: &str) -> u64 {
    xxh3_64(source.as_bytes())
}

/// Everything that a request needs to know. Immutable: a request that holds one sees one revision from start to end.
#[derive(Debug, Clone)]
pub struct Live {
    /// Of the rollout file.
    pub revision: Revision,
    /// The content of `crossfade.toml`.
    pub deployment: Arc<Deployment>,
    /// The content of `rollout.toml`.
    pub rollouts: Arc<Rollouts>,
    /// One for each of `deployment.dependencies`, in the same order.
    pub plans: Vec<Arc<Plan>>,
}

impl Live {
    /// Puts both files together. `allowed` says what the gate permits to a dependency, by name.
    pub fn new(
        revision: Revision,
        deployment: Arc<Deployment>,
        rollouts: Arc<Rollouts>,
        mut allowed: impl FnMut(&str) -> Percent,
    ) -> Self {
        let plan = |name: &str| Arc::new(Plan::new(rollouts.entries.get(name).cloned(), allowed(name)));
        let plans = deployment.dependencies.iter().map(|it| it.name.as_str()).map(plan).collect();
        Self { revision, deployment, rollouts, plans }
    }
}

/// What is in force for one dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What people wrote; `None`: not in the rollout file, which is stage `off`.
    pub rollout: Option<Arc<Rollout>>,
    /// What the gate permits. Matters in stage `cutover` only.
    pub allowed: Percent,
    /// Share of bucketing keys whose primary is V2: 0 in `off` and `shadow`, min(ceiling, allowed) in `cutover`, 100 in
    /// `complete`.
    pub effective: Percent,
    /// A fault that is injected on purpose.
    pub drill: Option<Arc<Drill>>,
}

impl Plan {
    /// Derives the effective percent.
    pub fn new(rollout: Option<Arc<Rollout>>, allowed: Percent) -> Self {
        let effective = match rollout.as_deref() {
            Some(rollout) => match rollout.stage {
                Stage::Off | Stage::Shadow => Percent::ZERO,
                Stage::Cutover => rollout.ceiling.min(allowed),
                Stage::Complete => Percent::HUNDRED,
            },
            None => Percent::ZERO,
        };
        Self { rollout, allowed, effective, drill: None }
    }

    /// The stage; `off` for a dependency that the rollout file does not name.
    pub fn stage(&self) -> Stage {
        self.rollout.as_ref().map_or(Stage::Off, |rollout| rollout.stage)
    }
}

/// Where the configuration in force is found. Clones share it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    live: ArcSwap<Live>,
    /// Held while a writer derives the next value from the present one. Readers never take it.
    writing: Mutex<()>,
}

impl Handle {
    /// Starts with a first configuration.
    pub fn new(live: Live) -> Self {
        let shared = Shared { live: ArcSwap::from_pointee(live), writing: Mutex::new(()) };
        Self { shared: Arc::new(shared) }
    }

    /// What is in force now. Wait-free; keep the result for as long as a request lasts.
    pub fn load(&self) -> Arc<Live> {
        self.shared.live.load_full()
    }

    /// Whether `known` is still what is in force. Cheaper than [`load`](Self::load), and asked once per request.
    pub fn is_current(&self, known: &Arc<Live>) -> bool {
        Arc::ptr_eq(&self.shared.live.load(), known)
    }

    /// Puts a configuration in force, whatever was before.
    pub fn store(&self, live: Live) {
        self.update(|_| live);
    }

    /// Puts in force what `next` makes of the present configuration, and hands it back. Writers take turns, so that
    /// none overwrites what it has not seen; `next` must not call a writer of the same handle.
    pub fn update(&self, next: impl FnOnce(&Live) -> Live) -> Arc<Live> {
        // A writer that panicked has stored nothing: the lock protects no state of its own.
        let _turn = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let live = Arc::new(next(&self.shared.live.load()));
        self.shared.live.store(Arc::clone(&live));
        live
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("revision", &self.load().revision).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{parse_deployment, parse_rollouts};

    fn live(rollouts: &str, allowed: f64) -> Live {
        let deployment =
            "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nv1 = { url = \"http://a\" }\nv2 = { url = \"http://a\" }\n";
        let deployment = parse_deployment(deployment, Path::new("crossfade.toml")).expect("valid");
        let rollouts = parse_rollouts(rollouts, Path::new("rollout.toml"), Some(&deployment)).expect("valid");
        let allowed = Percent::from_f64(allowed).expect("valid");
        Live::new(Revision::default(), Arc::new(deployment), Arc::new(rollouts), |_| allowed)
    }

    #[test]
    fn the_effective_percent_is_the_lesser_of_ceiling_and_allowed() {
        for (rollouts, allowed, expected) in [
            ("", 50.0, 0.0),
            ("a = { stage = \"off\" }", 50.0, 0.0),
            ("a = { stage = \"shadow\", slo = 0.9 }", 50.0, 0.0),
            ("a = { stage = \"cutover\", slo = 0.9, percent = 20 }", 50.0, 20.0),
            ("a = { stage = \"cutover\", slo = 0.9, percent = 20 }", 5.0, 5.0),
            ("a = { stage = \"complete\" }", 0.0, 100.0),
        ] {
            let live = live(rollouts, allowed);
            assert_eq!(live.plans[0].effective, Percent::from_f64(expected).expect("valid"), "{rollouts}");
        }
    }

    #[test]
    fn a_reader_keeps_the_revision_it_began_with() {
        let handle = Handle::new(live("", 0.0));
        let before = handle.load();
        handle.update(|live| Live { revision: Revision { number: live.revision.number + 1, hash: 7 }, ..live.clone() });
        assert_eq!((before.revision.number, handle.load().revision.number), (0, 1));
    }

    #[test]
    fn no_writer_overwrites_what_it_has_not_seen() {
        let handle = Handle::new(live("", 0.0));
        let count = |handle: Handle| {
            for _ in 0..100 {
                handle.update(|live| {
                    let mut next = live.clone();
                    next.revision.number += 1;
                    next
                });
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| count(handle.clone()));
            }
        });
        assert_eq!(handle.load().revision.number, 400);
    }
}
