//! What an answer looks like without what it says: types, lengths, names of keys, and hashes.
//!
//! A hash tells two equal values apart from two different ones, and nothing else: its key is drawn anew by every process and
//! kept by nobody, so that values cannot be guessed by hashing candidates.

use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value};

use crate::score::Pointer;
use crate::score::diff::is_data;

/// Most parts of one shape; what lies beyond is counted.
const PARTS: usize = 128;
/// Deepest part of a shape.
const DEEPEST: usize = 12;
/// Items shown of an array.
const ITEMS: usize = 2;
/// An object with more keys is a map whose keys are data.
const KEYS: usize = 64;
/// Longest value shown of a place on the allow list, in bytes.
const VALUE_BYTES: usize = 256;

/// Hashes values, each process in its own way.
#[derive(Debug, Default)]
pub(super) struct Seal(RandomState);

impl Seal {
    /// Eight hexadecimal digits.
    pub(super) fn of(&self, bytes: &[u8]) -> String {
        format!("{:08x}", self.0.hash_one(bytes) as u32)
    }
}

/// The shape of a JSON document:
///
/// - an object as an object of shapes; a name that [is data](is_data) as `#hash (length)`;
/// - an array as its length and the shapes of its first two items;
/// - anything else as a word, with the length of a string and the hash of a value; at a place of `allow`, the value itself.
pub(super) fn shape(document: &Value, allow: &[Pointer], seal: &Seal) -> Value {
    Shaping { allow, seal, left: PARTS }.of(document, &mut Vec::new())
}

struct Shaping<'a> {
    allow: &'a [Pointer],
    seal: &'a Seal,
    left: usize,
}

impl Shaping<'_> {
    fn of(&mut self, value: &Value, place: &mut Vec<String>) -> Value {
        self.left = self.left.saturating_sub(1);
        match value {
            Value::Object(object) => self.object(object, place),
            Value::Array(items) => self.array(items, place),
            value => Value::String(self.leaf(value, place)),
        }
    }

    fn object(&mut self, object: &Map<String, Value>, place: &mut Vec<String>) -> Value {
        if place.len() >= DEEPEST {
            return Value::String(format!("object({})", object.len()));
        }
        let is_map = object.len() > KEYS;
        let mut shapes = Map::new();
        for (key, value) in object.iter().take(KEYS) {
            if self.left == 0 {
                break;
            }
            let hidden = is_map || is_data(key);
            let name = if hidden { format!("#{} ({})", self.seal.of(key.as_bytes()), key.len()) } else { key.clone() };
            place.push(key.clone());
            shapes.insert(name, self.of(value, place));
            place.pop();
        }
        let more = object.len() - shapes.len();
        if more > 0 {
            shapes.insert("...".to_owned(), Value::String(format!("{more} more")));
        }
        Value::Object(shapes)
    }

    fn array(&mut self, items: &[Value], place: &mut Vec<String>) -> Value {
        let mut shapes = vec![Value::String(format!("array({})", items.len()))];
        let shown = if place.len() < DEEPEST { ITEMS } else { 0 };
        for (at, item) in items.iter().take(shown).enumerate() {
            if self.left == 0 {
                break;
            }
            place.push(at.to_string());
            shapes.push(self.of(item, place));
            place.pop();
        }
        Value::Array(shapes)
    }

    fn leaf(&self, value: &Value, place: &[String]) -> String {
        let kind = match value {
            Value::Null => return "null".to_owned(),
            Value::Bool(_) => "boolean".to_owned(),
            Value::Number(number) if number.is_f64() => "number".to_owned(),
            Value::Number(_) => "integer".to_owned(),
            Value::String(text) => format!("string({})", text.len()),
            // Told apart before.
            Value::Array(_) | Value::Object(_) => return String::new(),
        };
        if self.allow.iter().any(|allowed| allowed.tokens() == place) {
            return format!("{kind} = {}", clipped(&value.to_string(), VALUE_BYTES));
        }
        match value {
            // There are two, and a hash would tell which.
            Value::Bool(_) => kind,
            Value::String(text) => format!("{kind} #{}", self.seal.of(text.as_bytes())),
            value => format!("{kind} #{}", self.seal.of(value.to_string().as_bytes())),
        }
    }
}

/// The beginning of a text, on a boundary of its characters.
pub(super) fn clipped(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shaped(document: &Value, allow: &[&str]) -> Value {
        let allow: Vec<_> = allow.iter().map(|it| Pointer::parse(it).expect("a pointer")).collect();
        shape(document, &allow, &Seal::default())
    }

    #[test]
    fn tells_types_lengths_and_keys_and_no_value() {
        let document = json!({ "items": [{ "name": "secret" }, 1, 2], "n": 1.5, "ok": true, "none": null });
        let shape = shaped(&document, &[]).to_string();
        for wanted in [r#""array(3)""#, r#""name":"string(6) #"#, r#""n":"number #"#, r#""ok":"boolean""#, "null"] {
            assert!(shape.contains(wanted), "{wanted}: {shape}");
        }
        assert!(!shape.contains("secret") && !shape.contains("1.5") && !shape.contains("true"), "{shape}");
    }

    #[test]
    fn shows_the_values_of_allowed_places_only() {
        let document = json!({ "error": { "code": "E42", "text": "for ann" } });
        let shape = shaped(&document, &["/error/code"]);
        assert_eq!(shape["error"]["code"], r#"string(3) = "E42""#);
        assert!(!shape.to_string().contains("ann"), "{shape}");
    }

    #[test]
    fn keys_that_look_like_data_are_hashed() {
        for key in [
            "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
            "ann@example.org",
            "123456",
            "+49 171 55",
            "2026-11-20T08:00:00Z",
            "deadbeef0042",
            "x".repeat(49).as_str(),
        ] {
            let shape = shaped(&json!({ key: 1 }), &[]).to_string();
            assert!(!shape.contains(key), "{shape}");
        }
        for key in ["items", "fullName", "full_name", "$ref", "sha256", "a.b", "größe", "_links", "first name"] {
            let shape = shaped(&json!({ key: 1 }), &[]).to_string();
            assert!(shape.contains(key), "{shape}");
        }
    }

    #[test]
    fn an_object_with_many_keys_is_a_map_and_its_keys_are_data() {
        let map: Map<_, _> = (0..65).map(|n| (format!("user{n}"), json!(n))).collect();
        let shape = shaped(&Value::Object(map), &[]);
        assert!(!shape.to_string().contains("user"), "{shape}");
        assert_eq!(shape["..."], "1 more");
    }

    proptest! {
        #[test]
        fn a_shape_is_small_whatever_the_document(wide in 0usize..400, deep in 0usize..100) {
            let mut document = json!((0..wide).map(|n| json!({ format!("k{n}"): n })).collect::<Vec<_>>());
            for n in 0..deep {
                document = json!({ format!("d{n}"): document, "x": vec![n; wide], "y": "s".repeat(wide) });
            }
            prop_assert!(shaped(&document, &[]).to_string().len() < PARTS * 128);
        }

        #[test]
        fn a_text_is_clipped_between_characters(text in "\\PC*", most in 0usize..20) {
            let clip = clipped(&text, most);
            prop_assert!(text.starts_with(clip) && clip.len() <= most);
        }
    }
}
