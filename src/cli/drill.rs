//! `crossfade drill`: a fault on purpose, and how fast the gate sees it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::StatusCode;
use serde_json::json;

use super::client::{Client, ClientError};
use super::remote::{block_on, client, print_json};
use super::{Failure, Format, NO, Output, Remote};
use crate::config::{Fault, Struck};
use crate::console::{DependencyStatus, DrillStatus, Event};
use crate::percent::Percent;

/// Between two looks at how it goes.
const EACH: Duration = Duration::from_millis(200);
/// The proxy may be this much late to say that the drill is over.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Drill {
    /// Its name in both files
    dependency: String,
    /// What goes wrong in V2's calls: latency=2s, errors=50 (percent of the answers), hang, or empty
    #[arg(long)]
    fault: Fault,
    /// Percent of the calls that meet the fault
    #[arg(long, default_value = "100", value_parser = percent)]
    share: Percent,
    /// Which calls: shadows, which no consumer waits for, or cutover, whose answers consumers get
    #[arg(long, default_value = "shadows", value_parser = struck, value_name = "CALLS")]
    on: Struck,
    /// The fault ends after this, whatever happens; at most 10m
    #[arg(long = "for", default_value = "30s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    lasts: Duration,
    /// Who; recorded
    #[arg(long, env = "USER", value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

fn percent(text: &str) -> Result<Percent, String> {
    let number: f64 = text.trim_end_matches('%').parse().map_err(|_| "write a percentage such as 50".to_owned())?;
    Percent::from_f64(number).map_err(|error| error.to_string())
}

fn struck(text: &str) -> Result<Struck, String> {
    match text {
        "shadows" => Ok(Struck::Shadows),
        "cutover" => Ok(Struck::Cutover),
        _ => Err("there are: shadows, cutover".to_owned()),
    }
}

pub(super) fn drill(args: &Drill) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let result = block_on(async {
        let begun = begin(args, &client).await?;
        if args.output.format == Format::Text {
            anstream::eprintln!("{}", begun.reason);
        }
        follow(args, &client, begun.id).await
    })?;
    match args.output.format {
        Format::Json => print_json(&result)?,
        Format::Text => print(&result)?,
    }
    if result.detected_s.is_some() { Ok(()) } else { Err(Failure::Code(NO)) }
}

async fn begin(args: &Drill, client: &Client) -> Result<Event, Failure> {
    let path = format!("/api/v1/dependencies/{}/drill", args.dependency);
    let body = json!({
        "fault": args.fault.to_string(),
        "share": args.share,
        "on": args.on,
        "seconds": args.lasts.as_secs_f64(),
        "by": args.by,
    });
    client.post(&path, Bytes::from(body.to_string())).await.map_err(|error| match error {
        // A drill that would say nothing, or comes at a bad time, is refused.
        ClientError::Refused { status: StatusCode::CONFLICT, .. } => Failure::Error(NO, Box::new(error)),
        error => error.into(),
    })
}

async fn follow(args: &Drill, client: &Client, id: u64) -> Result<DrillStatus, Failure> {
    let begun = Instant::now();
    let path = format!("/api/v1/dependencies/{}", args.dependency);
    loop {
        tokio::time::sleep(EACH).await;
        let status: DependencyStatus = client.get(&path).await?;
        match status.drill.filter(|drill| drill.id == id) {
            Some(drill) if drill.is_over => return Ok(drill),
            Some(_) if begun.elapsed() < args.lasts + GRACE => {}
            Some(_) => return Err(io::Error::other("the proxy does not say that the drill is over").into()),
            None => return Err(io::Error::other("the proxy was restarted, and the fault is gone with it").into()),
        }
    }
}

fn print(drill: &DrillStatus) -> io::Result<()> {
    let seconds = |what: &str, seconds: Option<f64>| {
        seconds.map_or_else(|| format!("not {what}"), |seconds| format!("{what} after {seconds:.1} s"))
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{} on {} % of the {}", drill.fault, drill.share, drill.struck)?;
    writeln!(out, "  {}", seconds("detected", drill.detected_s))?;
    match (drill.restored_s, drill.struck) {
        (None, Struck::Shadows) => writeln!(out, "  no rollback; no consumer was exposed to the fault")?,
        (restored, _) => writeln!(out, "  {}", seconds("restored by a rollback", restored))?,
    }
    writeln!(out, "  the fault is taken out, and the evidence that it spoiled is forgotten")?;
    if drill.restored_s.is_some() {
        writeln!(out, "  V2 was rolled back; `crossfade resume` lets it be proven again")?;
    }
    Ok(())
}
