//! Suggestions as the lines of `crossfade.toml` that put them into force.

use std::fmt::Write;

use super::{Label, Suggestion, Transform};
use crate::score::diff::pattern::unescape;

/// The table `[dependency.NAME.v2.response]`: `body`, a jq expression for what places cannot say, then `map`, V1's place =
/// V2's place. What nobody can paste is a comment: labels that are not kept, and times, for which rules have no functions.
/// Empty without suggestions.
///
/// `body` runs before `map`, on V2's answer, and uses paths, `|=`, `map_values`, `if` and arithmetic only.
pub fn to_toml(dependency: &str, suggestions: &[Suggestion]) -> String {
    let mut text = String::new();
    if suggestions.is_empty() {
        return text;
    }
    let (places, others): (Vec<_>, Vec<_>) = suggestions.iter().partition(|one| is_map(one));
    let (told, untold): (Vec<_>, Vec<_>) = others.into_iter().partition(|one| is_told(one));
    let _ = writeln!(text, "[dependency.{}.v2.response]", key(dependency));
    for one in &untold {
        let _ = writeln!(text, "# By hand: {}", describe(one));
    }
    for one in &told {
        let _ = writeln!(text, "# {}", describe(one));
    }
    let steps = told.iter().map(|one| (tokens(&one.v1), tokens(&one.v2), &one.transform)).collect::<Vec<_>>();
    if let Some(program) = program(&steps) {
        let _ = writeln!(text, "body = {}", toml::Value::String(program));
    }
    if !places.is_empty() {
        let _ = writeln!(text, "\n[dependency.{}.v2.response.map]", key(dependency));
    }
    for one in places {
        let _ = writeln!(text, "{} = {} # {}", quoted(&one.v1), quoted(&one.v2), counted(one));
    }
    text
}

/// Whether a line of `map` says it: the value only moves, and within the same element of an array or map if in one.
fn is_map(one: &Suggestion) -> bool {
    let element = |path: &str| path.rfind("/*").map(|star| path[..star].to_owned());
    one.transform == Transform::Same && element(&one.v1) == element(&one.v2)
}

fn is_told(one: &Suggestion) -> bool {
    match &one.transform {
        Transform::Labels { labels } => labels.iter().all(|label| label.v1.is_some() && label.v2.is_some()),
        other => other == &Transform::Same || expression(other).is_some(),
    }
}

fn describe(one: &Suggestion) -> String {
    let what = match &one.transform {
        Transform::Same => "",
        Transform::Lower => ", in small letters",
        Transform::Upper => ", in capitals",
        Transform::Number => ", as a number",
        Transform::Text => ", as a text",
        Transform::Truth => ", as a truth value",
        Transform::FromSeconds => ", as RFC 3339 from seconds since 1970",
        Transform::FromMillis => ", as RFC 3339 from milliseconds since 1970",
        Transform::ToSeconds => ", in seconds since 1970",
        Transform::ToMillis => ", in milliseconds since 1970",
        Transform::Scale { ratio } => return format!("{} from {}, times {ratio}: {}", one.v1, one.v2, counted(one)),
        Transform::Labels { labels } => {
            return format!("{} from {}, {} labels one to one: {}", one.v1, one.v2, labels.len(), counted(one));
        }
    };
    format!("{} from {}{what}: {}", one.v1, one.v2, counted(one))
}

fn counted(one: &Suggestion) -> String {
    format!("{} of {} pairs", one.support, one.of)
}

/// One thing to do: V1's place, V2's place, and how.
type Step<'a> = (Vec<String>, Vec<String>, &'a Transform);

/// An array or map in V1's answer, and the one in V2's.
type Places = (Vec<String>, Vec<String>);

/// The steps as one jq expression; nothing if there is nothing to do. Steps inside of the same array become one.
fn program(steps: &[Step<'_>]) -> Option<String> {
    let mut done: Vec<String> = Vec::new();
    let mut inside: Vec<(Places, Vec<Step<'_>>)> = Vec::new();
    for (v1, v2, transform) in steps {
        let (Some((to, to_rest)), Some((from, from_rest))) = (split(v1), split(v2)) else {
            done.extend(assignment(v1, v2, transform));
            continue;
        };
        let (places, step) = ((to, from), (to_rest, from_rest, *transform));
        match inside.iter_mut().find(|(known, _)| *known == places) {
            Some((_, steps)) => steps.push(step),
            None => inside.push((places, vec![step])),
        }
    }
    for ((to, from), steps) in &inside {
        done.extend(match program(steps) {
            Some(change) if to == from => Some(format!("{}[]? |= ({change})", path(to))),
            Some(change) => Some(format!("{} = ({} | map_values({change}))", path(to), path(from))),
            None if to == from => None,
            None => Some(format!("{} = {}", path(to), path(from))),
        });
    }
    (!done.is_empty()).then(|| done.join(" | "))
}

/// A path up to its first `*`, and what follows it.
fn split(tokens: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    let star = tokens.iter().position(|token| token == "*")?;
    Some((tokens[..star].to_vec(), tokens[star + 1..].to_vec()))
}

/// Null stays null, so that an optional value does not fail the whole answer.
fn assignment(v1: &[String], v2: &[String], transform: &Transform) -> Option<String> {
    let (to, from) = (path(v1), path(v2));
    match expression(transform) {
        None if v1 == v2 => None,
        None => Some(format!("{to} = {from}")),
        Some(change) if v1 == v2 => Some(format!("{to} |= (if . == null then . else {change} end)")),
        Some(change) => Some(format!("{to} = ({from} | if . == null then . else {change} end)")),
    }
}

fn expression(transform: &Transform) -> Option<String> {
    Some(match transform {
        Transform::Same
        | Transform::FromSeconds
        | Transform::FromMillis
        | Transform::ToSeconds
        | Transform::ToMillis => return None,
        Transform::Lower => "ascii_downcase".to_owned(),
        Transform::Upper => "ascii_upcase".to_owned(),
        Transform::Number => "tonumber".to_owned(),
        Transform::Text => "tostring".to_owned(),
        Transform::Truth => ". == \"true\"".to_owned(),
        Transform::Scale { ratio } if ratio.abs() < 1.0 && (1.0 / ratio).fract() == 0.0 => {
            format!(". / {}", 1.0 / ratio)
        }
        Transform::Scale { ratio } => format!(". * {ratio}"),
        Transform::Labels { labels } => choice(labels),
    })
}

fn choice(labels: &[Label]) -> String {
    let text = |label: &Option<String>| label.clone().unwrap_or_default();
    let case = |label: &Label| format!("if . == {} then {} el", text(&label.v2), text(&label.v1));
    let cases: String = labels.iter().map(case).collect();
    format!("{cases}se . end")
}

/// As jq writes it: `.customer."first-name"`.
fn path(tokens: &[String]) -> String {
    if tokens.is_empty() {
        return ".".to_owned();
    }
    let plain = |token: &str| {
        let head = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        head && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    tokens.iter().map(|token| if plain(token) { format!(".{token}") } else { format!(".{}", quoted(token)) }).collect()
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(unescape).collect()
}

/// A name as a part of a TOML table's header.
fn key(name: &str) -> String {
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain { name.to_owned() } else { quoted(name) }
}

/// A text in double quotes; jq, TOML and JSON agree on the escapes that JSON needs; TOML asks for one more.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
