//! What is looked at behind everybody's back: where two answers differ, and what V2's fallbacks look like.
//!
//! Workers hand over some of their exchanges, each with its bodies, through a bounded queue, and never wait: what does not fit
//! is dropped and counted. One thread compares and samples within a share of one core. The admin port reads what was found.
//!
//! Nothing found here holds a value of a header or a body, but for the places and names of the allow list: shapes, lengths,
//! names of keys, and hashes whose key is drawn anew by every process.

mod book;
mod budget;
mod differences;
mod exchange;
mod feed;
mod file;
mod pace;
mod reservoir;
mod sample;
mod samples;
mod shape;
mod thread;

pub use book::Findings;
pub use differences::{Differences, RouteDifferences, Rule};
pub use exchange::{Answer, ContentKind, Exchange, Leg};
pub use feed::{Feed, Kept, Meter};
pub use sample::{Sample, Side};
pub use thread::{Study, open};
