//! `Date` for answers that have none (RFC 9110, section 6.6.1), written once a second.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The seconds since the epoch that the text was written for, and the text.
type Written = (u64, String);

/// Gives the time of now, as HTTP writes it, to `write`.
pub(super) fn with_now(write: impl FnOnce(&[u8])) {
    thread_local!(static WRITTEN: RefCell<Written> = const { RefCell::new((u64::MAX, String::new())) });
    WRITTEN.with_borrow_mut(|written| {
        refresh(written, SystemTime::now());
        write(written.1.as_bytes());
    });
}

fn refresh((seconds, text): &mut Written, now: SystemTime) {
    // A clock before the epoch is wrong in any case.
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if *seconds != now {
        *seconds = now;
        text.clear();
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", HttpDate::from(UNIX_EPOCH + Duration::from_secs(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_follows_the_clock() {
        let mut written = (u64::MAX, String::new());
        let mut at = |seconds| {
            refresh(&mut written, UNIX_EPOCH + Duration::from_millis(seconds));
            written.1.clone()
        };
        assert_eq!(at(784_887_151_999), "Tue, 15 Nov 1994 08:12:31 GMT");
        assert_eq!(at(784_887_152_000), "Tue, 15 Nov 1994 08:12:32 GMT");
        assert_eq!(at(784_887_151_000), "Tue, 15 Nov 1994 08:12:31 GMT");
    }
}
