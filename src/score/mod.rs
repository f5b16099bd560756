//! What counts as rich: one answer in, its worth out. Pure; time and sizes are arguments.

mod advice;
mod answer;
mod decode;
pub mod diff;
mod documents;
mod flaws;
mod grpc;
mod jq;
mod lift;
mod mapping;
mod pointer;
mod probe;
mod rules;
mod scorer;
mod settle;
mod text;

pub use advice::{RetryAdvice, Saved, TRIAL_BACKOFF, Trials};
pub use answer::{Answer, Body, is_conditional};
pub use decode::decoded;
pub use flaws::{Catalogue, Finding, Flaw, Flaws};
pub use grpc::{STATUS as GRPC_STATUS, is_grpc, names_grpc};
pub use jq::{JqError, JqFault, Program, STACK as JQ_STACK};
pub use lift::{Beside, Counted, Failed, Lift, Quadrants, Row};
pub use mapping::{Mapping, MappingError, MappingFault, Place, is_json, map_request};
pub use pointer::{Pointer, PointerError};
pub use rules::{AnswerHeader, Exclude, HeaderMatch, Rules};
pub use scorer::Scorer;
pub use settle::{Score, settle};
pub use text::{Pattern, TextRules};
