//! `crossfade check`: validates files of either kind, and says everything that is wrong with them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::{self, Deployment, FileKind, Problems, Severity};

/// Every file is valid.
pub const VALID: u8 = 0;
/// A file is invalid, or cannot be read.
pub const INVALID: u8 = 2;
/// Every file is valid, but there are warnings, and `--strict` asked for none.
pub const WARNED: u8 = 3;

/// How to check, and how to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Check {
    /// Whether a warning is a "no".
    pub strict: bool,
    /// Whether to print one JSON document instead of text.
    pub json: bool,
    /// Whether text carries ANSI escapes.
    pub color: bool,
}

impl Check {
    /// Checks `files`, and returns the exit code: [`VALID`], [`INVALID`] or [`WARNED`]. Which kind a file is shows in its
    /// keys. Rollout files are checked against the deployment among `files`, if there is a valid one.
    ///
    /// Text: problems go to `err`, one line for each file to `out`. JSON: everything goes to `out`.
    ///
    /// # Errors
    /// When `out` or `err` cannot be written to.
    pub fn run(self, files: &[PathBuf], out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
        let checked = check_all(files);
        if self.json {
            let files: Vec<_> = checked.iter().map(Checked::to_json).collect();
            writeln!(out, "{:#}", json!({ "files": files }))?;
        } else {
            for file in &checked {
                file.print(self.color, out, err)?;
            }
        }
        Ok(self.exit_code(&checked))
    }

    fn exit_code(self, checked: &[Checked]) -> u8 {
        if checked.iter().any(|file| file.problems.has_errors()) {
            INVALID
        } else if self.strict && checked.iter().any(|file| !file.problems.is_empty()) {
            WARNED
        } else {
            VALID
        }
    }
}

/// One file, and what was found.
struct Checked {
    path: PathBuf,
    /// `None`: it could not be read.
    kind: Option<FileKind>,
    problems: Problems,
}

/// Deployments first, since rollouts are judged by them; the result is in the order of `files`.
fn check_all(files: &[PathBuf]) -> Vec<Checked> {
    let mut deployment = None;
    let sources: Vec<_> = files.iter().map(|path| (path, config::text(path))).collect();
    let first: Vec<_> = sources
        .iter()
        .map(|(path, source)| source.as_ref().map(|source| check_deployment(source, path, &mut deployment)))
        .collect();
    let second = sources.iter().zip(first).map(|((path, source), first)| match (source, first) {
        (Ok(_), Ok(Some(problems))) => Checked::new(path, Some(FileKind::Deployment), problems),
        (Ok(source), _) => {
            let (_, problems) = config::check_rollouts(source, path, deployment.as_ref());
            Checked::new(path, Some(FileKind::Rollouts), problems)
        }
        (Err(problems), _) => Checked::new(path, None, problems.clone()),
    });
    second.collect()
}

/// `None` for a file of the other kind.
fn check_deployment(source: &str, path: &Path, deployment: &mut Option<Deployment>) -> Option<Problems> {
    if FileKind::of(source, path) == FileKind::Rollouts {
        return None;
    }
    let (value, problems) = config::check_deployment(source, path);
    *deployment = deployment.take().or(value);
    Some(problems)
}

impl Checked {
    fn new(path: &Path, kind: Option<FileKind>, problems: Problems) -> Self {
        Self { path: path.to_path_buf(), kind, problems }
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn print(&self, color: bool, out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
        if !self.problems.is_empty() {
            writeln!(err, "{}", self.problems.render(color))?;
        }
        let counts = [(Severity::Error, "error"), (Severity::Warning, "warning")].map(|(severity, word)| {
            let n = self.count(severity);
            (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }))
        });
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        let verdict = if counts.is_empty() { "valid".to_owned() } else { counts.join(", ") };
        writeln!(out, "{}: {verdict}", self.path.display())
    }

    fn to_json(&self) -> Value {
        json!({
            "file": self.path,
            "kind": self.kind.map(FileKind::as_str),
            "valid": !self.problems.has_errors(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": self.problems.to_json(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DEPLOYMENT: &str =
        "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nv1 = { url = \"http://a\" }\nv2 = { url = \"http://b\" }\n";

    /// Writes files, checks them, and returns exit code, stdout and stderr.
    fn check(check: Check, files: &[(&str, &str)]) -> (u8, String, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |(name, content): &(&str, &str)| {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("writable");
            path
        };
        let paths: Vec<_> = files.iter().map(write).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = check.run(&paths, &mut out, &mut err).expect("a Vec takes every write");
        let text =
            |bytes| String::from_utf8(bytes).expect("UTF-8").replace(&format!("{}/", folder.path().display()), "");
        (code, text(out), text(err))
    }

    #[test]
    fn valid_files_are_named_and_exit_with_0() {
        let rollout = "[a]\nstage = \"shadow\"\nslo = 0.95\n";
        let result = check(Check::default(), &[("r.toml", rollout), ("c.toml", DEPLOYMENT)]);
        assert_eq!(result, (VALID, "r.toml: valid\nc.toml: valid\n".to_owned(), String::new()));
    }

    #[test]
    fn a_rollout_is_judged_by_the_deployment_beside_it_whatever_the_order() {
        let rollout = "[b]\nstage = \"shadow\"\nslo = 0.95\n";
        let (code, out, err) = check(Check::default(), &[("r.toml", rollout), ("c.toml", DEPLOYMENT)]);
        assert_eq!((code, out.as_str()), (INVALID, "r.toml: 1 error\nc.toml: valid\n"));
        assert!(err.contains("`b` is not a dependency of crossfade.toml"), "{err}");
        assert_eq!(check(Check::default(), &[("r.toml", rollout)]).0, VALID, "nothing to judge it by");
    }

    #[test]
    fn warnings_are_a_no_only_when_strict() {
        let rollout = "[a]\nstage = \"cutover\"\npercent = 100\nslo = 0.95\n";
        let files = [("r.toml", rollout)];
        let strict = Check { strict: true, ..Check::default() };
        let (code, out, err) = check(strict, &files);
        assert_eq!((code, out.as_str()), (WARNED, "r.toml: 1 warning\n"));
        assert!(err.starts_with("warning: `a`: a single step"), "{err}");
        assert_eq!(check(Check::default(), &files).0, VALID);
    }

    #[test]
    fn a_file_that_is_not_there_is_invalid() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = Check::default().run(&["nowhere/c.toml".into()], &mut out, &mut err).expect("written");
        assert_eq!(code, INVALID);
        let err = String::from_utf8(err).expect("UTF-8");
        assert!(err.contains("cannot be read: No such file or directory"), "{err}");
    }

    #[test]
    fn json_holds_every_file_and_problem() {
        let json = Check { json: true, ..Check::default() };
        let (code, out, err) = check(json, &[("r.toml", "[a]\nstage = \"of\"\n"), ("c.toml", DEPLOYMENT)]);
        assert_eq!((code, err.as_str()), (INVALID, ""));
        let value: Value = serde_json::from_str(&out).expect("JSON");
        let problem = &value["files"][0]["problems"][0];
        assert_eq!((&problem["line"], &problem["column"]), (&json!(2), &json!(9)));
        assert_eq!(problem["help"], "did you mean `off`?");
        assert_eq!(value["files"][1]["kind"], "crossfade");
    }
}
