//! Digests of JSON values, and the budget that bounds every walk over them.
//!
//! A digest is xxh3 with a seed that each process draws anew: equal values have equal digests within one process, and a digest
//! that leaks says nothing outside of it. No value is kept, only its digest.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use serde_json::{Number, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Deepest nesting that is looked at; `serde_json` refuses to read deeper documents.
const DEEPEST: u32 = 128;

/// How much of two documents one comparison may visit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    nodes: u32,
    depth: u32,
    spent: bool,
}

impl Budget {
    pub(super) fn new(nodes: u32) -> Self {
        Self { nodes, depth: 0, spent: false }
    }

    /// Takes one node; `false` once nothing is left.
    pub(super) fn visit(&mut self) -> bool {
        if self.nodes == 0 {
            self.spent = true;
            return false;
        }
        self.nodes -= 1;
        true
    }

    /// Goes one level down; `false`, and no level down, where that is too deep.
    pub(super) fn descend(&mut self) -> bool {
        if self.depth == DEEPEST {
            self.spent = true;
            return false;
        }
        self.depth += 1;
        true
    }

    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// Whether something was left out.
    pub(super) fn is_spent(self) -> bool {
        self.spent
    }
}

/// Of a text or any other bytes.
pub(super) fn bytes(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, seed())
}

/// Of two digests, in this order.
pub(super) fn join(a: u64, b: u64) -> u64 {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&a.to_le_bytes());
    both[8..].copy_from_slice(&b.to_le_bytes());
    bytes(&both)
}

/// Of a whole value. The order of an object's keys does not matter; numbers that are equal have one digest, so 1 and 1.0.
/// Where the budget ends, what is left counts as one unknown value.
pub(super) fn value(value: &Value, budget: &mut Budget) -> u64 {
    if !budget.visit() {
        return 0;
    }
    match value {
        Value::Array(items) => {
            container(budget, |budget| items.iter().fold(bytes(b"["), |sum, item| join(sum, self::value(item, budget))))
        }
        Value::Object(members) => container(budget, |budget| {
            members.iter().fold(bytes(b"{"), |sum, (key, member)| {
                sum.wrapping_add(join(bytes(key.as_bytes()), self::value(member, budget)))
            })
        }),
        scalar => self::scalar(scalar),
    }
}

/// Of null, a truth value, a number or a text; of a container, only that it is one.
pub(super) fn scalar(value: &Value) -> u64 {
    match value {
        Value::Null => bytes(b"null"),
        Value::Bool(truth) => bytes(if *truth { b"true" } else { b"false" }),
        Value::Number(number) => self::number(number),
        Value::String(text) => join(1, bytes(text.as_bytes())),
        Value::Array(_) => bytes(b"["),
        Value::Object(_) => bytes(b"{"),
    }
}

/// Of a number by its exact value, however it is written.
pub(super) fn number(number: &Number) -> u64 {
    match integer(number) {
        Some(integer) => join(2, bytes(&integer.to_le_bytes())),
        None => join(3, number.as_f64().unwrap_or(f64::NAN).to_bits()),
    }
}

/// The exact integer that a number is, if it is one; floats count while they are integers of at most 2^63.
pub(super) fn integer(number: &Number) -> Option<i128> {
    let whole = |x: f64| (x.fract() == 0.0 && x.abs() <= 9_223_372_036_854_775_808.0).then_some(x as i128);
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    exact.or_else(|| number.as_f64().and_then(whole))
}

fn container(budget: &mut Budget, inside: impl FnOnce(&mut Budget) -> u64) -> u64 {
    if !budget.descend() {
        return 0;
    }
    let digest = inside(budget);
    budget.ascend();
    digest
}

fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(document: &Value) -> u64 {
        value(document, &mut Budget::new(1000))
    }

    #[test]
    fn equal_values_have_one_digest_however_they_are_written() {
        assert_eq!(of(&json!({"a": 1, "b": [2.0]})), of(&json!({"b": [2], "a": 1.0})));
        assert_eq!(of(&json!(-0.0)), of(&json!(0)));
    }

    #[test]
    fn near_misses_have_different_digests() {
        let near =
            [json!(1), json!("1"), json!(true), json!([1]), json!([[1]]), json!({"1": 1}), json!(null), json!("")];
        for (at, one) in near.iter().enumerate() {
            assert!(near[at + 1..].iter().all(|other| of(one) != of(other)), "{one}");
        }
        assert_ne!(of(&json!(u64::MAX)), of(&json!(u64::MAX - 1)));
        assert_ne!(of(&json!([1, 2])), of(&json!([2, 1])));
    }

    #[test]
    fn a_budget_ends_in_width_and_in_depth() {
        let mut narrow = Budget::new(2);
        value(&json!([1, 2, 3]), &mut narrow);
        assert!(narrow.is_spent());
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        let mut wide = Budget::new(1000);
        value(&deep, &mut wide);
        assert!(wide.is_spent());
    }
}
