//! `crossfade finish`: whether V1 can go, and what goes with it.

use std::io::{self, Write};

use bytes::Bytes;
use clap::Args;
use serde_json::json;

use super::remote::{block_on, client, print_json};
use super::{Failure, Format, NO, Output, Remote};
use crate::console::Finish;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name in both files
    dependency: String,
    /// For how many days V1 has to be unused; at most 400
    #[arg(long, default_value_t = 30.0, value_name = "N")]
    days: f64,
    /// Who; recorded with a yes
    #[arg(long, env = "USER", value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let path = format!("/api/v1/dependencies/{}/finish", args.dependency);
    let body = json!({ "days": args.days, "by": args.by }).to_string();
    let finish: Finish = block_on(async { Ok(client.post(&path, Bytes::from(body)).await?) })?;
    match args.output.format {
        Format::Json => print_json(&finish)?,
        Format::Text => print(&finish, &mut io::stdout().lock())?,
    }
    if finish.is_proven { Ok(()) } else { Err(Failure::Code(NO)) }
}

fn print(finish: &Finish, out: &mut impl Write) -> io::Result<()> {
    let Finish { dependency, days, v1_calls: [primary, shadow, probe], counted_minutes, minutes, .. } = finish;
    if finish.is_proven {
        writeln!(out, "{dependency}: V1 can go")?;
    } else {
        writeln!(out, "{dependency}: V1 cannot go yet")?;
        for objection in &finish.objections {
            writeln!(out, "  - {objection}")?;
        }
    }
    let last = finish.last_v1_call.map_or_else(|| "never".to_owned(), |last| format!("in the minute of {last}"));
    writeln!(
        out,
        "in {days} days V1 was called {primary} times for consumers, {shadow} as a shadow, {probe} by hand; last {last}; \
         {counted_minutes} of {minutes} minutes were counted"
    )?;
    writeln!(out, "to retire with V1:")?;
    finish.retire.iter().try_for_each(|what| writeln!(out, "  - {what}"))?;
    writeln!(out, "the whole story: crossfade report {dependency}")
}
