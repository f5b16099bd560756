//! Configuration: as written, validated, and live.

mod deployment;
mod pattern;
mod rollout;

pub use deployment::{
    BackendSpec, Dependency, DependencyMatch, Deployment, Endpoint, HeaderSource, HostPolicy, Limits, OTHER,
    RequestMapping, Route,
};
pub use pattern::{PathPattern, PathTemplate};
pub use rollout::{Change, FreezeWindow, KeySource, Mode, RollbackTo, Rollout, Rollouts};
