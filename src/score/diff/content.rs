//! An answer as the comparison sees it.

use serde_json::Value;

use super::digest;

/// The decoded body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// JSON; of several documents one after the other, as in NDJSON, an array of them.
    Json(Value),
    /// Anything else: its length in bytes and a digest are all that is kept.
    Opaque {
        /// Bytes.
        length: u64,
        /// Comparable within this process only.
        digest: u64,
    },
}

impl Content {
    /// Reads a body after content decoding. JSON is recognised by its form, not by its label; text that is no JSON, an empty
    /// body and JSON deeper than 128 levels are opaque. Of duplicate keys the last one wins.
    pub fn read(body: &[u8]) -> Self {
        let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
        let opaque = || Self::Opaque { length: body.len() as u64, digest: digest::bytes(body) };
        match (documents.next(), documents.next()) {
            (Some(Ok(only)), None) => Self::Json(only),
            (Some(Ok(first)), Some(Ok(second))) => {
                let rest: Result<Vec<_>, _> = documents.collect();
                rest.map_or_else(|_| opaque(), |rest| Self::Json([first, second].into_iter().chain(rest).collect()))
            }
            _ => opaque(),
        }
    }
}

/// What is compared of one backend's answer.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Status code.
    pub status: u16,
    /// The `content-type` header, if there is one.
    pub content_type: Option<&'a str>,
    /// The body; V2's after mapping.
    pub content: &'a Content,
}

impl Reply<'_> {
    /// The media type in lower case, without parameters; empty without one.
    pub(super) fn media_type(&self) -> String {
        let text = self.content_type.unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_read_by_their_form() {
        assert_eq!(Content::read(br#" {"a": 1, "a": 2} "#), Content::Json(json!({"a": 2})));
        assert_eq!(Content::read(b"{\"a\":1}\n{\"a\":2}\n"), Content::Json(json!([{"a": 1}, {"a": 2}])));
        assert_eq!(Content::read(b"1\n2\n3\n"), Content::Json(json!([1, 2, 3])));
        for opaque in [&b""[..], b"<a/>", b"{\"a\":1}\nno", b"{\"a\":", b"\"\xff\"", "[".repeat(200).as_bytes()] {
            assert!(matches!(Content::read(opaque), Content::Opaque { .. }), "{opaque:?}");
        }
    }
}
