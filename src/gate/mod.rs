//! Evidence in, verdict out.

mod params;

pub use params::{Basis, Params};
