//! `crossfade plan`: what would change if a rollout file were applied.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::StatusCode;

use super::client::ClientError;
use super::remote::{block_on, client, print_json};
use super::{Failure, Format, INVALID, Output, Remote, wants_color};
use crate::config;
use crate::console::{Consequence, Load, PlannedGate, Preview};

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The rollout file that may be applied
    #[arg(value_name = "NEW_ROLLOUT")]
    rollout: PathBuf,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

pub(super) fn plan(args: &Plan) -> Result<(), Failure> {
    let text = config::text(&args.rollout).map_err(|problems| {
        anstream::eprint!("{}", problems.render(wants_color()));
        Failure::Code(INVALID)
    })?;
    let client = client(&args.admin)?;
    let asked: Result<Vec<Preview>, ClientError> =
        block_on(async { Ok(client.post("/api/v1/plan", Bytes::from(text)).await) })?;
    let previews = asked.map_err(|error| match error {
        ClientError::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, .. } => {
            Failure::Error(INVALID, Box::new(error))
        }
        error => error.into(),
    })?;
    match args.output.format {
        Format::Json => print_json(&previews)?,
        Format::Text => print(&previews, &mut io::stdout().lock())?,
    }
    Ok(())
}

fn print(previews: &[Preview], out: &mut impl Write) -> io::Result<()> {
    for preview in previews {
        if !preview.changes {
            writeln!(out, "{}: nothing changes", preview.dependency)?;
            continue;
        }
        let [stage, new_stage] = preview.stage;
        writeln!(out, "{}: stage {stage} -> {new_stage}", preview.dependency)?;
        who_moves(preview, out)?;
        if let Some(gate) = &preview.gate {
            which_gate(gate, out)?;
        }
        if let Some(load) = &preview.load {
            what_load(load, out)?;
        }
    }
    Ok(())
}

fn who_moves(preview: &Preview, out: &mut impl Write) -> io::Result<()> {
    let ([from, to], [old_ceiling, ceiling]) = (preview.effective, preview.ceiling);
    let share = |share: f64| format!("{:.3}", share * 100.0).trim_end_matches('0').trim_end_matches('.').to_owned();
    writeln!(out, "  V2 serves {from} % -> {to} % of the keys at once; ceiling {old_ceiling} % -> {ceiling} %")?;
    writeln!(
        out,
        "  at once {} % of the keys move to V2, and {} % back to V1",
        share(preview.to_v2),
        share(preview.to_v1)
    )?;
    let steps = preview.steps.iter().map(|step| format!("{step} %")).collect::<Vec<_>>().join(", ");
    if !steps.is_empty() {
        writeln!(out, "  steps to come: {steps}")?;
    }
    for consequence in &preview.consequences {
        let what = match consequence {
            Consequence::DealtAnew => "the keys are dealt anew: salt or key changes, so people change sides",
            Consequence::RollbackLifted => "the latched rollback is lifted",
            Consequence::EvidenceLost => "the evidence of the present step is lost",
        };
        writeln!(out, "  {what}")?;
    }
    Ok(())
}

fn which_gate(gate: &PlannedGate, out: &mut impl Write) -> io::Result<()> {
    let seconds = |s: &f64| humantime::format_duration(std::time::Duration::from_secs_f64(*s)).to_string();
    let bake = gate.bake_s.iter().map(seconds).collect::<Vec<_>>().join(", ");
    let mode = if gate.enforced { "enforced" } else { "observed only" };
    writeln!(
        out,
        "  gate ({mode}): judge {}, SLO {}, confidence {}, margin {}, at least {} requests and {bake} on a step",
        gate.judge, gate.slo, gate.confidence, gate.margin, gate.min_samples
    )?;
    if !gate.approve.is_empty() {
        let approve = gate.approve.iter().map(|step| format!("{step} %")).collect::<Vec<_>>().join(", ");
        writeln!(out, "  these steps wait for a person: {approve}")?;
    }
    Ok(())
}

fn what_load(load: &Load, out: &mut impl Write) -> io::Result<()> {
    let Load { consumers, v1: [v1, new_v1], v2: [v2, new_v2, top_v2] } = load;
    writeln!(
        out,
        "  at {consumers:.1} requests/s: V1 gets {v1:.1} -> {new_v1:.1}, V2 at most {v2:.1} -> {new_v2:.1} at once \
         ({:+.1}), {top_v2:.1} at the ceiling",
        new_v2 - v2
    )
}
