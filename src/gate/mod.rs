//! Evidence in, verdict out.

mod params;

pub use params::{Basis, Params};

/// Increments.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts { pub started: u32, pub rich: u32, pub fallback: u32, pub withdrawn: u32, pub v1_rich: u32, pub v1_fallback: u32, pub v2_better: u32, pub concordant: u32, pub v2_worse: u32, pub shed: u32 }
impl std::ops::AddAssign for Counts { fn add_assign(&mut self, _: Self) {} }
