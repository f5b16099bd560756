//! `crossfade samples`: what V2's fallbacks look like, without what they say.

use std::io::{self, Write};

use clap::Args;

use super::remote::{block_on, client, print_json};
use super::{Failure, Format, Output, Remote};
use crate::study::{Sample, Side};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name in both files
    dependency: String,
    /// Only this route
    #[arg(long)]
    route: Option<String>,
    /// Only this cause, such as missing or timeout
    #[arg(long)]
    cause: Option<String>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let query = [("route", &args.route), ("cause", &args.cause)];
    let query: Vec<_> =
        query.iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}"))).collect();
    let path = format!("/api/v1/dependencies/{}/samples?{}", args.dependency, query.join("&"));
    let samples: Vec<Sample> = block_on(async { Ok(client.get(&path).await?) })?;
    match args.output.format {
        Format::Json => print_json(&samples)?,
        Format::Text => print(&samples, &mut io::stdout().lock())?,
    }
    Ok(())
}

fn print(samples: &[Sample], out: &mut impl Write) -> io::Result<()> {
    if samples.is_empty() {
        return writeln!(out, "no fallback of V2 was sampled so far");
    }
    for Sample { time, route, cause, flaws, trace_id, v1, v2, .. } in samples {
        let trace = trace_id.as_ref().map(|id| format!("  trace {id}")).unwrap_or_default();
        writeln!(out, "{time:.3}  {route}  {cause} ({}){trace}", flaws.join(", "))?;
        side("V2", v2, out)?;
        if let Some(v1) = v1 {
            side("V1", v1, out)?;
        }
    }
    Ok(())
}

fn side(name: &str, side: &Side, out: &mut impl Write) -> io::Result<()> {
    let status = side.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let latency = side.latency_ms.map(|latency| format!(", {latency} ms")).unwrap_or_default();
    let bytes = side.bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
    let shape = side.shape.as_ref().map(|shape| format!(", {shape}")).unwrap_or_default();
    writeln!(out, "    {name} {}: {status}{latency}{bytes}{shape}", side.outcome)?;
    for (header, value) in &side.headers {
        writeln!(out, "        {header}: {}", value.escape_debug())?;
    }
    Ok(())
}
