//! What is wrong with a configuration file, in terms of that file: line, column, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Whether a file can be used in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably does not do what its author hoped for.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// Bytes of the file that are to blame; empty when it is the file as a whole.
    pub span: Range<usize>,
    /// Where and what.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl Problem {
    /// The message and, after a colon, how to mend it: all on one line.
    pub fn reason(&self) -> String {
        match &self.help {
            Some(help) => format!("{}: {help}", self.message),
            None => self.message.clone(),
        }
    }
}

/// All that is wrong with one file, in the order of the file. Empty when nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: PathBuf,
    source: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Problems of `source`, which was read from `file`; put into the order of the file.
    pub(super) fn new(file: &Path, source: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| (problem.span.start, problem.severity));
        list.dedup();
        Self { file: file.to_path_buf(), source: source.to_owned(), list }
    }

    /// The one problem of a file that could not even be read.
    pub(super) fn unreadable(file: &Path, reason: &str) -> Self {
        let problem = Problem {
            severity: Severity::Error,
            line: 1,
            column: 1,
            span: 0..0,
            message: format!("cannot be read: {reason}"),
            help: None,
        };
        Self::new(file, "", vec![problem])
    }

    /// The file they are about, as it was named by the caller.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What the file said.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Each problem, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// For logs: `file:line:column: reason`, one line for each problem, warnings marked as such.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            let mark = match problem.severity {
                Severity::Error => "",
                Severity::Warning => "warning: ",
            };
            let Problem { line, column, .. } = problem;
            write!(f, "{}:{line}:{column}: {mark}{}", self.file.display(), problem.reason())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
