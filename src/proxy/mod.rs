//! The data plane: pick, mirror, serve, score. Start reading at `exchange.rs`.

mod account;
mod capture;
mod draft;
mod exchange;
mod fault;
mod forwarded;
mod head;
mod hops;
mod interim;
mod leg;
mod pair;
mod pick;
mod probe;
mod refuse;
mod relay;
mod replay;
mod rescue;
mod scoring;
mod service;
mod shadow;
mod strict;
mod tee;
mod trace;
mod upgrade;
mod upload;
mod view;
mod worker;

pub use worker::{Shared, TICK, run};
