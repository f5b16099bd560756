//! Configuration: as written, validated, and live.

mod deployment;
mod live;
mod pattern;
mod problem;
mod read;
mod rollout;
mod routing;

pub use deployment::{
    BackendSpec, Dependency, DependencyMatch, Deployment, Endpoint, HeaderSource, HostPolicy, Limits, OTHER,
    RequestMapping, Route,
};
pub use live::{Handle, Live, Plan};
pub use pattern::{Captures, PathPattern, PathTemplate};
pub use problem::{Problem, Problems, Severity};
pub use read::{
    Checked, check_deployment, check_rollouts, load_deployment, load_rollouts, parse_deployment, parse_rollouts, text,
};
pub use rollout::{Change, FreezeWindow, KeySource, Mode, RollbackTo, Rollout, Rollouts};
pub use routing::Routed;
