//! What stands in an answer beside a place that is not there: names and kinds, never a value.

use serde_json::Value;

use crate::score::Pointer;

/// Names that are listed.
const MOST_NAMES: usize = 8;
/// Characters of a name; longer ones are data rather than names.
const LONGEST_NAME: usize = 40;

/// What the innermost thing is that a pointer finds on its way: `/ has data, meta`. `None` where the content is no JSON.
pub(super) fn around(content: &[u8], place: &Pointer) -> Option<String> {
    let document: Value = serde_json::from_slice(content).ok()?;
    let (mut at, mut path) = (&document, String::new());
    let tokens = place.tokens();
    // The last token is what is missing or empty: its surroundings are of interest.
    for token in tokens.iter().take(tokens.len().saturating_sub(1)) {
        let next = match at {
            Value::Object(object) => object.get(token),
            Value::Array(array) => token.parse::<usize>().ok().and_then(|index| array.get(index)),
            _ => None,
        };
        let Some(next) = next else { break };
        at = next;
        path = format!("{path}/{token}");
    }
    let path = if path.is_empty() { "the answer" } else { &path };
    Some(format!("{path} {}", describe(at)))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Object(object) if object.is_empty() => "is an empty object".to_owned(),
        Value::Object(object) => {
            let shown: Vec<&str> =
                object.keys().map(String::as_str).filter(|name| is_name(name)).take(MOST_NAMES).collect();
            let more = object.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("has {}{more}", shown.join(", "))
        }
        Value::Array(array) => format!("is an array of {}", array.len()),
        Value::String(_) => "is a string".to_owned(),
        Value::Number(_) => "is a number".to_owned(),
        Value::Bool(_) => "is a boolean".to_owned(),
        Value::Null => "is null".to_owned(),
    }
}

/// Whether it looks like the name of a field, and not like somebody's data used as a key.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_are_told_and_no_values() {
        let table = [
            (r#"{"data":{"items":"s3cret"},"meta":1}"#, "/items", Some("the answer has data, meta")),
            (r#"{"data":{"list":["s3cret"]}}"#, "/data/items", Some("/data has list")),
            (r#"{"data":{"list":["s3cret"]}}"#, "/data/list/0/id", Some("/data/list/0 is a string")),
            (r#"{"s3cret@mail":1,"ok":2}"#, "/items", Some("the answer has ok and 1 more")),
            ("[1,2]", "/items", Some("the answer is an array of 2")),
            ("{}", "/items", Some("the answer is an empty object")),
            ("<html>", "/items", None),
        ];
        for (content, place, expected) in table {
            let place = Pointer::parse(place).expect("a pointer");
            assert_eq!(around(content.as_bytes(), &place).as_deref(), expected, "{content} {place}");
        }
    }
}
