//! crossfade moves traffic from version 1 of a dependency to version 2 without a customer noticing.

pub mod admin;
pub mod backend;
pub mod bucket;
pub mod cli;
pub mod config;
pub mod app;
pub mod console;
pub mod control;
pub mod gate;
pub mod hit_rate;
pub mod outcome;
pub mod percent;
pub mod proxy;
pub mod revision;
pub mod score;
pub mod stage;
pub mod store;
pub mod cap;
pub mod skip;
pub mod server;
pub mod telemetry;
pub mod upstream;
