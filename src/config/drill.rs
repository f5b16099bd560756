//! A fault that is injected on purpose into the calls of V2, for a bounded time.
//!
//! It lives in the live configuration and nowhere else: it ends by itself at its instant, whatever becomes of the control
//! plane, and with the process.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::backend::Role;
use crate::percent::Percent;

/// What goes wrong with a call of V2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The call begins this much later.
    Latency(Duration),
    /// This share of the answers are a 503.
    Errors(Percent),
    /// No answer before the deadline.
    Hang,
    /// The answer has no content.
    Empty,
}

/// As written on the command line: `latency=2s`, `errors=50`, `hang`, `empty`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(by) => write!(f, "latency={}", humantime::format_duration(*by)),
            Self::Errors(share) => write!(f, "errors={share}"),
            Self::Hang => f.write_str("hang"),
            Self::Empty => f.write_str("empty"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || format!("`{text}` is none of latency=2s, errors=50 (percent of the answers), hang, empty");
        match text.split_once('=') {
            None if text == "hang" => Ok(Self::Hang),
            None if text == "empty" => Ok(Self::Empty),
            Some(("latency", by)) => humantime::parse_duration(by).map(Self::Latency).map_err(|_| known()),
            Some(("errors", share)) => {
                let share = share.trim_end_matches('%').parse().ok().and_then(|share| Percent::from_f64(share).ok());
                share.map(Self::Errors).ok_or_else(known)
            }
            _ => Err(known()),
        }
    }
}

/// Which calls of V2 meet the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Struck {
    /// Those that no consumer waits for.
    Shadows,
    /// Those whose answer a consumer gets.
    Cutover,
}

impl Struck {
    /// The role of the calls.
    pub const fn role(self) -> Role {
        match self {
            Self::Shadows => Role::Shadow,
            Self::Cutover => Role::Primary,
        }
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shadows => "shadows",
            Self::Cutover => "cutover",
        })
    }
}

/// A fault under way.
#[derive(Debug)]
pub struct Drill {
    /// What goes wrong.
    pub fault: Fault,
    /// With this share of the calls.
    pub share: Percent,
    /// With which calls.
    pub struck: Struck,
    /// It ends here, whatever else happens.
    pub until: Instant,
    /// Calls so far; spreads the share evenly.
    calls: AtomicU64,
}

impl Drill {
    /// From now until `until`.
    pub const fn new(fault: Fault, share: Percent, struck: Struck, until: Instant) -> Self {
        Self { fault, share, struck, until, calls: AtomicU64::new(0) }
    }

    /// Whether a call of V2 in this role meets the fault. Of every hundred calls as many do as the share says.
    pub fn strikes(&self, role: Role, now: Instant) -> Option<Fault> {
        if role != self.struck.role() || now >= self.until {
            return None;
        }
        let share = match self.fault {
            Fault::Errors(errors) => u64::from(self.share.thousandths()) * u64::from(errors.thousandths()) / 100_000,
            _ => u64::from(self.share.thousandths()),
        };
        let call = self.calls.fetch_add(1, Ordering::Relaxed) % 100_000;
        // The share of all calls up to this one, in whole calls, grows with it.
        ((call + 1) * share / 100_000 > call * share / 100_000).then_some(self.fault)
    }
}

/// What is done; not how often it has been done.
impl PartialEq for Drill {
    fn eq(&self, other: &Self) -> bool {
        (self.fault, self.share, self.struck, self.until) == (other.fault, other.share, other.struck, other.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_met_evenly_and_the_end_is_kept() {
        let now = Instant::now();
        let share = Percent::from_f64(25.0).expect("valid");
        let drill = Drill::new(Fault::Hang, share, Struck::Shadows, now + Duration::from_secs(1));
        let struck = |role, at| (0..100).filter(|_| drill.strikes(role, at).is_some()).count();
        assert_eq!(struck(Role::Shadow, now), 25);
        assert_eq!(struck(Role::Primary, now), 0, "no consumer is struck");
        assert_eq!(struck(Role::Shadow, drill.until), 0);
        let half = Fault::Errors(Percent::from_f64(50.0).expect("valid"));
        let drill = Drill::new(half, share, Struck::Cutover, drill.until);
        let struck = (0..1000).filter(|_| drill.strikes(Role::Primary, now).is_some()).count();
        assert_eq!(struck, 125);
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        for text in ["latency=2s", "errors=50", "hang", "empty"] {
            assert_eq!(text.parse::<Fault>().map(|fault| fault.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "errors=101", "errors=x", "latency=fast", "hang=1"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
