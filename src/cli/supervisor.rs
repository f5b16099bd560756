//! What the process tells systemd (`sd_notify(3)`). Without systemd, all of it does nothing.

use std::future::Future;
use std::time::Duration;

use sd_notify::{NotifyState, notify};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Consumers are served.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Both files are being read again, until [`ready`].
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The process drains.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// From now on the service is another process, which serves already.
pub(super) fn succeeded_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// The watchdog of the service, where it has one.
pub(super) struct Watchdog(Option<Interval>);

impl Watchdog {
    /// As `WatchdogSec` says.
    pub(super) fn new() -> Self {
        // Three signs of life in the time in which one is due: one may be late.
        let often = |within: Duration| {
            let mut interval = interval(within / 3);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        Self(sd_notify::watchdog_enabled().filter(|within| !within.is_zero()).map(often))
    }

    /// Waits until a sign of life is due.
    ///
    /// # Cancel safety
    /// Nothing is lost when dropped.
    pub(super) async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Gives signs of life while something takes its time.
    pub(super) async fn feeding<T>(&mut self, something: impl Future<Output = T>) -> T {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                done = &mut something => return done,
                () = self.due() => Self::feed(),
            }
        }
    }

    /// The process lives.
    pub(super) fn feed() {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "the supervisor cannot be told: {state:?}");
    }
}
