//! A share of bucketing keys, exact to three decimals.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A percentage with up to three decimals, stored as thousandths: `0..=100_000`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody.
    pub const HUNDRED: Self = Self(100_000);

    /// From thousandths of a percent; `None` above 100 000.
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths <= Self::HUNDRED.0 { Some(Self(thousandths)) } else { None }
    }

    /// From a whole number; more than 100 is 100.
    pub const fn from_whole(percent: u8) -> Self {
        if percent < 100 { Self(percent as u32 * 1000) } else { Self::HUNDRED }
    }

    /// From a number such as `2.5`.
    ///
    /// # Errors
    /// Says what is wrong when the number is outside `0..=100`, or has more than three decimals.
    pub fn from_f64(value: f64) -> Result<Self, PercentError> {
        if !(0.0..=100.0).contains(&value) {
            return Err(PercentError::OutOfRange);
        }
        let thousandths = (value * 1000.0).round();
        if (value * 1000.0 - thousandths).abs() > 1e-6 {
            return Err(PercentError::TooFine);
        }
        Ok(Self(thousandths as u32))
    }

    /// Thousandths of a percent, `0..=100_000`.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// As a number in `0.0..=100.0`.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Whether a bucket (`0..100_000`, see [`crate::bucket`]) lies below this share.
    pub const fn covers(self, bucket: u32) -> bool {
        bucket < self.0
    }
}

/// Why a number is not a [`Percent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PercentError {
    /// Below 0, above 100, or not a number.
    OutOfRange,
    /// More than three decimals.
    TooFine,
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "a percentage lies between 0 and 100",
            Self::TooFine => "a percentage has at most three decimals",
        })
    }
}

impl std::error::Error for PercentError {}

/// Without trailing zeros: `5`, `2.5`, `0.125`.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_f64(), f)
    }
}

impl Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_decimals_and_refuses_a_fourth() {
        assert_eq!(Percent::from_f64(0.125).map(Percent::thousandths), Ok(125));
        assert_eq!(Percent::from_f64(99.999).map(Percent::thousandths), Ok(99_999));
        assert_eq!(Percent::from_f64(0.0005), Err(PercentError::TooFine));
        assert_eq!(Percent::from_f64(100.001), Err(PercentError::OutOfRange));
        assert_eq!(Percent::from_f64(f64::NAN), Err(PercentError::OutOfRange));
    }

    #[test]
    fn reads_like_a_person_writes_it() {
        assert_eq!(Percent::from_f64(2.5).expect("valid").to_string(), "2.5");
        assert_eq!(Percent::HUNDRED.to_string(), "100");
    }
}
