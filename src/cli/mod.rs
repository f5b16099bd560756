//! The command line: one file for each verb, or small family of verbs, thin over the library.

mod backtest;
pub mod check;
mod client;
mod demo;
mod diff;
mod drill;
mod finish;
mod history;
mod lift;
mod man;
mod plan;
mod probe;
mod remote;
mod report;
mod run;
mod samples;
pub mod simulate;
mod status;
mod supervisor;
mod why;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::console::Verb;

/// The question was answered with "no".
const NO: u8 = 3;
/// Wrong usage or an invalid configuration.
const INVALID: u8 = 2;
/// It failed at run time.
const FAILED: u8 = 1;

/// Moves traffic from version 1 of a dependency to version 2 without a customer noticing.
///
/// crossfade stands in front of both versions, serves one answer, scores both as rich or fallback, and lets the share
/// of V2 grow only while V2's hit rate meets its SLO.
#[derive(Debug, Parser)]
#[command(name = "crossfade", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed at run time, 2 wrong usage or invalid configuration, 3 the answer is no."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log: error, warn, info, debug, trace, or a list such as `info,crossfade::control=debug` [default: info;
    /// error for `demo`]
    #[arg(long, global = true, env = "CROSSFADE_LOG", value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    ///
    /// SIGHUP reads both files again, SIGTERM and SIGINT drain, a second one stops at once. SIGUSR2 starts this program again,
    /// in its present version, to take over without one failed request; so does `--take-over`, by hand.
    #[command(after_help = "Example: crossfade run --config config/crossfade.toml")]
    Run(run::Run),
    /// See a whole migration, with everything it takes in this one process, on loopback ports
    ///
    /// A V1 and a V2 that misbehave, steady traffic, and the proxy: from shadow to 100 %, with a rollback on the way. Then it
    /// is yours to play with, until Ctrl-C.
    #[command(after_help = "Example: crossfade demo --once")]
    Demo(demo::Demo),
    /// Validate configuration files, all problems in one pass
    #[command(after_help = "Example: crossfade check config/crossfade.toml config/rollout.toml")]
    Check {
        /// Files of either kind; a rollout file is held against a crossfade.toml among them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Answer "no" (exit code 3) to warnings as well
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show what is observed, what it means, what was decided and what comes next
    #[command(after_help = "Example: crossfade status --watch recommendations")]
    Status {
        /// Only this one
        dependency: Option<String>,
        /// Show it again each second, until interrupted
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        admin: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Let the step happen that waits for a person
    #[command(after_help = "Example: crossfade approve recommendations --by ann")]
    Approve(Said),
    /// Stop promotions; rollbacks still happen
    #[command(after_help = "Example: crossfade pause recommendations --reason 'campaign on TV'")]
    Pause(Said),
    /// End a pause, or lift a rollback; after a rollback the evidence starts from zero
    #[command(after_help = "Example: crossfade resume recommendations")]
    Resume(Said),
    /// Send everyone back to V1 until `resume` or a changed rollout entry
    #[command(after_help = "Example: crossfade rollback recommendations --reason 'wrong prices'")]
    Rollback(Said),
    /// Tell what would change if a rollout file were applied, without applying it
    #[command(after_help = "Example: crossfade plan new-rollout.toml")]
    Plan(plan::Plan),
    /// Tell the migration so far: hit rates over time, steps, rollbacks, delivery figures
    #[command(after_help = "Example: crossfade report recommendations --format html > report.html")]
    Report(report::Arguments),
    /// Ask V2 alone, step by step, and say what to mend (exit code 3: a step failed)
    ///
    /// DNS, TCP, TLS, ALPN, HTTP, credentials, then requests that are scored by the rules of their routes. Through a running
    /// proxy, which records it, or with --config from this machine. Values of headers and bodies are never shown.
    #[command(
        after_help = "Example: crossfade probe recommendations --path /recommendations/1 --config config/crossfade.toml"
    )]
    Probe(probe::Arguments),
    /// Inject a fault into V2's calls for a bounded time, and tell how fast the gate sees it
    ///
    /// Refused (exit code 3) without enough traffic, or while something else is wrong; 3 as well when the fault is not detected.
    /// The fault ends with its time, with a rollback, and with the process.
    #[command(after_help = "Example: crossfade drill recommendations --fault errors=50 --on shadows --for 1m")]
    Drill(drill::Drill),
    /// Prove that V1 is unused, and list what to retire (exit code 3: it is not, or nobody knows)
    #[command(after_help = "Example: crossfade finish recommendations --days 30")]
    Finish(finish::Arguments),
    /// Rank the reasons why V2 falls back by the hit rate that mending each would give
    #[command(after_help = "Example: crossfade lift recommendations")]
    Lift(lift::Arguments),
    /// Tell why: the last verdicts, each in one sentence with its numbers
    #[command(after_help = "Example: crossfade why recommendations")]
    Why(why::Why),
    /// Tell what happened: the ledger's events as a table
    ///
    /// With --output json one event on a line, oldest first, for an audit.
    #[command(after_help = "Example: crossfade history recommendations --since 30d --kind rollback")]
    History(history::History),
    /// Tell where V1's and V2's answers differ, by field, and what is only noise
    ///
    /// V1 is asked twice for a share of the requests: what differs between its own answers is noise.
    #[command(after_help = "Example: crossfade diff recommendations --route list --suggest")]
    Diff(diff::Arguments),
    /// Show what V2's fallbacks look like: types, lengths, names and hashes, and no value that was not allowed
    #[command(after_help = "Example: crossfade samples recommendations --cause missing")]
    Samples(samples::Arguments),
    /// Run the gate alone: observations as JSON lines on standard input, verdicts as JSON lines on standard output
    #[command(after_help = "Example: crossfade simulate < observations.jsonl")]
    Simulate,
    /// Tell what a rollout file would have done on recorded history
    ///
    /// The judges of a proxy decide again on what they saw in the last days. Without --rollout they must say what they said
    /// then; exit code 3: they do not.
    #[command(after_help = "Example: crossfade backtest --rollout new.toml --ledger /var/lib/crossfade")]
    Backtest(backtest::Arguments),
    /// Print the buckets of bucketing keys, and so from which percent on they are served by V2
    #[command(after_help = "Example: crossfade bucket --salt recommendations user-1 user-2")]
    Bucket {
        /// Values of the header, cookie or address that buckets a request
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        /// The rollout's salt; by default the name of the dependency
        #[arg(long)]
        salt: String,
        #[command(flatten)]
        output: Output,
    },
    /// Ask a running proxy whether it is ready, for containers without a shell (exit code 3: it is not)
    #[command(after_help = "Example: crossfade healthcheck")]
    Healthcheck {
        #[command(flatten)]
        admin: Remote,
    },
    /// Print shell completions
    #[command(after_help = "Example: crossfade completions bash > /etc/bash_completion.d/crossfade")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write a page for each command
    #[command(after_help = "Example: crossfade man --out /usr/share/man/man1")]
    Man(man::Arguments),
}

/// Where a running proxy is asked.
#[derive(Debug, Args)]
struct Remote {
    /// Address of the admin port
    #[arg(long, env = "CROSSFADE_ADMIN", default_value = "http://127.0.0.1:8081", value_name = "URL")]
    admin: String,
    /// File with the admin token, where one is needed
    #[arg(long, env = "CROSSFADE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// How data is printed.
#[derive(Debug, Args)]
struct Output {
    /// How to print
    #[arg(long = "output", value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// One verb for one dependency.
#[derive(Debug, Args)]
struct Said {
    /// Its name in both files
    dependency: String,
    /// Why; recorded
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who; recorded
    #[arg(long, env = "USER", value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

/// Why a command ended without doing what it should.
#[derive(Debug)]
enum Failure {
    /// Told with the chain of its causes.
    Error(u8, Box<dyn std::error::Error>),
    /// Told already, or nothing is to be told.
    Code(u8),
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(FAILED, Box::new(error))
    }
}

/// Carries out a command line, and says how it went.
pub fn run(cli: Cli) -> ExitCode {
    // The demo tells every event itself, in better words.
    let quiet = if matches!(cli.command, Command::Demo(_)) { "error,crossfade::control::files=off" } else { "info" };
    start_logging(cli.log.as_deref().unwrap_or(quiet));
    match carry_out(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Code(code)) => ExitCode::from(code),
        Err(Failure::Error(code, error)) => {
            tell(error.as_ref());
            ExitCode::from(code)
        }
    }
}

/// An error with its causes, once, on standard error.
fn tell(error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    anstream::eprintln!("crossfade: {text}");
}

fn carry_out(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(run) => run::run(&run),
        Command::Demo(demo) => demo::run(&demo),
        Command::Check { files, strict, output } => check_files(&files, strict, output.format),
        Command::Status { dependency, watch, admin, output } => {
            remote::status(&admin, dependency.as_deref(), watch, output.format)
        }
        Command::Approve(said) => remote::order(&said, Verb::Approve),
        Command::Pause(said) => remote::order(&said, Verb::Pause),
        Command::Resume(said) => remote::order(&said, Verb::Resume),
        Command::Rollback(said) => remote::order(&said, Verb::Rollback),
        Command::Plan(args) => plan::plan(&args),
        Command::Report(args) => report::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Drill(args) => drill::drill(&args),
        Command::Finish(args) => finish::run(&args),
        Command::Why(args) => why::why(&args),
        Command::Lift(args) => lift::lift(&args),
        Command::History(args) => history::history(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Samples(args) => samples::run(&args),
        Command::Simulate => simulate_stdin(),
        Command::Backtest(args) => backtest::run(&args),
        Command::Bucket { keys, salt, output } => print_buckets(&salt, &keys, output.format),
        Command::Healthcheck { admin } => remote::healthcheck(&admin),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "crossfade", &mut io::stdout());
            Ok(())
        }
        Command::Man(args) => man::man(&args),
    }
}

fn check_files(files: &[PathBuf], strict: bool, format: Format) -> Result<(), Failure> {
    let check = check::Check { strict, json: format == Format::Json, color: wants_color() };
    match check.run(files, &mut io::stdout().lock(), &mut io::stderr().lock())? {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

fn simulate_stdin() -> Result<(), Failure> {
    let input = io::BufReader::with_capacity(1 << 16, io::stdin().lock());
    let output = io::BufWriter::new(io::stdout().lock());
    simulate::run(input, output).map_err(|error| Failure::Error(INVALID, Box::new(error)))
}

/// One line for each key, in the order given; or an array of objects.
fn print_buckets(salt: &str, keys: &[String], format: Format) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let buckets = keys.iter().map(|key| (key, crate::bucket::bucket(salt, key.as_bytes())));
    // The first percent, to three decimals, that lies above the bucket.
    let from = |bucket: u32| f64::from(bucket + 1) / 1000.0;
    if format == Format::Json {
        let told = |(key, bucket)| serde_json::json!({ "key": key, "bucket": bucket, "from_percent": from(bucket) });
        serde_json::to_writer_pretty(&mut out, &buckets.map(told).collect::<Vec<_>>())?;
        writeln!(out)?;
    } else {
        for (key, bucket) in buckets {
            writeln!(
                out,
                "{key}: bucket {bucket} of {}, served by V2 from {} % on",
                crate::bucket::BUCKETS,
                from(bucket)
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Whether diagnostics may carry colour (<https://no-color.org>).
fn wants_color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn start_logging(filter: &str) {
    use tracing_subscriber::EnvFilter;
    let (filter, wrong) = match EnvFilter::try_new(filter) {
        Ok(right) => (right, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(wants_color())
        .with_target(false)
        .init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "the log filter makes no sense; logging at `info`");
    }
}
