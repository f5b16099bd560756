//! What counts as rich.

mod pointer;
mod rules;

pub use pointer::{Pointer, PointerError};
pub use rules::{Exclude, HeaderMatch, Rules};
