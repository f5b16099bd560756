//! The control plane's clocks: ticks since the process began, and the calendar.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::recording::Now;

/// The time between two looks of the judge.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Both clocks. They are read in one place, so that tests can set them.
pub(super) struct Clock {
    origin: Instant,
    /// Seconds since 1970.
    pub(super) calendar: Box<dyn Fn() -> i64 + Send>,
}

impl Clock {
    /// Ticks are counted from `origin`, and the calendar is the machine's.
    pub(super) fn since(origin: std::time::Instant) -> Self {
        Self { origin: Instant::from_std(origin), calendar: Box::new(|| Timestamp::now().as_second()) }
    }

    pub(super) fn now(&self) -> Now {
        let tick = self.origin.elapsed().as_millis() as u64 / TICK.as_millis() as u64;
        Now { tick, unix_s: self.unix_s() }
    }

    /// Seconds since the process began.
    pub(super) fn second(&self) -> u64 {
        self.origin.elapsed().as_secs()
    }

    pub(super) fn unix_s(&self) -> i64 {
        (self.calendar)()
    }
}
