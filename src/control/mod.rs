//! The control plane: ten times a second it takes the workers' reports, judges, publishes, and records.

mod adopt;
mod asks;
mod clock;
mod drill;
mod files;
mod fit;
mod journal;
mod migration;
mod minutes;
mod mirror;
mod outbox;
mod plane;
mod preview;
mod recorder;
mod recording;
mod replay;
mod show;
mod state;
mod tell;
mod tidings;

#[cfg(test)]
mod model;

pub use files::Files;
pub use plane::{Control, OpenError};
pub use replay::{Backtest, Decision, ReplayError, backtest};
