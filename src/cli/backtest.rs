//! `crossfade backtest`: what this rollout file would have done on recorded history.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets};

use super::remote::print_json;
use super::{Failure, Format, INVALID, NO, Output, wants_color};
use crate::config;
use crate::control::{Backtest, Decision, ReplayError, backtest};
use crate::gate::Event;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The rollout file to try; without it, what was recorded is decided again, and must come out the same
    #[arg(long, value_name = "FILE")]
    rollout: Option<PathBuf>,
    /// The `data_dir` of a crossfade; it may be running
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// Only this dependency
    dependency: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let text =
        args.rollout.as_ref().map(|path| config::text(path)).transpose().map_err(|problems| refuse(&problems))?;
    let rollout = args.rollout.as_deref().zip(text.as_deref());
    let mut results = backtest(&args.ledger, rollout).map_err(|error| match &error {
        ReplayError::Rollout(problems) => refuse(problems),
        _ => error.into(),
    })?;
    results.retain(|result| args.dependency.as_ref().is_none_or(|only| *only == result.dependency));
    match args.output.format {
        Format::Json => print_json(&results)?,
        Format::Text => {
            for result in &results {
                print(result, rollout.is_some(), &mut io::stdout().lock())?;
            }
        }
    }
    let differs = |result: &Backtest| result.is_whole && result.differing > 0;
    if results.iter().any(differs) { Err(Failure::Code(NO)) } else { Ok(()) }
}

fn refuse(problems: &config::Problems) -> Failure {
    anstream::eprint!("{}", problems.render(wants_color()));
    Failure::Code(INVALID)
}

fn print(result: &Backtest, has_new: bool, out: &mut impl Write) -> io::Result<()> {
    let Backtest { dependency, verdicts, differing, is_whole, .. } = result;
    writeln!(out, "{dependency}: {verdicts} recorded verdicts, {} decided the same again", verdicts - differing)?;
    if !is_whole {
        writeln!(out, "the recording begins in the midst of a process: the first verdicts may differ")?;
    }
    writeln!(out, "\n{}", if has_new { "with the new rollout file" } else { "as it was" })?;
    writeln!(out, "{}", table(&result.replayed))?;
    if has_new {
        writeln!(out, "\nas it was\n{}", table(&result.recorded))?;
    }
    Ok(())
}

fn table(decisions: &[Decision]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["time", "decision", "allowed", "why"]);
    for decision in decisions {
        let verdict = decision.verdict.map(|(kind, reason)| format!("{} ({})", kind.as_str(), reason.as_str()));
        let events = decision.events.iter().map(event);
        let what = verdict.into_iter().chain(events).collect::<Vec<_>>().join(", ");
        let allowed = format!("{} %", decision.allowed);
        table.add_row([format!("{:.0}", decision.time), what, allowed, decision.sentence.clone()]);
    }
    table
}

fn event(event: &Event) -> String {
    match event {
        Event::Edit { from, to } => format!("edit {from} -> {to} %"),
        Event::Promote { from, to } => format!("promote {from} -> {to} %"),
        Event::Rollback { from, to, .. } => format!("rollback {from} -> {to} %"),
        Event::Approve { step } => format!("approve {step} %"),
        Event::Freeze { .. } => "freeze".to_owned(),
        Event::Breach { .. } => "breach".to_owned(),
        Event::Recover => "recover".to_owned(),
        Event::Pause => "pause".to_owned(),
        Event::Resume => "resume".to_owned(),
    }
}
