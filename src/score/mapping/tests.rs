use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::super::pointer::Pointer;
use super::super::probe::Probe;
use super::*;

fn compiled(pairs: &[(&str, &str)]) -> Result<Mapping, (usize, MappingError)> {
    let place = |text: &str| Place::parse(text).expect("a place");
    let pairs: Vec<_> = pairs.iter().map(|(to, from)| (place(to), place(from))).collect();
    Mapping::new(&pairs)
}

fn mapped(pairs: &[(&str, &str)], body: &str) -> Result<String, MappingFault> {
    let mapping = compiled(pairs).expect("a mapping");
    let mapped = mapping.apply(body.as_bytes())?;
    Ok(String::from_utf8(mapped.into_owned()).expect("UTF-8"))
}

fn maps(pairs: &[(&str, &str)], body: &str, expected: &str) {
    assert_eq!(mapped(pairs, body).as_deref(), Ok(expected), "{pairs:?} of {body}");
}

#[test]
fn values_move_to_v1s_places() {
    let rename = [("/customer/name", "/person/fullName")];
    maps(&rename, r#"{"person":{"fullName":"Ann","age":3}}"#, r#"{"person":{"age":3},"customer":{"name":"Ann"}}"#);
    maps(&rename, r#"{"person":{"fullName":"Ann"},"n":1}"#, r#"{"n":1,"customer":{"name":"Ann"}}"#);
    maps(&rename, r#"{"person":{"fullName":null},"customer":7}"#, r#"{"customer":{"name":null}}"#);
    maps(&rename, r#"{"person":{"age":3}}"#, r#"{"person":{"age":3}}"#);
    maps(&rename, r#"[1,"person"]"#, r#"[1,"person"]"#);
    maps(&rename, " 17 ", " 17 ");
    maps(&[("/a~1b/", "/~0")], r#"{"~":1}"#, r#"{"a/b":{"":1}}"#);
}

#[test]
fn places_can_be_swapped_wrapped_and_unwrapped() {
    maps(&[("/a", "/b"), ("/b", "/a")], r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#);
    maps(&[("/a", "/b"), ("/b", "/a")], r#"{"a":1}"#, r#"{"b":1}"#);
    maps(&[("", "/data")], r#"{"data":[1, 2],"meta":{}}"#, "[1, 2]");
    maps(&[("/result", "")], r#"{"a":1}"#, r#"{"result":{"a":1}}"#);
    maps(&[("/a", "/a/b")], r#"{"a":{"b":1,"c":2}}"#, r#"{"a":1}"#);
    maps(&[("/a/b", "/a")], r#"{"a":1}"#, r#"{"a":{"b":1}}"#);
    maps(&[("/b", "/b"), ("/a", "")], r#"{"b":1}"#, r#"{"b":1,"a":{"b":1}}"#);
    maps(&[("/b", "/b"), ("/a", "/c")], r#"{"b":1,"c":2}"#, r#"{"b":1,"a":2}"#);
    maps(&[("/x", "/a"), ("/y", "/a/b"), ("/z", "/a")], r#"{"a":{"b":1}}"#, r#"{"x":{"b":1},"y":1,"z":{"b":1}}"#);
}

#[test]
fn elements_of_arrays_are_copied_replaced_and_appended() {
    maps(&[("/first", "/items/0")], r#"{"items":[1,2]}"#, r#"{"items":[1,2],"first":1}"#);
    maps(&[("/items/1", "/a")], r#"{"items":[1,2],"a":7}"#, r#"{"items":[1,7]}"#);
    maps(&[("/items/2", "/a")], r#"{"items":[1,2],"a":7}"#, r#"{"items":[1,2,7]}"#);
    maps(&[("/items/0", "/a")], r#"{"items":[ ],"a":7}"#, r#"{"items":[7]}"#);
    maps(&[("/items/x", "/a")], r#"{"items":[1],"a":7}"#, r#"{"items":{"x":7}}"#);
    maps(&[("/b", "/items/0/a")], r#"{"items":[{"a":1}]}"#, r#"{"items":[{}],"b":1}"#);
    let beyond = mapped(&[("/items/3", "/a")], r#"{"items":[1,2],"a":7}"#);
    assert_eq!(beyond, Err(MappingFault::NoSuchIndex(3)));
}

#[test]
fn a_star_is_each_element() {
    let titles = [("/items/*/name", "/items/*/title")];
    let body = r#"{"items":[{"title":"a","n":1.0},{"n":2},3,{"title":"b"}]}"#;
    maps(&titles, body, r#"{"items":[{"n":1.0,"name":"a"},{"n":2},3,{"name":"b"}]}"#);
    maps(&titles, r#"{"items":{"x":{"title":1}}}"#, r#"{"items":{"x":{"name":1}}}"#);
    maps(&titles, r#"{"items":7}"#, r#"{"items":7}"#);
    maps(&[("/*/*/b", "/*/*/a")], r#"[[{"a":1}],[]]"#, r#"[[{"b":1}],[]]"#);
    maps(&[("/items/*", "/items/*/value")], r#"{"items":[{"value":1},2]}"#, r#"{"items":[1,2]}"#);
    maps(&[("/~2/b", "/~2/a")], r#"{"*":{"a":1},"c":{"a":1}}"#, r#"{"c":{"a":1},"*":{"b":1}}"#);
    let both = [("/results/*/name", "/items/*/title"), ("/results", "/items")];
    maps(&both, r#"{"items":[{"title":"a"}]}"#, r#"{"results":[{"name":"a"}]}"#);
}

#[test]
fn pairs_that_contradict_each_other_are_refused() {
    let refused = |pairs: &[(&str, &str)], index, error| assert_eq!(compiled(pairs), Err((index, error)), "{pairs:?}");
    refused(&[("/a", "/b"), ("/a/c", "/d")], 1, MappingError::Overlap);
    refused(&[("/a/c", "/d"), ("/a", "/b")], 1, MappingError::Overlap);
    refused(&[("/a", "/b"), ("/a", "/c")], 1, MappingError::Overlap);
    refused(&[("", "/b"), ("/a", "/c")], 1, MappingError::Overlap);
    refused(&[("/a/*", "/a")], 0, MappingError::Stars);
    refused(&[("/x", "/y"), ("/a/*/c", "/a/*/*")], 1, MappingError::Stars);
    refused(&[("/a/*/c", "/b/*/c")], 0, MappingError::OtherElements);
    refused(&[("/a", "/z"), ("/a/*/c", "/a/*/d")], 1, MappingError::OtherElements);
}

#[test]
fn what_is_not_touched_keeps_every_byte() {
    let numbers = format!("[1.0,1e2,-0,18446744073709551615,{}]", "9".repeat(400));
    let body = format!("{{ \"b\" : {numbers} ,\n\t\"\\u0061\":\"\\ud83d\\ude00\" , \"k\":1, \"k\" : 2 }}\n");
    let expected = format!("{{ \"b\" : {numbers} , \"k\":1, \"k\" : 2 ,\"c\":\"\\ud83d\\ude00\"}}");
    maps(&[("/c", "/a")], &body, &expected);
    maps(&[("/c", "/nothing")], &body, &body);
    maps(&[("/k", "/a")], r#"{"k":1,"x":0,"k":2,"a":3}"#, r#"{"x":0,"k":3}"#);
    maps(&[("/a", "/k")], r#"{"k":1,"x":0,"k":2}"#, r#"{"x":0,"a":2}"#);
    let deep = format!(r#"{{"a":{}1{},"b":2}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(mapped(&[("/c", "/b")], &deep).expect("mapped").ends_with(r#","c":2}"#));
}

#[test]
fn what_is_no_document_is_a_fault() {
    let mapping = compiled(&[("/c", "/a")]).expect("a mapping");
    let bodies: [&[u8]; 9] =
        [b"", b" ", b"{\"a\":1", b"{\"a\":1}{}", b"{\"a\":\"\xff\"}", b"{\"a\":01}", b"nul", b"{'a':1}", b"\"\x01\""];
    for body in bodies {
        assert_eq!(mapping.apply(body), Err(MappingFault::NotJson), "{}", String::from_utf8_lossy(body));
    }
}

/// Documents with few different keys, so that places are found.
fn document() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "[a\"\\\\é]{0,3}".prop_map(Value::from)];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[abc]", inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn place() -> impl Strategy<Value = String> {
    vec("[abc]", 0..4).prop_map(|tokens| tokens.iter().fold(String::new(), |place, token| place + "/" + token))
}

fn starred() -> impl Strategy<Value = String> {
    vec("[abc*0]", 0..4).prop_map(|tokens| tokens.iter().fold(String::new(), |place, token| place + "/" + token))
}

#[test]
fn places_of_rules_are_found_without_mapping_where_that_is_exact() {
    let looks = |pairs: &[(&str, &str)], place: &str| {
        let place = Pointer::parse(place).expect("a pointer");
        Lookups::new(&compiled(pairs).expect("a mapping"), std::iter::once(&place)).is_some()
    };
    let rename = [("/customer/name", "/person/fullName"), ("/items", "/results"), ("/items/*/id", "/results/*/key")];
    for place in ["/customer/name", "/customer/name/x", "/items", "/other/0/x", "/person/fullName", "/person/age"] {
        assert!(looks(&rename, place), "{place}");
    }
    for place in ["", "/customer", "/person", "/items/0", "/customer/0"] {
        assert!(!looks(&rename, place), "{place}");
    }
    assert!(!looks(&[("/a/0", "/b")], "/c"), "an array may lack the index");
}

proptest! {
    #[test]
    fn what_stood_at_v2s_places_stands_at_v1s(document in document(), pairs in vec((place(), place()), 1..4)) {
        let pairs: Vec<_> = pairs.iter().map(|(to, from)| (&to[..], &from[..])).collect();
        // About half of the pairs contradict each other.
        if compiled(&pairs).is_err() {
            return Ok(());
        }
        let body = serde_json::to_string_pretty(&document).expect("JSON");
        let text = mapped(&pairs, &body).expect("no index is among the keys");
        let mapped: Value = serde_json::from_str(&text).expect("JSON");
        for (to, from) in &pairs {
            if let Some(found) = document.pointer(from) {
                prop_assert_eq!(mapped.pointer(to), Some(found), "{} = {} of {}: {}", to, from, body, text);
            }
        }
        if pairs.iter().all(|(_, from)| document.pointer(from).is_none()) {
            prop_assert_eq!(text, body);
        }
    }

    #[test]
    fn looking_before_mapping_is_looking_after_it(
        document in document(),
        pairs in vec((starred(), starred()), 1..4),
        places in vec(place(), 1..6),
    ) {
        let pairs: Vec<_> = pairs.iter().map(|(to, from)| (&to[..], &from[..])).collect();
        let Ok(mapping) = compiled(&pairs) else { return Ok(()) };
        let pointers: Vec<_> = places.iter().map(|place| Pointer::parse(place).expect("a pointer")).collect();
        let body = document.to_string();
        let Ok(mapped) = mapping.apply(body.as_bytes()) else { return Ok(()) };
        for pointer in &pointers {
            let pointer = std::slice::from_ref(pointer);
            let Some(lookups) = Lookups::new(&mapping, pointer.iter()) else { continue };
            let before: Vec<_> = lookups.shapes(body.as_bytes()).expect("JSON").collect();
            let after: Vec<_> = Probe::new(pointer).shapes(&mapped).expect("JSON").collect();
            prop_assert_eq!(before, after, "{:?} by {:?} of {}", pointer, pairs, body);
        }
    }

    #[test]
    fn there_and_back_is_the_same_document(document in document()) {
        let body = document.to_string();
        let there = mapped(&[("/x", ""),], &body).expect("mapped");
        prop_assert_eq!(mapped(&[("", "/x")], &there).expect("mapped"), body);
    }

    #[test]
    fn any_bytes_are_mapped_or_refused(body in vec(any::<u8>(), 0..64)) {
        let mapping = compiled(&[("/c", "/a"), ("/b/0", "/c/0"), ("/d/*/x", "/d/*/y")]).expect("a mapping");
        let _ = mapping.apply(&body);
    }
}
