//! crossfade moves traffic from version 1 of a dependency to version 2 without a customer noticing.
//!
//! A consumer's request goes to both backends. One of them, the primary, answers; the other one is its shadow. Both answers
//! are scored as *rich* or *fallback*, and the hit rate of V2 decides how many consumers get V2 as their primary: people
//! write a ceiling into `rollout.toml`, and the gate allows up to it, step by step, what the evidence supports. When V2
//! collapses, everyone is back on V1 before anyone has read the alert.
//!
//! # The floors
//!
//! A file imports from lower floors and from its own folder only; `tests/it/floors.rs` holds the sources against this list.
//!
//! | floor | modules | what they are |
//! | --- | --- | --- |
//! | 0 | [`backend`] [`outcome`] [`hit_rate`] [`percent`] [`revision`] [`stage`] [`skip`] [`retry`] [`refusal`] [`condition`] [`cap`] [`random`] [`unstudied`] | words |
//! | 1 | [`bucket`] [`score`] [`gate`] [`wire`] | rules: pure, time is an argument |
//! | 2 | [`config`] | as written, validated, live, watched |
//! | 3 | [`telemetry`] [`upstream`] [`server`] [`store`] [`console`] [`probing`] [`study`] | adapters; siblings do not know each other |
//! | 4 | [`proxy`] [`control`] [`admin`] | flows; they meet through the live configuration, the tally and the console |
//! | | [`app`] [`cli`] | putting it together; the command line |
//!
//! The data plane (`proxy`) is one thread per core, each with its own runtime, listeners, connections and tallies. The control
//! plane (`control`) and the admin port (`admin`) share one more thread. A worker reads the live configuration with one
//! atomic load per request and reports what it counted ten times a second; the control plane judges and replaces the live
//! configuration whole.
//!
//! # Invariants
//!
//! - The consumer never waits for a shadow.
//! - One request sees one revision.
//! - An empty window has no hit rate and never advances a rollout.
//! - A bad file never replaces a good one.
//! - Nothing is unbounded: every queue, buffer, map and task set names its cap.
//! - Rules read no clock.
//! - Labels never come from a request.
//! - Values of headers and bodies never leave the exchange.
//! - A step up is saved before it is in force, a step down is in force before it is saved.

pub mod admin;
pub mod app;
pub mod backend;
pub mod bucket;
pub mod cap;
pub mod cli;
pub mod condition;
pub mod config;
pub mod console;
pub mod control;
pub mod gate;
pub mod hit_rate;
pub mod outcome;
pub mod percent;
pub mod probing;
pub mod proxy;
pub mod random;
pub mod refusal;
pub mod retry;
pub mod revision;
pub mod score;
pub mod server;
pub mod skip;
pub mod stage;
pub mod store;
pub mod study;
pub mod telemetry;
pub mod unstudied;
pub mod upstream;
pub mod wire;
