//! A place of a mapping, as written: a JSON Pointer (RFC 6901) in which `*` may stand for every element.

use std::fmt;

use super::super::pointer::{Pointer, PointerError};

/// A JSON Pointer in which a token `*` stands for each element of an array, or each member of an object. A key that is
/// itself `*` is written `~2`, which a JSON Pointer does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub(super) tokens: Vec<Token>,
}

/// One step of a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Token {
    /// A key, or an index.
    Key(String),
    /// Everything that is there.
    Each,
}

impl Place {
    /// Parses the string form.
    ///
    /// # Errors
    /// As [`Pointer::parse`], but for the token `~2`.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let slashed = text.is_empty() || text.starts_with('/');
        let tokens = text.split('/').skip(1).map(Token::parse).collect::<Result<_, _>>()?;
        if slashed { Ok(Self { tokens }) } else { Err(PointerError::NoSlash) }
    }
}

impl Token {
    fn parse(text: &str) -> Result<Self, PointerError> {
        match text {
            "*" => Ok(Self::Each),
            "~2" => Ok(Self::Key("*".to_owned())),
            text => {
                let pointer = Pointer::parse(&format!("/{text}"))?;
                Ok(Self::Key(pointer.tokens().concat()))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| match token {
            Token::Each => f.write_str("/*"),
            Token::Key(key) if key == "*" => f.write_str("/~2"),
            Token::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_pointers_with_stars() {
        for text in ["", "/", "/a/b", "/items/*/name", "/~2", "/a~1b/~0", "/a*b", "/*/*"] {
            assert_eq!(Place::parse(text).map(|place| place.to_string()), Ok(text.to_owned()), "{text}");
        }
        assert_eq!(Place::parse("/~2").map(|place| place.tokens), Ok(vec![Token::Key("*".to_owned())]));
        assert_eq!(Place::parse("/*").map(|place| place.tokens), Ok(vec![Token::Each]));
        assert_eq!(Place::parse("a"), Err(PointerError::NoSlash));
        assert_eq!(Place::parse("/~3"), Err(PointerError::BadEscape));
        assert_eq!(Place::parse("/a~2"), Err(PointerError::BadEscape), "`~2` is a token, not an escape");
    }
}
