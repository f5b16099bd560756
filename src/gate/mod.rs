//! Evidence in, verdict out.

mod bets;
mod clustering;
mod cohort;
mod counts;
mod detector;
mod evidence;
mod interval;
mod judge;
mod ladder;
mod mixture;
mod params;
mod plan;
mod route;
mod saved;
mod sentence;
mod settings;
mod verdict;

pub use counts::{Counts, Sums};
pub use evidence::Evidence;
pub use interval::{Interval, interval};
pub use judge::{Judge, Restart, Verdict};
pub use ladder::{Event, Ladder, Reaction, Touched};
pub use params::{Basis, Params};
pub use plan::{FreezeWindow, Mode, Plan, RollbackTo};
pub use saved::SavedEvidence;
pub use settings::Settings;
pub use verdict::{Kind, Reason, Scope};
