//! The validated content of `rollout.toml`: what release managers decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gate::{FreezeWindow, Mode, Params, RollbackTo};
use crate::percent::Percent;
use crate::score::HeaderMatch;
use crate::stage::Stage;

/// Everything `rollout.toml` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rollouts {
    /// Who wants it and why; copied into every event it causes.
    pub change: Option<Change>,
    /// By name of dependency; a dependency that is not named here is in stage `off`.
    pub entries: BTreeMap<String, Arc<Rollout>>,
}

/// The optional `[change]` table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// Ticket, say.
    pub id: Option<String>,
    /// Person or team.
    pub by: Option<String>,
    /// In words.
    pub reason: Option<String>,
    /// When the change was committed; the start of the lead time.
    pub committed_at: Option<Timestamp>,
}

/// What people asked for, for one dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// XXH3-64 of the entry's canonical form; a different entry lifts a latched rollback.
    pub hash: u64,
    /// Which backends are called, and whose answer is served.
    pub stage: Stage,
    /// The highest percent people allow; zero outside `cutover` (100 in `complete`).
    pub ceiling: Percent,
    /// Strictly rising; the last one is the ceiling.
    pub steps: Vec<Percent>,
    /// Least time on each step, as long as `steps`.
    pub bake: Vec<Duration>,
    /// Steps that wait for a person; each is in `steps`.
    pub approve: Vec<Percent>,
    /// The gate's parameters; `None` in the stages that are not judged (`off`, `complete`).
    pub params: Option<Params>,
    /// Share of eligible requests that are shadowed.
    pub sample: Percent,
    /// Methods that may be sent twice; `None`: all (written `["*"]`).
    pub shadow_methods: Option<Vec<Method>>,
    /// The first one present buckets the request.
    pub key: Vec<KeySource>,
    /// Separates the buckets of different rollouts; default: the dependency's name.
    pub salt: String,
    /// Requests with any of these headers are served by V2 in `cutover`.
    pub force_v2: Vec<HeaderMatch>,
    /// Serve V1's rich answer where V2, the primary, gave a fallback.
    pub rescue: bool,
    /// Where a rollback goes.
    pub rollback_to: RollbackTo,
    /// Whether verdicts change the percent.
    pub mode: Mode,
    /// No promotion in these times.
    pub freeze: Vec<FreezeWindow>,
}

/// Where the bucketing key of a request is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `header:NAME`
    Header(HeaderName),
    /// `cookie:NAME`
    Cookie(String),
    /// `client-ip`: the address of the connection.
    ClientIp,
}
