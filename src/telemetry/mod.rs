//! What is measured: workers count, the control plane sums up, a scrape reads.

mod exposition;
mod histogram;
pub mod metrics;
mod minutes;
mod process;
mod tally;
mod totals;
mod window;

pub use exposition::{CONTENT_TYPE, expose};
pub use histogram::Histogram;
pub use minutes::Minute;
pub use tally::{Code, Direction, Report, RouteId, ServedBy, Tally};
pub use totals::{Counted, DependencyTotals, FileTotals, LedgerTotals, RolloutGauges, Totals};
pub use window::WINDOWS;
