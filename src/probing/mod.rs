//! Probes: a backend asked by hand, before any customer is involved.
//!
//! A probe goes the way of a request step by step (DNS, TCP, TLS, ALPN, HTTP, credentials, the rules of the route) and says
//! of each step how long it took, what was found, and, where it failed, what to mend under which key of `crossfade.toml`.
//! It opens connections of its own, with the same settings as real traffic, and leaves the pools, the gate and the hit rates
//! alone. Names, shapes, statuses and sizes are told; the value of a header and the content of a body never are.

mod asking;
mod credentials;
mod dial;
mod exchange;
mod look;
mod place;
mod probe;
mod protocol;
mod report;
mod rules;
mod shape;
mod tls;
mod visit;

pub use asking::{Asking, Wish, WishError};
pub use probe::{check_connections, probe};
pub use report::{Report, Scored, State, Step, StepName, Wrong};
