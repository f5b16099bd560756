//! Where V1's and V2's answers differ, noise removed. Pure: two answers in, differences out; the day is an argument.

mod array;
mod compare;
mod content;
mod contrast;
mod difference;
mod digest;
mod number;
mod options;
mod pattern;
mod report;
mod rows;
mod study;
mod suggest;
#[cfg(test)]
mod tests;

pub use compare::{Comparer, MOST_NODES};
pub use content::{Content, Reply};
pub use difference::{Difference, Kind};
pub use options::{Identity, Ignore, Options, Tolerance};
pub use pattern::{Pattern, is_data};
pub use report::{DiffReport, DiffRow, Verdict};
pub use rows::MOST_ROWS;
pub use study::{FALSE_DISCOVERIES, Study};
pub use suggest::{Label, Suggestion, Transform, to_toml};
