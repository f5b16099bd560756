//! The control plane: ten times a second it takes the workers' reports, judges, publishes, and records.

mod files;
mod migration;
mod outbox;
mod plane;
mod record;
mod show;
mod state;
mod tell;

pub use files::Files;
pub use plane::{Control, OpenError};
