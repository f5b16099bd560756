//! Where a key falls: the stable assignment of consumers to a share of traffic.
//!
//! `bucket = (xxh3_64(salt ++ 0x00 ++ key) * 100_000) >> 64`, so a bucket lies in `0..100_000`, one per thousandth of a
//! percent. A request goes to V2 when its bucket lies below the effective percent in thousandths; raising the percent
//! therefore never moves anyone back. `printf 'SALT\0KEY' | xxhsum -H3` prints the same hash.

use xxhash_rust::xxh3::Xxh3Default;

/// The number of buckets: one per thousandth of a percent.
pub const BUCKETS: u32 = 100_000;

/// The bucket of a request without any of the configured keys: the last one, so that it moves last.
pub const KEYLESS: u32 = BUCKETS - 1;

/// The 64-bit hash behind [`bucket`]: XXH3-64 of salt, a zero byte, and key.
pub fn hash(salt: &str, key: &[u8]) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(salt.as_bytes());
    hasher.update(&[0]);
    hasher.update(key);
    hasher.digest()
}

/// The bucket of a key, in `0..BUCKETS`; the same on every replica and after every restart.
pub fn bucket(salt: &str, key: &[u8]) -> u32 {
    ((u128::from(hash(salt, key)) * u128::from(BUCKETS)) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::percent::Percent;

    #[test]
    fn is_what_xxhsum_prints() {
        // printf 'recommendations\0user-1' | xxhsum -H3
        assert_eq!(hash("recommendations", b"user-1"), xxhash_rust::xxh3::xxh3_64(b"recommendations\0user-1"));
    }

    proptest! {
        #[test]
        fn raising_the_percent_never_moves_anyone_back(key in ".*", low in 0u32..=100_000, high in 0u32..=100_000) {
            let (low, high) = (low.min(high), low.max(high));
            let at = |thousandths| Percent::from_thousandths(thousandths).expect("in range").covers(bucket("salt", key.as_bytes()));
            prop_assert!(!at(low) || at(high));
        }
    }

    #[test]
    fn spreads_keys_evenly() {
        let below = (0..100_000).filter(|n| bucket("salt", format!("user-{n}").as_bytes()) < 5_000).count();
        // Binomial(100 000, 0.05) has a standard deviation of 69; five of them are 345.
        assert!(below.abs_diff(5_000) < 345, "{below} of 100 000 keys below 5 %");
    }
}
