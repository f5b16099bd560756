//! What is measured: workers count, the control plane sums up, a scrape reads.

mod exposition;
mod failures;
mod histogram;
mod labels;
mod lane;
pub mod metrics;
mod minutes;
mod process;
mod tally;
mod totals;
mod window;

pub use exposition::{CONTENT_TYPE, expose};
pub use failures::{FailureWindow, Failures};
pub use histogram::Histogram;
pub use labels::{Code, Direction, Reshaped, ServedBy};
pub use lane::{LaneCounts, LaneResult, RuleId, RuleState};
pub use minutes::Minute;
pub use tally::{Report, RouteId, Tally};
pub use totals::{Counted, DependencyTotals, FileTotals, LedgerTotals, RolloutGauges, Totals};
pub use window::WINDOWS;
