//! `crossfade probe`: V2 asked by hand, through a running proxy or straight from the configuration.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bytes::Bytes;
use clap::Args;
use http::StatusCode;

use super::client::ClientError;
use super::remote::{block_on, client, print_json};
use super::{Failure, Format, INVALID, NO, Output, Remote};
use crate::backend::Backend;
use crate::config::{self, Deployment};
use crate::probing::{self, Asking, Report, State, Step, Wish, Wrong};

/// A probe takes at most a minute; then it has to be recorded.
const PATIENCE: Duration = Duration::from_secs(75);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name in both files
    dependency: String,
    /// Path and query as consumers send them; may be repeated [default: those that the routes spell out]
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// A header as consumers send it; may be repeated
    #[arg(long, short = 'H', value_name = "'NAME: VALUE'")]
    header: Vec<String>,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// Let the method be one that changes something at the backend
    #[arg(long)]
    writes: bool,
    /// Another backend beside V2
    #[arg(long, value_parser = backend, value_name = "BACKEND")]
    backend: Vec<Backend>,
    /// Requests for each path
    #[arg(long, default_value_t = 1, value_name = "N")]
    count: u32,
    /// Longest time for a whole answer [default: the backend's `timeout`]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Probe from this machine by this crossfade.toml, with no proxy running; nothing is recorded
    #[arg(long, value_name = "FILE", conflicts_with = "by")]
    config: Option<PathBuf>,
    /// Who; recorded
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

fn backend(text: &str) -> Result<Backend, String> {
    let named = Backend::ALL.into_iter().find(|backend| backend.as_str() == text);
    named.ok_or_else(|| "there are: v1, v2".to_owned())
}

impl Arguments {
    fn wish(&self) -> Wish {
        let mut backends = vec![Backend::V2];
        backends.extend(self.backend.iter().filter(|backend| **backend != Backend::V2).take(1));
        Wish {
            paths: self.path.clone(),
            headers: self.header.clone(),
            method: self.method.clone(),
            writes: self.writes,
            backends,
            count: self.count,
            timeout_s: self.timeout.map(|timeout| timeout.as_secs_f64()),
            by: self.by.clone().or_else(|| std::env::var("USER").ok()),
        }
    }
}

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let report = match &args.config {
        Some(file) => locally(args, file)?,
        None => through_proxy(args)?,
    };
    match args.output.format {
        Format::Json => print_json(&report)?,
        Format::Text => print(&report, &mut anstream::stdout().lock())?,
    }
    if report.passed { Ok(()) } else { Err(Failure::Code(NO)) }
}

fn through_proxy(args: &Arguments) -> Result<Report, Failure> {
    let client = client(&args.admin)?;
    let path = format!("/api/v1/dependencies/{}/probe", args.dependency);
    let body = serde_json::to_vec(&args.wish())?;
    block_on(async {
        client.post_within(&path, Bytes::from(body), PATIENCE).await.map_err(|error| match error {
            ClientError::Refused { status: StatusCode::BAD_REQUEST, .. } => Failure::Error(INVALID, Box::new(error)),
            error => error.into(),
        })
    })
}

fn locally(args: &Arguments, file: &Path) -> Result<Report, Failure> {
    let deployment = config::load_deployment(file).map_err(|problems| {
        anstream::eprint!("{}", problems.render(super::wants_color()));
        Failure::Code(INVALID)
    })?;
    let invalid = |error: Box<dyn std::error::Error>| Failure::Error(INVALID, error);
    let (_, dependency) =
        deployment.dependency(&args.dependency).ok_or_else(|| invalid(unknown(args, &deployment).into()))?;
    let asking = Asking::new(&args.wish(), dependency).map_err(|error| invalid(error.into()))?;
    block_on(async { Ok(probing::probe(dependency, asking, deployment.limits.score_body).await) })
}

fn unknown(args: &Arguments, deployment: &Deployment) -> String {
    let known: Vec<&str> = deployment.dependencies.iter().map(|it| it.name.as_str()).collect();
    format!("no dependency is named `{}`; there are: {}", args.dependency, known.join(", "))
}

/// One line for each step, under a line for each endpoint; colour is taken out where nobody can see it.
fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut above: Option<&Step> = None;
    for step in &report.steps {
        if above.is_none_or(|above| (above.backend, &above.endpoint) != (step.backend, &step.endpoint)) {
            let Step { backend, endpoint, .. } = step;
            writeln!(out, "{}: {backend} at {endpoint}", report.dependency)?;
        }
        print_step(step, out)?;
        above = Some(step);
    }
    match (report.failure(), report.warnings()) {
        (None, 0) => writeln!(out, "{}: the probe passed", report.dependency),
        (None, 1) => writeln!(out, "{}: the probe passed, with a warning", report.dependency),
        (None, warnings) => writeln!(out, "{}: the probe passed, with {warnings} warnings", report.dependency),
        (Some(step), _) => {
            let wrong = step.wrong.map_or("", Wrong::as_str);
            writeln!(out, "{}: the probe failed: wrong {wrong}", report.dependency)
        }
    }
}

fn print_step(step: &Step, out: &mut impl Write) -> io::Result<()> {
    let style = match step.state {
        State::Ok => AnsiColor::Green.on_default(),
        State::Warning => AnsiColor::Yellow.on_default(),
        State::Failed => AnsiColor::Red.on_default().bold(),
        State::Skipped | State::NotReached => Style::new(),
    };
    let took = step.ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    write!(out, "  {:<11}  {style}{:<11}{style:#}  {took:>10}", step.name.as_str(), step.state.as_str())?;
    let wrong = step.wrong.map(|wrong| format!("wrong {}", wrong.as_str()));
    let told = [step.address.clone(), step.request.clone(), wrong, Some(step.finding.clone())];
    let told: Vec<String> = told.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    write!(out, "  {}", told.join(": "))?;
    match &step.remedy {
        Some(remedy) => writeln!(out, " -> {remedy}"),
        None => writeln!(out),
    }
}
