//! What counts as rich: one answer in, its worth out. Pure; time and sizes are arguments.

mod answer;
mod decode;
mod flaws;
mod grpc;
mod mapping;
mod pointer;
mod probe;
mod rules;
mod scorer;
mod settle;

pub use answer::{Answer, Body, is_conditional};
pub use flaws::{Catalogue, Finding, Flaw, Flaws};
pub use grpc::{STATUS as GRPC_STATUS, is_grpc};
pub use mapping::{Mapping, MappingError, MappingFault, Place};
pub use pointer::{Pointer, PointerError};
pub use rules::{Exclude, HeaderMatch, Rules};
pub use scorer::Scorer;
pub use settle::{Score, settle};
