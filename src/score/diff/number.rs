//! Whether two numbers are near enough.

use serde_json::Number;

use super::Tolerance;
use super::digest::integer;

impl Tolerance {
    /// Exact where both numbers are integers, so that neighbours beyond 2^53 differ; 1 and 1.0 are equal.
    pub(super) fn allows(self, a: &Number, b: &Number) -> bool {
        let equal = match (integer(a), integer(b)) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.as_f64() == b.as_f64(),
            _ => false,
        };
        equal || self.is_near(a, b)
    }

    fn is_near(self, a: &Number, b: &Number) -> bool {
        let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return false };
        let bound = self.absolute.max(self.relative * a.abs().max(b.abs()));
        bound > 0.0 && (a - b).abs() <= bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect("a number")
    }

    #[test]
    fn numbers_are_compared_exactly_without_a_tolerance() {
        let exact = Tolerance::default();
        assert!(exact.allows(&number("1"), &number("1.0")));
        assert!(exact.allows(&number("1e3"), &number("1000")));
        assert!(!exact.allows(&number("9007199254740993"), &number("9007199254740992")));
        assert!(!exact.allows(&number("18446744073709551615"), &number("18446744073709551614")));
        assert!(!exact.allows(&number("0.1"), &number("0.10000000000000002")));
        assert!(!exact.allows(&number("-1"), &number("18446744073709551615")));
    }

    #[test]
    fn the_wider_bound_decides() {
        let near = Tolerance { relative: 0.01, absolute: 0.5 };
        assert!(near.allows(&number("1"), &number("1.4")) && near.allows(&number("1000"), &number("1009")));
        assert!(!near.allows(&number("1000"), &number("1011")) && !near.allows(&number("1"), &number("1.6")));
    }
}
