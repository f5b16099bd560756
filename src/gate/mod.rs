//! Evidence in, verdict out.

mod params;

pub use params::{Basis, Params};

/// Increments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts { #[allow(missing_docs)] pub started: u64 }
