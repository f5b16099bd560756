//! `crossfade why`: the last verdicts, each in one sentence with its numbers.

use std::io::{self, Write};

use clap::Args;

use super::remote::{block_on, client, print_json};
use super::{Failure, Format, Output, Remote};
use crate::console::PastVerdict;

#[derive(Debug, Args)]
pub(super) struct Why {
    /// Its name in both files
    dependency: String,
    /// How many verdicts, the newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

pub(super) fn why(args: &Why) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let path = format!("/api/v1/dependencies/{}/why?limit={}", args.dependency, args.limit);
    let verdicts: Vec<PastVerdict> = block_on(async { Ok(client.get(&path).await?) })?;
    match args.output.format {
        Format::Json => print_json(&verdicts)?,
        Format::Text => print(&verdicts, &mut io::stdout().lock())?,
    }
    Ok(())
}

fn print(verdicts: &[PastVerdict], out: &mut impl Write) -> io::Result<()> {
    if verdicts.is_empty() {
        return writeln!(out, "no verdict so far");
    }
    for PastVerdict { time, allowed, verdict, .. } in verdicts {
        let evidence = &verdict.evidence;
        writeln!(out, "{time:.0}  at {allowed} %  {} ({}): {}", verdict.verdict, verdict.reason, verdict.sentence)?;
        let rate =
            |rate: Option<f64>| rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
        writeln!(
            out,
            "    V2 {} of {}, V1 {} of {}; promotion {:.1} and {:.1} of {:.1}; rollback {:.1} of {:.1}{}",
            rate(evidence.hit_rate),
            evidence.samples,
            rate(evidence.v1_hit_rate),
            evidence.v1_samples,
            evidence.log_e,
            evidence.log_e_pairs,
            evidence.log_e_need,
            evidence.log_r,
            evidence.log_r_alarm,
            evidence.top_cause.map_or_else(String::new, |top| format!(
                "; {:.0} % of V2's fallbacks: {}",
                top.share * 100.0,
                top.cause
            )),
        )?;
    }
    Ok(())
}
