//! The data plane: pick, mirror, serve, score. Start reading at `exchange.rs`.

mod account;
mod capture;
mod entity_tag;
mod exchange;
mod fault;
mod forwarded;
mod head;
mod hops;
mod interim;
mod lane;
mod leg;
mod pair;
mod pick;
mod probe;
mod recast;
mod refuse;
mod relay;
mod replay;
mod rescue;
mod reshape;
mod sampling;
mod scoring;
mod service;
mod shadow;
mod strict;
mod tee;
mod trace;
mod trial;
mod upgrade;
mod upload;
mod view;
mod worker;

pub use worker::{Shared, TICK, run};
