//! jq in a string of TOML: what is wrong with it is told with its place in the file.

use std::ops::Range;

use super::value::Value;
use crate::score::Program;

/// A program, compiled.
pub(super) fn program(value: &Value<'_>) -> Option<Program> {
    let text = value.str_like("a jq program, such as \".items | length > 2\"")?;
    Program::compile(text).map_err(|error| value.error_inside(&error.span, &error.message, error.help.as_str())).ok()
}

/// Where a part of a string stands in the source. `written` is the string with its quotes, at `start`; `text` is what it
/// means. The whole string where the two do not go together.
pub(super) fn place(written: &str, start: usize, text: &str, part: &Range<usize>) -> Range<usize> {
    let whole = start..start + written.len();
    let Some((quotes, inner)) = unquote(written) else { return whole };
    let is_basic = written.starts_with('"');
    let offset = |at: usize| raw_offset(inner, text, at, is_basic).map(|raw| start + quotes + raw);
    match (offset(part.start), offset(part.end)) {
        (Some(from), Some(to)) if is_basic && from < to => {
            let rest = &written[from - start..];
            from + (rest.len() - continued(rest).len()).min(to - from)..to
        }
        (Some(from), Some(to)) => from..to,
        _ => whole,
    }
}

/// What stands between the quotes, and how many bytes stand before it. The first line end in three quotes does not count.
fn unquote(written: &str) -> Option<(usize, &str)> {
    for quote in ["\"\"\"", "'''"] {
        if let Some(inner) = written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            let trimmed = inner.strip_prefix("\r\n").or_else(|| inner.strip_prefix('\n')).unwrap_or(inner);
            return Some((written.len() - quote.len() - trimmed.len(), trimmed));
        }
    }
    let inner = written.get(1..written.len().checked_sub(1)?)?;
    Some((1, inner))
}

/// The offset in `inner` of what is at `at` in `text`; `None` where they part before that.
fn raw_offset(inner: &str, text: &str, at: usize, is_basic: bool) -> Option<usize> {
    let (mut rest, mut read) = (inner, 0);
    while read < at {
        let meant = text[read..].chars().next()?;
        let length = if is_basic { written_length(rest, meant)? } else { same(rest, meant)? };
        rest = &rest[length..];
        read += meant.len_utf8();
    }
    Some(inner.len() - rest.len())
}

fn same(rest: &str, meant: char) -> Option<usize> {
    // A line end may be written in two ways, and means one.
    if meant == '\n' && rest.starts_with("\r\n") {
        return Some(2);
    }
    rest.starts_with(meant).then(|| meant.len_utf8())
}

/// How many bytes of a basic string mean its next character, those included that mean nothing: the end of a line after a
/// backslash, with the white space that follows.
fn written_length(rest: &str, meant: char) -> Option<usize> {
    let next = continued(rest);
    let skipped = rest.len() - next.len();
    let Some(escape) = next.strip_prefix('\\') else { return Some(skipped + same(next, meant)?) };
    let length = match escape.chars().next()? {
        'x' => 4,
        'u' => 6,
        'U' => 10,
        _ => 2,
    };
    Some(skipped + length)
}

/// What follows a backslash at the end of a line, and the white space after it: they mean nothing.
fn continued(rest: &str) -> &str {
    let is_white = [' ', '\t', '\r', '\n'];
    match rest.strip_prefix('\\') {
        Some(end) if end.starts_with(is_white) => continued(end.trim_start_matches(is_white)),
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check_deployment;

    /// Line, column and the text that is pointed at.
    fn pointed(rich: &str) -> (usize, usize, String) {
        let source =
            format!("listen = [\"127.0.0.1:0\"]\n[dependency.d.v2]\nurl = \"http://h\"\n\nrequest.body={rich}\n");
        let (_, problems) = check_deployment(&source, Path::new("crossfade.toml"));
        let problem = problems.iter().next().unwrap_or_else(|| panic!("{rich} is wrong"));
        (problem.line, problem.column, source[problem.span.clone()].to_owned())
    }

    #[test]
    fn points_at_the_place_inside_the_string() {
        for (rich, line, column, part) in [
            (r#"".a | range(3)""#, 5, 20, "range"),
            ("'.a | range(3)'", 5, 20, "range"),
            (r#"".\"a\" | range(3)""#, 5, 24, "range"),
            (r#"".\u0022ä\U00000022 | range(3)""#, 5, 36, "range"),
            ("\"\"\"\n.a |\n  range(3)\"\"\"", 7, 3, "range"),
            ("'''\n.a |\n  range(3)'''", 7, 3, "range"),
            ("\"\"\"\\\n  .a | \\\n    range(3)\"\"\"", 7, 5, "range"),
            (r#"".a |""#, 5, 19, ""),
        ] {
            assert_eq!(pointed(rich), (line, column, part.to_owned()), "{rich}");
        }
    }
}
