//! Configuration: as written, validated, and live.

mod deployment;
mod drill;
mod forwarded;
mod live;
mod mapping;
mod pattern;
mod problem;
mod read;
mod render;
mod resilience;
mod rollout;
mod routing;
mod study;
mod template;
mod tls;
mod token;
mod watch;

pub use deployment::{
    BackendSpec, Dependency, DependencyMatch, Deployment, Endpoint, HeaderSource, HostPolicy, Limits, OTHER, Protocol,
    RequestMapping, Route,
};
pub use drill::{Drill, Fault, Struck};
pub use forwarded::{Forwarded, ForwardedStyle, Network, NotANetwork};
pub use live::{Handle, Live, Plan, content_hash};
pub use mapping::retain_headers;
pub use pattern::{Captures, PathPattern};
pub use problem::{Problem, Problems, Severity};
pub use read::{
    Checked, FileKind, check_deployment, check_rollouts, load_deployment, load_rollouts, parse_deployment,
    parse_rollouts, text,
};
pub use resilience::{HealthCheck, RetryPolicy};
pub use rollout::{Change, KeySource, Rollout, Rollouts};
pub use routing::Routed;
pub use study::{Diff, Study};
pub use template::PathTemplate;
pub use tls::{ClientTls, EndpointTls, ServerTls};
pub use token::Token;
pub use watch::{Watch, WatchedPaths, watch};
