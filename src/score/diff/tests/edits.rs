//! Comparisons of random documents with themselves and with what a random edit makes of them.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // serde_json reads long fractions to the last bit but one; both answers alike.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 64.0)),
        "[a-z0-9]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-e]{1,3}|[0-9]{2}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What an edit did, and to which generalised path.
struct Edit {
    path: String,
    kinds: &'static [Kind],
}

/// Changes one leaf, chosen by `at`; an object's member may be taken away instead.
fn edit(value: &mut Value, mut at: usize, path: &mut String) -> Option<Edit> {
    match value {
        Value::Array(items) if !items.is_empty() => {
            path.push_str("/*");
            let place = at % items.len();
            at /= items.len();
            edit(&mut items[place], at, path)
        }
        Value::Object(members) if !members.is_empty() => edit_member(members, at, path),
        _ => {
            *value = Value::from("never generated");
            Some(Edit { path: path.clone(), kinds: &[Kind::Value, Kind::Type] })
        }
    }
}

fn edit_member(members: &mut Map<String, Value>, at: usize, path: &mut String) -> Option<Edit> {
    let key = members.keys().nth(at % members.len())?.clone();
    path.push('/');
    path.push_str(if key.bytes().all(|byte| byte.is_ascii_digit()) { "*" } else { &key });
    if at % 5 == 4 {
        members.remove(&key);
        return Some(Edit { path: path.clone(), kinds: &[Kind::Missing, Kind::Moved] });
    }
    edit(members.get_mut(&key)?, at / 7, path)
}

proptest! {
    #[test]
    fn a_document_does_not_differ_from_itself(document in document()) {
        prop_assert_eq!(Comparer::default().compare(&document, &document), []);
    }

    #[test]
    fn how_a_document_is_written_makes_no_difference(document in document()) {
        let backwards = written_backwards(&document);
        let read: Value = serde_json::from_str(&backwards).expect("it was written as JSON");
        prop_assert_eq!(Comparer::default().compare(&document, &read), []);
    }

    /// An edit below an array may leave nothing that tells one element from another: then an element is gone and a new one is
    /// there, and the difference is told at the array's elements instead of below them.
    #[test]
    fn an_edit_is_found_where_it_was_made(document in document(), at in any::<usize>()) {
        let mut edited = document.clone();
        let Some(made) = edit(&mut edited, at, &mut String::new()) else { return Ok(()) };
        let found = Comparer::default().compare(&document, &edited);
        let exact = |found: &Difference| found.path == made.path && made.kinds.contains(&found.kind);
        let above = |found: &Difference| found.path.ends_with("/*") && made.path.starts_with(&found.path);
        prop_assert!(found.iter().any(|found| exact(found) || above(found)), "{} not in {:?}", made.path, found);
    }

    #[test]
    fn differences_in_one_direction_are_differences_in_the_other(v1 in document(), v2 in document()) {
        let comparer = Comparer::default();
        prop_assert_eq!(comparer.compare(&v1, &v2).is_empty(), comparer.compare(&v2, &v1).is_empty());
    }
}

/// With the keys of each object in reverse.
fn written_backwards(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(written_backwards).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let written = |(key, value)| format!("{}:{}", json!(key), written_backwards(value));
            format!("{{{}}}", members.iter().rev().map(written).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}
