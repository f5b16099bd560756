//! Numbers that are hard to foresee and cheap to draw; nothing secret may depend on them.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), of one thread.
#[derive(Debug)]
pub struct Random {
    state: Cell<u64>,
}

impl Default for Random {
    /// Begins where the operating system's randomness says.
    fn default() -> Self {
        Self { state: Cell::new(RandomState::new().hash_one(0)) }
    }
}

impl Random {
    /// The next number.
    pub fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..end`, each as likely as the others but for a part in 2^64 (Lemire, 2019, without rejection).
    pub fn below(&self, end: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_below_their_end_and_reach_everywhere() {
        let random = Random::default();
        let mut seen = [false; 7];
        (0..1000).for_each(|_| seen[random.below(7) as usize] = true);
        assert_eq!(seen, [true; 7]);
    }
}
