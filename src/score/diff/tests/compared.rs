//! What two documents differ in, case by case.

use super::*;

fn options() -> Options {
    let pattern = |text| Pattern::parse(text).expect("a pattern");
    let id = crate::score::Pointer::parse("/id").expect("a pointer");
    Options { ids: vec![Identity { at: pattern("/orders"), id }], ..Options::default() }
}

/// Each difference as `kind path`, or `kind path to`.
fn differences(v1: &Value, v2: &Value) -> Vec<String> {
    let found = Comparer::new(options()).compare(v1, v2);
    let to = |to: Option<String>| to.map(|to| format!(" {to}")).unwrap_or_default();
    found.into_iter().map(|found| format!("{} {}{}", found.kind, found.path, to(found.to))).collect()
}

#[test]
fn each_kind_is_told_by_its_path() {
    let cases = [
        (json!({"a": 1}), json!({}), vec!["missing /a"]),
        (json!({}), json!({"a": 1}), vec!["extra /a"]),
        (json!({"a": 12}), json!({"a": "12"}), vec!["type /a"]),
        (json!({"a": null}), json!({"a": "12"}), vec!["type /a"]),
        (json!({"a": 1}), json!({"a": 2}), vec!["value /a"]),
        (json!({"a": 1}), json!({"a": 1.0}), vec![]),
        (json!({"a": {"b/c": {"d~": true}}}), json!({"a": {"b/c": {"d~": false}}}), vec!["value /a/b~1c/d~0"]),
        (
            json!({"name": "Ada Lovelace"}),
            json!({"person": {}, "title": "Ada Lovelace"}),
            vec!["moved /name /title", "extra /person"],
        ),
        (json!({"ok": true}), json!({"fine": true}), vec!["missing /ok", "extra /fine"]),
        (json!(1), json!("1"), vec!["type "]),
    ];
    for (v1, v2, expected) in cases {
        assert_eq!(differences(&v1, &v2), expected, "{v1} {v2}");
    }
}

#[test]
fn arrays_are_compared_by_position_once_equal_elements_have_met() {
    let cases = [
        (json!([1, 2, 3]), json!([1, 2, 3]), vec![]),
        (json!([1, 2, 3]), json!([3, 2, 1]), vec!["order "]),
        (json!([1, 2, 3]), json!([9, 1, 2, 3]), vec!["extra /*"]),
        (json!(["a", "b", "a"]), json!(["a", "a", "b", "a"]), vec!["extra /*"]),
        (json!([1, 2, 3]), json!([1, 3]), vec!["missing /*"]),
        (json!([1, 2, 3]), json!([1, 7, 3]), vec!["value /*"]),
        (json!([1, 2, 3]), json!([3, 1, 7]), vec!["value /*", "order "]),
        (json!([[1, 2], [3]]), json!([[1, 2], ["3"]]), vec!["type /*/*"]),
        (json!({"a": []}), json!({"a": [{"b": 1}]}), vec!["extra /a/*"]),
    ];
    for (v1, v2, expected) in cases {
        assert_eq!(differences(&v1, &v2), expected, "{v1} {v2}");
    }
}

#[test]
fn elements_with_an_identity_are_compared_with_their_own_kind() {
    let v1 = json!({"orders": [{"id": 1, "sum": 5}, {"id": 2, "sum": 6}, {"id": 3, "sum": 7}]});
    let v2 = json!({"orders": [{"id": 3, "sum": 7}, {"id": 1, "sum": 9}, {"id": 4, "sum": 7}]});
    assert_eq!(differences(&v1, &v2), ["value /orders/*/sum", "order /orders", "missing /orders/*", "extra /orders/*"]);
}

#[test]
fn an_identity_is_found_where_none_is_configured() {
    let v1 = json!([{"sku": "a", "t": 1, "n": 5}, {"sku": "b", "t": 2, "n": 5}, {"sku": "c", "t": 3, "n": 5}]);
    let v2 = json!([{"sku": "c", "t": 4, "n": 5}, {"sku": "a", "t": 5, "n": 5}, {"sku": "b", "t": 6, "n": 5}]);
    assert_eq!(differences(&v1, &v2), ["value /*/t", "order "]);
}

#[test]
fn fields_renamed_inside_of_elements_are_moves() {
    let v1 = json!({"items": [{"name": "table"}, {"name": "chair"}]});
    let v2 = json!({"items": [{"title": "table"}, {"title": "chair"}]});
    assert_eq!(differences(&v1, &v2), ["moved /items/*/name /items/*/title"]);
}

#[test]
fn keys_that_are_data_share_a_path() {
    let v1 = json!({"stock": {"10423": {"n": 1}, "10424": {"n": 2}}});
    let v2 = json!({"stock": {"10423": {"n": 7}, "10424": {"n": 8}, "10425": {"n": 8}}});
    assert_eq!(differences(&v1, &v2), ["value /stock/*/n", "extra /stock/*"]);
}

#[test]
fn a_comparison_of_huge_or_deep_documents_ends_and_says_so() {
    let wide = |n: u64| Value::from((0..300_000).map(|at| at * n).collect::<Vec<_>>());
    let comparer = Comparer::default();
    assert!(comparer.compare_with(&pattern::Maps::new(), &wide(1), &wide(3)).truncated);
    let deep = |leaf| (0..500).fold(json!(leaf), |inner, _| json!([inner]));
    assert!(comparer.compare_with(&pattern::Maps::new(), &deep(1), &deep(2)).truncated);
    let many = |value: u64| Value::Object((0..600).map(|at| (format!("k{}x", letters(at)), value.into())).collect());
    let found = comparer.compare_with(&pattern::Maps::new(), &many(1), &many(2));
    assert!(found.truncated && found.differences.len() == 256);
}

/// A name without digits.
fn letters(at: u64) -> String {
    at.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}
