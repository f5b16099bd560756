//! Where problems gather while a document is read.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, Error};

use super::super::problem::{Problem, Problems, Severity};
use super::Checked;
use super::table::Table;

/// Gathers the problems of one document. Shared by all readers of it, hence the cell.
pub(super) struct Sink<'a> {
    source: &'a str,
    lines: Vec<usize>,
    list: RefCell<Vec<Problem>>,
    /// Lines that the TOML parser could not make sense of: what it guessed there is not judged.
    broken: Vec<usize>,
}

impl<'a> Sink<'a> {
    fn new(source: &'a str) -> Self {
        let starts = source.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, lines: std::iter::once(0).chain(starts).collect(), list: RefCell::default(), broken: Vec::new() }
    }

    /// Adds a problem; `span` is cut to its first line.
    pub(super) fn push(&self, severity: Severity, span: &Range<usize>, message: String, help: Option<String>) {
        let line = self.line(span.start);
        if self.broken.contains(&line) {
            return;
        }
        self.list.borrow_mut().push(self.problem(severity, span, message, help));
    }

    /// Adds the absence of a key, unless the parser may have lost it.
    pub(super) fn missing(&self, span: &Range<usize>, message: String, help: Option<String>) {
        if self.is_whole() {
            self.push(Severity::Error, span, message, help);
        }
    }

    /// The document.
    pub(super) const fn source(&self) -> &'a str {
        self.source
    }

    /// How many errors there are so far.
    pub(super) fn errors(&self) -> usize {
        let list = self.list.borrow();
        list.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    fn problem(&self, severity: Severity, span: &Range<usize>, message: String, help: Option<String>) -> Problem {
        let span = self.first_line_of(span);
        let line = self.line(span.start);
        let column = self.source[self.lines[line]..span.start].chars().count() + 1;
        Problem { severity, line: line + 1, column, span, message, help }
    }

    /// The index of the line that holds a byte.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Within the source, on character boundaries, and not beyond the end of its first line.
    fn first_line_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        let rest = &self.source[start..];
        let line_end = start + rest.find(['\n', '\r']).unwrap_or(rest.len());
        start..self.boundary(span.end.clamp(start, line_end))
    }

    /// The last character boundary up to a byte.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.source.len());
        while !self.source.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// Adds the syntax errors, but for their echoes: the parser complains on and on about one line, and about each line
    /// after an array or a string that was not closed.
    fn syntax(&mut self, mut errors: Vec<Error>) {
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        for error in errors {
            let message = error.message();
            let span = error.span().unwrap_or(0..0);
            let problem = self.problem(Severity::Error, &span, format!("not TOML: {message}"), mend(message));
            let line = problem.line - 1;
            let is_echo = message.starts_with("missing comma") || message.starts_with("unclosed");
            if !(self.broken.contains(&line) || is_echo && !self.broken.is_empty()) {
                self.list.get_mut().push(problem);
            }
            self.broken.push(line);
        }
    }

    /// Whether the TOML parser understood everything.
    pub(super) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Whether a table header before a place was not understood: the keys below it then belong to nobody knows what.
    pub(super) fn lost_header_before(&self, at: usize) -> bool {
        let here = self.line(at);
        let is_header = |line: usize| self.source[self.lines[line]..].trim_start().starts_with('[');
        self.broken.iter().any(|line| *line < here && is_header(*line))
    }
}

/// How to mend what people who write TOML now and then run into.
fn mend(message: &str) -> Option<String> {
    let help = if message.starts_with("cannot extend value of type inline table") {
        "an inline table is complete: write its keys below a [header] of their own"
    } else if message == "duplicate key" {
        "it is there already: remove one of the two"
    } else {
        return None;
    };
    Some(help.to_owned())
}

/// Parses `source`, lets `read` walk it, and gathers what both have to say.
pub(super) fn checked<T>(source: &str, path: &Path, read: impl FnOnce(Table<'_>) -> T) -> Checked<T> {
    let (root, errors) = DeTable::parse_recoverable(source);
    let mut sink = Sink::new(source);
    sink.syntax(errors);
    let value = read(Table::root(&sink, root.get_ref()));
    let problems = Problems::new(path, source, sink.list.into_inner());
    ((!problems.has_errors()).then_some(value), problems)
}
