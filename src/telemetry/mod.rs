//! What is measured.

mod histogram;
mod tally;
mod window;

pub use tally::{Code, ServedBy, Tally};
