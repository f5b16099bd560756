//! Evidence in, verdict out.
//!
//! Why not "hit rate below the SLO: roll back"? Read continuously, that rule promotes a backend at 94.5 % with
//! probability .83 and rolls back a healthy one within the hour; counted when answers arrive, it promotes a
//! backend at 60 % within half a second, because timeouts arrive late. The gate here may be read at every
//! instant, and says what it does not know.
//!
//! The story, top down: [`Ladder`] moves the percent on a [`Verdict`]; `verdict` is the decision table; [`Judge`]
//! keeps one `route` of evidence each; `cohort` counts requests by their start; `bets` turns counts into evidence
//! for a promotion, `detector` into an alarm; `clustering` measures how much misses come in bursts.
//!
//! Nothing here reads a clock, waits, or touches a file: time is an argument, in ticks.

mod alarms;
mod attempts;
mod bets;
mod causes;
mod clustering;
mod cohort;
mod counts;
mod detector;
mod event;
mod evidence;
mod interval;
mod judge;
mod ladder;
mod mirror;
mod mixture;
mod params;
mod plan;
mod reading;
mod reason;
mod route;
mod rules;
mod saved;
mod sentence;
mod settings;
mod verdict;

pub use attempts::Restart;
pub use causes::TopCause;
pub use counts::{Counts, Sums};
pub use event::{Event, Reaction};
pub use evidence::Evidence;
pub use interval::{Interval, interval};
pub use judge::Judge;
pub use ladder::{Ladder, Touched};
pub use params::{Basis, Params};
pub use plan::{FreezeWindow, Mode, Plan, RollbackTo};
pub use reason::{Kind, Reason, Scope};
pub use saved::SavedEvidence;
pub use settings::Settings;
pub use verdict::Verdict;

#[cfg(test)]
mod golden;
