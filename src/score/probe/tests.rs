use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

mod oracle;

fn shapes(pointers: &[&str], body: &str) -> Vec<Shape> {
    let pointers: Vec<_> = pointers.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
    Probe::new(&pointers).shapes(body.as_bytes()).expect("JSON").collect()
}

fn fails(pointer: &str, body: &[u8]) -> bool {
    Probe::new(&[Pointer::parse(pointer).expect("a pointer")]).shapes(body).is_err()
}

#[test]
fn tells_absent_null_empty_and_filled_apart() {
    use Shape::{Absent, Empty, Filled, Null};
    let body = r#"{"a":null,"b":"","c":[],"d":{},"e":0,"f":false,"g":"x","h":[0],"i":{"j":1},"k":-1.5}"#;
    let places = ["/z", "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/k", "/i/j", "/i/k", "/g/x", "/a/b"];
    let expected = [
        Absent, Null, Empty, Empty, Empty, Filled, Filled, Filled, Filled, Filled, Filled, Filled, Absent, Absent,
        Absent,
    ];
    assert_eq!(shapes(&places, body), expected);
}

#[test]
fn finds_the_whole_document_array_elements_and_odd_keys() {
    let body = r#"{"": 1, "a/b": 1, "m~n": 1, "\u0061": [[], [null, "x"]], "0": 1, " ": 1}"#;
    let places = ["", "/", "/a~1b", "/m~0n", "/a/1/1", "/0", "/ "];
    assert_eq!(shapes(&places, body), [Shape::Filled; 7]);
    assert_eq!(shapes(&["/a/0", "/a/1/0"], body), [Shape::Empty, Shape::Null]);
    assert_eq!(shapes(&["/a/01", "/a/+1", "/a/-", "/a/2", "/a/1.0"], body), [Shape::Absent; 5]);
    assert_eq!(shapes(&["", ""], "[]"), [Shape::Empty; 2]);
}

#[test]
fn the_last_of_several_equal_keys_counts() {
    assert_eq!(shapes(&["/a/b", "/a"], r#"{"a":{"b":1},"a":{"c":1}}"#), [Shape::Absent, Shape::Filled]);
    assert_eq!(shapes(&["/a/b", "/a"], r#"{"a":{"b":1},"\u0061":null}"#), [Shape::Absent, Shape::Null]);
}

#[test]
fn refuses_whatever_is_not_one_whole_document() {
    for body in [
        &b""[..],
        b" ",
        br#"{"a":1"#,
        br#"{"a":1}x"#,
        br#"{"a":1}{"#,
        br#"{"a":1,}"#,
        br#"{"a":1,"b":tru}"#,
        b"{\"a\":1,\"b\":\"\xff\"}",
        b"{\"a\":1,\"b\":\"\x01\"}",
        b"\xef\xbb\xbf{\"a\":1}",
        b"{'a':1}",
        b"{\"a\":1,\"b\":01}",
    ] {
        assert!(fails("/a", body), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn deep_nesting_is_refused_on_the_way_and_harmless_elsewhere() {
    let deep = |levels| format!(r#"{{"b":{}{},"a":1}}"#, "[".repeat(levels), "]".repeat(levels));
    let way = "/b".to_owned() + &"/0".repeat(1_000);
    assert!(!fails(&way, deep(100).as_bytes()));
    assert!(fails(&way, deep(1_000).as_bytes()));
    assert!(!fails("/a", deep(1_000_000).as_bytes()));
}

/// JSON as text may be: keys repeat, and any letter may be escaped.
#[derive(Debug, Clone)]
enum Document {
    Scalar(&'static str),
    Array(Vec<Document>),
    Object(Vec<(&'static str, Document)>),
}

impl Document {
    fn write(&self, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { " , " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (key, value)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "\n" });
                    out.push_str(key);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn document() -> impl Strategy<Value = Document> {
    let scalars = vec![
        "null",
        "true",
        "false",
        "0",
        "-1.5e3",
        r#""""#,
        r#""x\n\u00e9""#,
        "18446744073709551615",
        "123456789.125",
        r#""a string of some words""#,
        r#""\"quoted\" \\ and more""#,
        r#""日本語 é""#,
    ];
    let keys =
        vec![r#""""#, r#""a""#, r#""\u0061""#, r#""b""#, r#""0""#, r#""1""#, r#""a/b""#, r#""~""#, r#""a longer key""#];
    let leaf = prop::sample::select(scalars).prop_map(Document::Scalar);
    leaf.prop_recursive(4, 64, 5, move |inner| {
        let member = (prop::sample::select(keys.clone()), inner.clone());
        prop_oneof![vec(inner, 0..4).prop_map(Document::Array), vec(member, 0..5).prop_map(Document::Object),]
    })
}

fn pointers() -> impl Strategy<Value = Vec<String>> {
    let token = prop::sample::select(vec!["", "a", "b", "0", "1", "01", "a~1b", "~0", "-"]);
    vec(vec(token, 0..4).prop_map(|tokens| tokens.iter().flat_map(|token| ["/", token]).collect()), 0..6)
}

fn naive(document: &Value, pointer: &str) -> Shape {
    match document.pointer(pointer) {
        None => Shape::Absent,
        Some(Value::Null) => Shape::Null,
        Some(Value::String(text)) if text.is_empty() => Shape::Empty,
        Some(Value::Array(items)) if items.is_empty() => Shape::Empty,
        Some(Value::Object(members)) if members.is_empty() => Shape::Empty,
        Some(_) => Shape::Filled,
    }
}

proptest! {
    #[test]
    fn agrees_with_a_tree(document in document(), pointers in pointers()) {
        let mut text = String::new();
        document.write(&mut text);
        let tree: Value = serde_json::from_str(&text).expect("well-formed");
        let pointers: Vec<_> = pointers.iter().map(String::as_str).collect();
        let expected: Vec<_> = pointers.iter().map(|pointer| naive(&tree, pointer)).collect();
        prop_assert_eq!(shapes(&pointers, &text), expected, "{}", text);
    }

    #[test]
    fn every_proper_beginning_of_an_object_is_refused(document in document(), cut in 0.0..1.0) {
        let mut text = String::from("{\"k\":");
        document.write(&mut text);
        text.push('}');
        let cut = (text.len() as f64 * cut) as usize;
        prop_assert!(fails("/k", &text.as_bytes()[..cut]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), pointers in pointers()) {
        let pointers: Vec<_> = pointers.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
        let _ = Probe::new(&pointers).shapes(&bytes).map(Iterator::count);
    }
}
