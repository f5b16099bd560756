//! Why V2 gave fallbacks: it decides nothing, and tells people where to look.

use serde::{Deserialize, Serialize};

use crate::outcome::Cause;

/// The cause of most of V2's fallbacks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TopCause {
    /// This one.
    pub cause: Cause,
    /// Its share of the fallbacks, above 0 and up to 1.
    pub share: f64,
}

/// Causes that a fallback can have; the rest of the list are exclusions.
const OF_FALLBACKS: usize = Cause::ClientError as usize;

/// V2's fallbacks of one route in one epoch, by cause. All are halved when one would overflow, so that their shares stay: a
/// route has little room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Causes([u16; OF_FALLBACKS]);

impl Causes {
    pub(super) fn count(&mut self, cause: Cause, fallbacks: u32) {
        let mut fallbacks = fallbacks;
        while let Some(count) = self.0.get_mut(cause as usize) {
            let sum = u32::from(*count).saturating_add(fallbacks);
            if let Ok(sum) = u16::try_from(sum) {
                *count = sum;
                return;
            }
            self.0.iter_mut().for_each(|count| *count /= 2);
            fallbacks /= 2;
        }
    }

    /// The most frequent one of several routes, the first of the list where several are; `None` without fallbacks.
    pub(super) fn top<'a>(routes: impl Iterator<Item = &'a Self>) -> Option<TopCause> {
        let mut sums = [0_u64; OF_FALLBACKS];
        for route in routes {
            for (sum, count) in sums.iter_mut().zip(route.0) {
                *sum += u64::from(count);
            }
        }
        let counted = Cause::ALL.into_iter().take(OF_FALLBACKS).zip(sums).rev();
        let (cause, most) = counted.max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0)?;
        Some(TopCause { cause, share: most as f64 / sums.iter().sum::<u64>() as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_cause_is_named_with_its_share() {
        let mut causes = Causes::default();
        assert_eq!(Causes::top([causes].iter()), None);
        causes.count(Cause::Empty, 1);
        causes.count(Cause::Timeout, 3);
        assert_eq!(Causes::top([causes, causes].iter()), Some(TopCause { cause: Cause::Timeout, share: 0.75 }));
    }

    #[test]
    fn shares_stay_when_counts_grow_beyond_their_room() {
        let mut causes = Causes::default();
        for _ in 0..40_000 {
            causes.count(Cause::Empty, 1);
            causes.count(Cause::Timeout, 3);
        }
        causes.count(Cause::Tls, u32::MAX);
        let top = Causes::top([causes].iter()).expect("there are fallbacks");
        assert!(top.cause == Cause::Tls && top.share > 0.99, "{top:?}");
        let mut causes = Causes::default();
        (0..40_000).for_each(|_| causes.count(Cause::Empty, 4));
        (0..40_000).for_each(|_| causes.count(Cause::Timeout, 1));
        causes.count(Cause::ClientError, 7);
        let top = Causes::top([causes].iter()).expect("there are fallbacks");
        assert!(top.cause == Cause::Empty && (top.share - 0.8).abs() < 0.25, "{top:?}");
    }
}
