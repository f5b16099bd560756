//! `crossfade history`: the ledger's events as a table, or as JSON lines for an audit.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use jiff::Timestamp;

use super::remote::{block_on, client};
use super::{Failure, Format, INVALID, Output, Remote};
use crate::console::{Event, EventKind};

/// Events of one answer of the admin port.
const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct History {
    /// Its name in both files
    dependency: String,
    /// Only what happened since: an instant such as 2026-11-20T08:00:00Z, or as long ago as 2h or 30d
    #[arg(long, value_parser = since, value_name = "WHEN")]
    since: Option<Timestamp>,
    /// Only events of this kind
    #[arg(long, value_parser = kind, value_name = "KIND")]
    kind: Option<EventKind>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

/// An instant, or how long ago.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let ago: Duration = humantime::parse_duration(text)
        .map_err(|_| "write an instant such as 2026-11-20T08:00:00Z, or how long ago, such as 2h or 30d".to_owned())?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

fn kind(text: &str) -> Result<EventKind, String> {
    let known = || EventKind::ALL.map(EventKind::as_str).join(", ");
    EventKind::from_name(text).ok_or_else(|| format!("there are: {}", known()))
}

pub(super) fn history(args: &History) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let events = block_on(async {
        let mut all: Vec<Event> = Vec::new();
        loop {
            let page: Vec<Event> = client.get(&path(args, all.last())).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    })?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let printed = match args.output.format {
        Format::Json => print_lines(&events, &mut out),
        Format::Text => print_table(&events, &mut out),
    };
    printed.and_then(|()| out.flush()).map_err(|error| Failure::Error(INVALID, Box::new(error)))
}

/// The page after `last`.
fn path(args: &History, last: Option<&Event>) -> String {
    let mut path = format!("/api/v1/dependencies/{}/history?limit={PAGE}", args.dependency);
    for (key, value) in [
        ("since", args.since.map(|since| since.to_string())),
        ("kind", args.kind.map(|kind| kind.as_str().to_owned())),
        ("before", last.map(|event| event.id.to_string())),
    ] {
        path.extend(value.map(|value| format!("&{key}={value}")));
    }
    path
}

/// One event on a line, oldest first: what an audit wants.
fn print_lines(events: &[Event], out: &mut impl Write) -> io::Result<()> {
    for event in events.iter().rev() {
        writeln!(out, "{}", serde_json::to_string(event)?)?;
    }
    Ok(())
}

fn print_table(events: &[Event], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["id", "time", "kind", "percent", "by", "revision", "reason"]);
    for event in events.iter().rev() {
        let percent = if event.from == event.to {
            format!("{} %", event.to)
        } else {
            format!("{} -> {} %", event.from, event.to)
        };
        table.add_row([
            event.id.to_string(),
            format!("{:.0}", event.time),
            event.kind.as_str().to_owned(),
            percent,
            event.by.clone(),
            event.revision.to_string(),
            event.reason.clone(),
        ]);
    }
    writeln!(out, "{table}")
}
