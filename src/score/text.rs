//! Rules on an answer as text: for XML, HTML and whatever else has no places to point at.

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled form of a pattern, in bytes; it bounds what one byte of an answer may cost. `\w{1,30}` is within it.
const MAX_COMPILED: usize = 1 << 20;

/// What the decoded body has to hold, and must not hold, as bytes. The default demands nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextRules {
    /// Each of these stands in it, byte for byte.
    pub contains: Vec<String>,
    /// None of these does.
    pub lacks: Vec<String>,
    /// Each of these matches somewhere.
    pub matches: Vec<Pattern>,
    /// None of these does.
    pub mismatches: Vec<Pattern>,
}

impl TextRules {
    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.contains.is_empty() && self.lacks.is_empty() && !self.has_patterns()
    }

    /// Whether a pattern has to be run.
    pub(super) fn has_patterns(&self) -> bool {
        !(self.matches.is_empty() && self.mismatches.is_empty())
    }

    /// The texts of all patterns.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.matches.iter().chain(&self.mismatches).map(|pattern| pattern.0.as_str())
    }

    /// Whether a body is as demanded.
    pub(super) fn hold(&self, body: &[u8]) -> bool {
        let has = |text: &String| memmem::find(body, text.as_bytes()).is_some();
        self.contains.iter().all(has)
            && !self.lacks.iter().any(has)
            && self.matches.iter().all(|pattern| pattern.0.is_match(body))
            && !self.mismatches.iter().any(|pattern| pattern.0.is_match(body))
    }
}

/// A regular expression; time is linear in the length of what it is held against. Equal to those of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern in the syntax of the crate `regex`: no look-around, no backreferences.
    ///
    /// # Errors
    /// Why it cannot be used, on one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let compiled = RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            // The last line says what is wrong; those before it draw the place.
            error => error.to_string().lines().last().unwrap_or("no pattern").trim_start_matches("error: ").to_owned(),
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
    }

    #[test]
    fn every_demand_has_to_hold() {
        let page = b"<product><price>12</price></product>\xff";
        let table = [
            (TextRules { contains: texts(&["<product", "price"]), ..TextRules::default() }, true),
            (TextRules { contains: texts(&["<product", "<stock"]), ..TextRules::default() }, false),
            (TextRules { lacks: texts(&["<error", "sorry"]), ..TextRules::default() }, true),
            (TextRules { lacks: texts(&["<error", "</product>"]), ..TextRules::default() }, false),
            (TextRules { matches: patterns(&["<price>[0-9]+<", r"(?-u:\xff)$"]), ..TextRules::default() }, true),
            (TextRules { matches: patterns(&["^<price>"]), ..TextRules::default() }, false),
            (TextRules { mismatches: patterns(&["<price>0*<"]), ..TextRules::default() }, true),
            (TextRules { mismatches: patterns(&["PRICE", "(?i)PRICE"]), ..TextRules::default() }, false),
        ];
        for (rules, expected) in table {
            assert_eq!(rules.hold(page), expected, "{rules:?}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_linear_or_small_are_refused() {
        for (text, reason) in
            [("(", "unclosed"), (r"(a)\1", "backreferences"), ("(?=a)", "look-around"), ("(a{1000}){1000}", "large")]
        {
            let error = Pattern::parse(text).expect_err(text);
            assert!(error.contains(reason) && !error.contains('\n'), "{error}");
        }
    }
}
