//! What of jq a rule may use. A list of what is allowed: whatever jaq learns later stays out until somebody has looked at it.
//!
//! Not on it are: definitions, loops and endless generators (`def`, `reduce`, `foreach`, `label`, `range`, `repeat`, `while`,
//! `until`, `recurse(f)`, `limit`), which make work out of nothing; paths that are data (`getpath`, `setpath`, `paths`),
//! which make depth out of length; regular expressions; the outside world (`env`, `input`, `now`, `debug`, `halt`); and
//! `catch`, which would turn what the answer holds into text.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::Fun;
use jaq_core::path::{Part, Path};

use super::fuel::{self, Metered};
use super::{JqError, error, place};

/// How a function pays for what it does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// By its result.
    Light,
    /// By all that its input and its arguments hold: it compares them, or writes them as text.
    Deep,
    /// By all that its result holds: it makes one out of its input.
    Builds,
}

use Cost::{Builds, Deep, Light};

/// The functions that a program may call, with their numbers of arguments.
pub(super) const ALLOWED: &[(&str, usize, Cost)] = &[
    ("empty", 0, Light),
    ("error", 0, Light),
    ("error", 1, Light),
    ("null", 0, Light),
    ("true", 0, Light),
    ("false", 0, Light),
    ("not", 0, Light),
    ("select", 1, Light),
    ("map", 1, Light),
    ("map_values", 1, Builds),
    ("recurse", 0, Light),
    ("walk", 1, Builds),
    ("del", 1, Builds),
    ("first", 0, Light),
    ("first", 1, Light),
    ("last", 0, Light),
    ("last", 1, Light),
    ("nth", 1, Light),
    ("isempty", 1, Light),
    ("all", 0, Light),
    ("all", 1, Light),
    ("all", 2, Light),
    ("any", 0, Light),
    ("any", 1, Light),
    ("any", 2, Light),
    ("add", 0, Light),
    ("add", 1, Light),
    ("length", 0, Light),
    ("utf8bytelength", 0, Light),
    ("type", 0, Light),
    ("values", 0, Light),
    ("nulls", 0, Light),
    ("booleans", 0, Light),
    ("numbers", 0, Light),
    ("strings", 0, Light),
    ("arrays", 0, Light),
    ("objects", 0, Light),
    ("iterables", 0, Light),
    ("scalars", 0, Light),
    ("abs", 0, Light),
    ("floor", 0, Light),
    ("round", 0, Light),
    ("ceil", 0, Light),
    ("keys", 0, Light),
    ("keys_unsorted", 0, Light),
    ("has", 1, Deep),
    ("in", 1, Deep),
    ("contains", 1, Deep),
    ("inside", 1, Deep),
    ("reverse", 0, Light),
    ("sort", 0, Deep),
    ("sort_by", 1, Deep),
    ("group_by", 1, Deep),
    ("unique", 0, Deep),
    ("unique_by", 1, Deep),
    ("min", 0, Deep),
    ("max", 0, Deep),
    ("min_by", 1, Deep),
    ("max_by", 1, Deep),
    ("flatten", 0, Deep),
    ("flatten", 1, Deep),
    ("to_entries", 0, Light),
    ("from_entries", 0, Deep),
    ("with_entries", 1, Deep),
    ("join", 1, Deep),
    ("split", 1, Light),
    ("startswith", 1, Light),
    ("endswith", 1, Light),
    ("ltrimstr", 1, Light),
    ("rtrimstr", 1, Light),
    ("trim", 0, Light),
    ("ltrim", 0, Light),
    ("rtrim", 0, Light),
    ("ascii_downcase", 0, Light),
    ("ascii_upcase", 0, Light),
    ("tostring", 0, Deep),
    ("tonumber", 0, Light),
    ("tojson", 0, Deep),
    ("fromjson", 0, Builds),
    ("@text", 0, Deep),
    ("@json", 0, Deep),
];

/// What the definitions of the functions above call.
const INTERNAL: &[(&str, usize)] = &[
    ("recurse", 1),
    ("isboolean", 0),
    ("isnumber", 0),
    ("isstring", 0),
    ("isarray", 0),
    ("isobject", 0),
    ("error_empty", 0),
    ("key_values", 0),
    ("min_by_or_empty", 1),
    ("max_by_or_empty", 1),
];

/// The cost of a function; `None` for one that no program may call.
pub(super) fn cost(name: &str, arity: usize) -> Option<Cost> {
    ALLOWED.iter().find(|(allowed, args, _)| *allowed == name && *args == arity).map(|(_, _, cost)| *cost)
}

fn is_known(name: &str, arity: usize) -> bool {
    cost(name, arity).is_some() || INTERNAL.contains(&(name, arity))
}

fn is_ours(name: &str) -> bool {
    fuel::OURS.contains(&name)
}

/// jaq's definitions of the functions of the profile.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|def| is_known(def.name, def.args.len()) && !is_ours(def.name))
}

/// The functions of the profile that are not defined in jq: jaq's, and ours.
pub(super) fn functions() -> impl Iterator<Item = Fun<Metered>> {
    let all = jaq_core::funs().chain(jaq_std::base_funs()).chain(jaq_json::funs());
    all.filter(|(name, args, _)| is_known(name, args.len()) && !is_ours(name)).chain(fuel::functions())
}

/// Refuses a program that uses anything else, with its place in the text.
pub(super) fn check(text: &str, term: &Term<&str>) -> Result<(), JqError> {
    let check = |term: &Term<&str>| check(text, term);
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Arr(None) => Ok(()),
        Term::Var(name) => check_variable(text, name),
        Term::Str(format, parts) => check_string(text, *format, parts),
        Term::Arr(Some(term)) | Term::Neg(term) | Term::TryCatch(term, None) => check(term),
        Term::Obj(fields) => {
            fields.iter().try_for_each(|(key, value)| check(key).and_then(|()| value.iter().try_for_each(check)))
        }
        Term::BinOp(left, op, right) => {
            check(left)?;
            if let BinaryOp::Pipe(Some(pattern)) = op {
                check_pattern(text, pattern)?;
            }
            check(right)
        }
        Term::IfThenElse(branches, last) => {
            let branch = |(condition, then): &(Term<&str>, Term<&str>)| check(condition).and_then(|()| check(then));
            branches.iter().try_for_each(branch)?;
            last.iter().try_for_each(|last| check(last))
        }
        Term::Call(name, args) => {
            check_call(text, name, args.len())?;
            args.iter().try_for_each(check)
        }
        Term::Path(term, Path(parts)) => {
            check(term)?;
            parts.iter().flat_map(|(part, _)| indices(part)).try_for_each(check)
        }
        Term::TryCatch(_, Some(caught)) => Err(refuse_catch(text, caught)),
        Term::Label(name, _) | Term::Break(name) => Err(refuse(text, name, "labels", "use `first(f)`, `any` or `all`")),
        Term::Fold(word, ..) => {
            Err(refuse(text, word, &format!("`{word}`"), "use `add`, `map`, `group_by`, `any` or `all`"))
        }
        Term::Def(definitions, _) => {
            let name = definitions.first().map_or(text, |definition| definition.name);
            Err(refuse(text, name, "`def`", "write it out where it is used, or bind a value: `f as $x | ...`"))
        }
    }
}

/// The terms in one part of a path.
pub(super) fn indices<T>(part: &Part<T>) -> impl Iterator<Item = &T> {
    let (first, second) = match part {
        Part::Index(index) => (Some(index), None),
        Part::Range(from, to) => (from.as_ref(), to.as_ref()),
    };
    first.into_iter().chain(second)
}

fn check_variable(text: &str, name: &str) -> Result<(), JqError> {
    match name {
        "$ENV" => Err(refuse(text, name, "the environment", "write the value into the program")),
        _ => Ok(()),
    }
}

fn check_string(text: &str, format: Option<&str>, parts: &[StrPart<&str, Term<&str>>]) -> Result<(), JqError> {
    if let Some(format) = format.filter(|format| cost(format, 0).is_none()) {
        return Err(refuse(text, format, &format!("`{format}`"), "possible: `@text`, `@json`"));
    }
    parts.iter().try_for_each(|part| match part {
        StrPart::Term(term) => check(text, term),
        StrPart::Str(_) | StrPart::Char(_) => Ok(()),
    })
}

fn check_pattern(text: &str, pattern: &Pattern<&str>) -> Result<(), JqError> {
    match pattern {
        Pattern::Var(_) => Ok(()),
        Pattern::Arr(patterns) => patterns.iter().try_for_each(|pattern| check_pattern(text, pattern)),
        Pattern::Obj(fields) => {
            fields.iter().try_for_each(|(key, pattern)| check(text, key).and_then(|()| check_pattern(text, pattern)))
        }
    }
}

fn check_call(text: &str, name: &str, arity: usize) -> Result<(), JqError> {
    if cost(name, arity).is_some() {
        return Ok(());
    }
    let shown = name.escape_debug();
    let others: Vec<_> = ALLOWED.iter().filter(|(allowed, ..)| *allowed == name).map(|(_, args, _)| args).collect();
    if let Some(args) = others.first() {
        let help = format!("`{shown}` takes {args} here");
        return Err(refuse(text, name, &format!("`{shown}` with {arity} arguments"), &help));
    }
    Err(refuse(text, name, &format!("`{shown}`"), help(name)))
}

fn help(name: &str) -> &'static str {
    match name {
        "test" | "match" | "capture" | "scan" | "splits" | "sub" | "gsub" | "ascii" => {
            "use `startswith`, `endswith`, `contains` or `split`, or the rule `matches` for text"
        }
        "range" | "limit" | "while" | "until" | "repeat" | "recurse" | "input" | "inputs" | "combinations" => {
            "use `.[]`, `..`, `first(f)`, `any` or `all`"
        }
        "getpath" | "setpath" | "delpaths" | "paths" | "leaf_paths" | "path" | "to_paths" | "pick" => {
            "write the path itself, such as `.items[0].name`"
        }
        "env" | "now" | "debug" | "stderr" | "halt" | "halt_error" | "input_filename" | "input_line_number" => {
            "a rule sees the answer and nothing else"
        }
        _ => "README.md lists what there is, under \"jq\"",
    }
}

fn refuse(text: &str, part: &str, what: &str, help: &str) -> JqError {
    error(place(text, part), format!("{what} cannot be used in a rule"), help)
}

fn refuse_catch(text: &str, caught: &Term<&str>) -> JqError {
    let end = anchor(caught).map_or(text.len(), |part| place(text, part).start);
    let at = text[..end].rfind("catch").map_or(0..text.len(), |at| at..at + "catch".len());
    error(at, "`catch` cannot be used in a rule", "use `try f`, or `(try f) // default`")
}

/// The first part of the text that a term keeps.
fn anchor<'s>(term: &Term<&'s str>) -> Option<&'s str> {
    match term {
        Term::Num(part) | Term::Var(part) | Term::Call(part, _) | Term::Label(part, _) | Term::Fold(part, ..) => {
            Some(part)
        }
        Term::Str(_, parts) => parts.iter().find_map(|part| match part {
            StrPart::Str(part) => Some(*part),
            StrPart::Term(term) => anchor(term),
            StrPart::Char(_) => None,
        }),
        Term::Arr(Some(term)) | Term::Neg(term) | Term::BinOp(term, ..) | Term::TryCatch(term, _) => anchor(term),
        Term::Path(term, Path(parts)) => {
            anchor(term).or_else(|| parts.iter().flat_map(|(part, _)| indices(part)).find_map(anchor))
        }
        _ => None,
    }
}
