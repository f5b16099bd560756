//! JSON Pointer (RFC 6901), parsed once.

use std::fmt;

/// A place in a JSON document: `""` is the whole document, `/items/0/name` a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses the string form.
    ///
    /// # Errors
    /// When the text is neither empty nor starts with `/`, or a `~` is not followed by `0` or `1` (RFC 6901, section 3).
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self { tokens: Vec::new() });
        }
        let rest = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        let tokens = rest.split('/').map(unescape).collect::<Result<_, _>>()?;
        Ok(Self { tokens })
    }

    /// The place that these reference tokens lead to.
    pub(super) const fn of(tokens: Vec<String>) -> Self {
        Self { tokens }
    }

    /// The reference tokens, unescaped, outermost first.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

fn unescape(token: &str) -> Result<String, PointerError> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PointerError::BadEscape),
            },
            c => c,
        });
    }
    Ok(out)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

/// Why a text is not a [`Pointer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointerError {
    /// A pointer that is not empty starts with a slash.
    NoSlash,
    /// `~` stands before anything but `0` or `1`.
    BadEscape,
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlash => "a JSON Pointer is empty or starts with `/`",
            Self::BadEscape => "in a JSON Pointer `~` is written `~0` and `/` is written `~1`",
        })
    }
}

impl std::error::Error for PointerError {}
