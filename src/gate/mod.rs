//! Evidence in, verdict out.

mod bets;
mod clustering;
mod cohort;
mod counts;
mod detector;
mod evidence;
mod interval;
mod judge;
mod mixture;
mod params;
mod route;
mod saved;
mod settings;
mod verdict;

pub use counts::{Counts, Sums};
pub use evidence::Evidence;
pub use interval::{Interval, interval};
pub use judge::{Judge, Restart, Verdict};
pub use params::{Basis, Params};
pub use saved::SavedEvidence;
pub use settings::Settings;
pub use verdict::{Kind, Reason, Scope};
