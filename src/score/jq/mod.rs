//! jq as the language of rules and mappings: jaq, behind three fences.
//!
//! 1. A *profile* ([`profile`]): only what is on its list compiles; everything else is refused with its place in the text.
//! 2. A *meter* ([`meter`], [`fuel`]): jaq has no fuel of its own, so the parsed program is rewritten to pay for what it
//!    does at every place where work or memory can multiply. A program that has used up its fuel ends there and then, and
//!    nothing in it can catch that.
//! 3. *Values* come from `serde_json`, with its limit of nesting ([`value`]); jaq's own reader aborts the process on deep
//!    nesting. No text of jaq's errors leaves this folder, for it quotes what the answer holds.
//!
//! With that a run is bounded in time, memory and stack by constants, whatever the program and whatever the answer.

mod fuel;
mod meter;
mod profile;
mod value;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{Def, Expect, Parser, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, lex, span};
use jaq_core::{Compiler, Ctx, Filter, Vars};
use jaq_json::Val;
use serde_json::Value;

use fuel::{Fuel, Metered, Tank};

/// The stack that [`Program::compile`] takes for itself, and that a thread which runs programs should have, in bytes.
///
/// The longest program that is accepted nests some thousand calls, in a build without optimisation with some KiB each.
pub const STACK: usize = 16 << 20;
/// Longest text of a program, in bytes: far more than a rule needs, and little enough to bound what reading it takes.
const MAX_TEXT: usize = 4 << 10;
/// Most words and signs of a program: each may nest what follows it, as a row of `-` does.
const MAX_TOKENS: usize = 1000;
/// Deepest nesting of brackets in a program.
const MAX_BRACKETS: usize = 64;
/// The name by which the loader finds the program; no program can call it, for it is not in the profile.
const MAIN: &str = "crossfade_main";

/// A compiled program. Cheap to clone; equal to those of the same text.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    filter: Filter<Metered>,
}

/// Why a text is no program that may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JqError {
    /// The bytes of the text that are to blame.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl fmt::Display for JqError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JqError {}

/// Why a run gave no answer. Carries no text: jaq's would quote the answer that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JqFault {
    /// The input is no JSON, or nested deeper than 128 levels.
    #[error("the input is not JSON, or nested too deeply")]
    NotJson,
    /// jq's own error: an index into what has none, a sum of a number and a list, `error`.
    #[error("the program failed on this input")]
    Failed,
    /// It gave no output, where exactly one is wanted.
    #[error("the program gave no output")]
    NoOutput,
    /// It gave more than one output.
    #[error("the program gave more than one output")]
    SeveralOutputs,
    /// It used up the work, memory or depth that one run may take.
    #[error("the program needs more than one run may take")]
    Exhausted,
}

impl Program {
    /// Compiles a text, in a thread of its own, since reading takes stack.
    ///
    /// # Errors
    /// The first thing that is wrong: syntax, a name that is not in the profile, a variable that is not bound.
    pub fn compile(text: &str) -> Result<Self, JqError> {
        let whole = |message: &str, help: &str| error(0..text.len(), message, help);
        check_size(text)?;
        let compiled = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("jq-compile".to_owned()).stack_size(STACK);
            let compiling = thread.spawn_scoped(scope, || compile(text)).map_err(drop)?;
            compiling.join().map_err(drop)
        });
        let filter = compiled.map_err(|()| whole("jq cannot read this", "write it in another way"))??;
        Ok(Self { inner: Arc::new(Inner { text: text.to_owned(), filter }) })
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The one output for an input. Takes stack: see [`STACK`].
    ///
    /// # Errors
    /// See [`JqFault`].
    pub fn run(&self, input: Value) -> Result<Value, JqFault> {
        self.run_with(input, &Fuel::default())
    }

    fn run_with(&self, input: Value, fuel: &Fuel) -> Result<Value, JqFault> {
        let output = self.output(value::from_json(input, 0)?, fuel)?;
        value::to_json(&output, 0, fuel)
    }

    /// Whether the one output for an input is neither `false` nor `null`. Takes stack: see [`STACK`].
    ///
    /// # Errors
    /// See [`JqFault`].
    pub fn is_true(&self, input: Value) -> Result<bool, JqFault> {
        let output = self.output(value::from_json(input, 0)?, &Fuel::default())?;
        Ok(value::is_true(&output))
    }

    /// As [`is_true`](Self::is_true), for JSON that is still text; saves the tree in between.
    ///
    /// # Errors
    /// See [`JqFault`].
    pub fn is_true_of(&self, json: &[u8]) -> Result<bool, JqFault> {
        let input = serde_json::from_slice(json).map_err(|_| JqFault::NotJson)?;
        let output = self.output(input, &Fuel::default())?;
        Ok(value::is_true(&output))
    }

    /// As [`is_true_of`](Self::is_true_of), for several documents, which the program sees as one array.
    ///
    /// # Errors
    /// See [`JqFault`].
    pub fn is_true_of_all<'a>(&self, documents: impl Iterator<Item = &'a [u8]>) -> Result<bool, JqFault> {
        let input = documents.map(serde_json::from_slice).collect::<Result<Val, _>>().map_err(|_| JqFault::NotJson)?;
        let output = self.output(input, &Fuel::default())?;
        Ok(value::is_true(&output))
    }

    fn output(&self, input: Val, fuel: &Fuel) -> Result<Val, JqFault> {
        let Filter { lut, id } = &self.inner.filter;
        let ctx = Ctx::<Metered>::new(Tank { lut, fuel }, Vars::new([]));
        let mut outputs = id.run((ctx, input)).map(|output| {
            // Never `unwrap_valr`, which ends the process on `halt`. Here a halt is the meter's, and nobody else's.
            output.map_err(|exception| if exception.get_err().is_ok() { JqFault::Failed } else { JqFault::Exhausted })
        });
        let output = outputs.next().ok_or(JqFault::NoOutput)??;
        match outputs.next() {
            None => Ok(output),
            Some(Err(JqFault::Exhausted)) => Err(JqFault::Exhausted),
            Some(_) => Err(JqFault::SeveralOutputs),
        }
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Program {}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.text()).finish()
    }
}

fn error(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> JqError {
    JqError { span, message: message.into(), help: help.into() }
}

/// Refuses what is too long or too deeply nested to be read, without reading it.
fn check_size(text: &str) -> Result<(), JqError> {
    if text.len() > MAX_TEXT {
        return Err(error(0..text.len(), "a program of more than 4 KiB", "write a shorter one"));
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err(error(at..at + 1, "brackets nested deeper than 64 levels", "write it in steps, with `|`"));
        }
    }
    Ok(())
}

fn compile(text: &str) -> Result<Filter<Metered>, JqError> {
    let term = parse(text)?;
    profile::check(text, &term)?;
    let main = Def { name: MAIN, args: Vec::new(), body: meter::program(term) };
    let mut definitions: Vec<Def<&str>> = profile::definitions().map(meter::definition).collect();
    definitions.push(main);
    let arena = Arena::default();
    let modules = Loader::new(definitions).load(&arena, File { code: MAIN, path: () });
    let modules = modules.map_err(|_| error(0..text.len(), "jq cannot read this", "write it in another way"))?;
    let compiled = Compiler::default().with_funs(profile::functions()).compile(modules);
    compiled.map_err(|errors| {
        let first = errors.iter().flat_map(|(_, errors)| errors).next();
        let (name, kind) = first.map_or((text, "name"), |(name, kind)| (*name, kind.as_str()));
        error(place(text, name), format!("the {kind} `{}` is not defined", name.escape_debug()), "check its spelling")
    })
}

fn parse(text: &str) -> Result<Term<&str>, JqError> {
    let tokens = Lexer::new(text).lex().map_err(|errors| {
        let (expected, rest) = errors.first().map_or((&lex::Expect::Token, text), |(expected, rest)| (expected, *rest));
        let at = place(text, rest);
        let first = rest.chars().next().map_or(0, char::len_utf8);
        error(at.start..at.start + first, format!("not jq: {} expected", expected.as_str()), HELP)
    })?;
    if count(&tokens) > MAX_TOKENS {
        return Err(error(0..text.len(), "a program of more than 1000 words and signs", "write a shorter one"));
    }
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        let Some((expected, found)) = errors.first() else { return error(0..text.len(), "not jq", HELP) };
        let found = found.map_or(text.len()..text.len(), |token| place(text, token.as_str()));
        error(found, format!("not jq: {} expected", expectation(expected)), HELP)
    })
}

fn count(tokens: &[Token<&str>]) -> usize {
    let inside = |Token(_, kind): &Token<&str>| match kind {
        Tok::Block(tokens) => count(tokens),
        Tok::Str(parts) => parts.iter().filter_map(interpolated).map(|token| count(std::slice::from_ref(token))).sum(),
        _ => 0,
    };
    tokens.len() + tokens.iter().map(inside).sum::<usize>()
}

fn interpolated<S, T>(part: &StrPart<S, T>) -> Option<&T> {
    match part {
        StrPart::Term(term) => Some(term),
        StrPart::Str(_) | StrPart::Char(_) => None,
    }
}

const HELP: &str = "the language is jq's: https://jqlang.org/manual";

fn expectation(expected: &Expect<&str>) -> String {
    match expected {
        Expect::Just("") => "the end".to_owned(),
        Expect::Just(word) => format!("`{word}`"),
        other => other.as_str().to_owned(),
    }
}

/// Where a part stands in the text; all of the text for what is not part of it.
fn place(text: &str, part: &str) -> Range<usize> {
    let (start, end) = (text.as_ptr() as usize, text.as_ptr() as usize + text.len());
    let inside = (start..=end).contains(&(part.as_ptr() as usize)) && part.as_ptr() as usize + part.len() <= end;
    if inside { span(text, part) } else { 0..text.len() }
}

#[cfg(test)]
mod tests;
