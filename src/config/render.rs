//! Problems for people: the line, a caret, the reason. And for programs: JSON.

use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::problem::{Problem, Problems, Severity};

/// Wide enough for a line of configuration and its comment; the terminal folds what is longer.
const WIDTH: usize = 160;

impl Problems {
    /// One block for each problem, separated by an empty line, with a line end after the last. `color`: with ANSI
    /// escapes; whether that is wanted (a terminal, `NO_COLOR`) is for the caller to know.
    ///
    /// ```text
    /// error: `recommendations.stpes` is not a known key
    ///  --> rollout.toml:4:1
    ///   |
    /// 4 | stpes = [1, 5, 25]
    ///   | ^^^^^ did you mean `steps`?
    /// ```
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let file = self.file().display().to_string();
        let block = |problem| renderer.render(&[self.block(problem, &file)]) + "\n";
        self.iter().map(block).collect::<Vec<_>>().join("\n")
    }

    fn block<'a>(&'a self, problem: &'a Problem, file: &'a str) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&problem.message);
        if problem.span.is_empty() && problem.span.start == 0 {
            return whole_file(title.element(Origin::path(file)), problem);
        }
        let annotation = AnnotationKind::Primary.span(problem.span.clone()).label(problem.help.as_deref());
        title.element(Snippet::source(self.source()).path(file).annotation(annotation))
    }

    /// One object for each problem: `file`, `severity`, `line`, `column`, `span`, `message`, `help`.
    pub fn to_json(&self) -> serde_json::Value {
        let file = self.file();
        let list = self.iter().map(|problem| serde_json::json!(Located { file, problem }));
        serde_json::Value::Array(list.collect())
    }
}

/// A problem that no line is to blame for: the help stands below instead of beside a caret.
fn whole_file<'a>(group: Group<'a>, problem: &'a Problem) -> Group<'a> {
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

#[derive(Serialize)]
struct Located<'a> {
    file: &'a Path,
    #[serde(flatten)]
    problem: &'a Problem,
}
