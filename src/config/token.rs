//! The bearer token of the admin port, which also lets a request choose its backend.

use std::fmt;
use std::hint::black_box;

/// A secret that can be compared, and neither read nor printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl Token {
    /// Takes the secret as it is; an empty one is equal to nothing.
    pub const fn new(secret: Vec<u8>) -> Self {
        Self(secret)
    }

    /// Whether somebody knows it. The time this takes depends on the lengths only.
    pub fn is(&self, given: &[u8]) -> bool {
        let same = |(a, b): (&u8, &u8)| a ^ b;
        let differing = black_box(given.iter().zip(&self.0).map(same).fold(0, |all, one| all | one));
        !self.0.is_empty() && given.len() == self.0.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        let token = Token::new(b"s3cret".to_vec());
        for (given, is) in [("s3cret", true), ("s3cre", false), ("s3cret ", false), ("S3cret", false), ("", false)] {
            assert_eq!(token.is(given.as_bytes()), is, "{given:?}");
        }
        assert!(!Token::new(Vec::new()).is(b""), "nothing is no secret");
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
