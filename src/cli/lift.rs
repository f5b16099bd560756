//! `crossfade lift`: why V2 falls back, and what mending each reason would give.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use super::remote::{block_on, client, print_json};
use super::{Failure, Format, Output, Remote};
use crate::console::RouteLift;
use crate::score::{Quadrants, RetryAdvice, Row};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name in both files
    dependency: String,
    /// Only this route
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

pub(super) fn lift(args: &Arguments) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let path = format!("/api/v1/dependencies/{}/lift", args.dependency);
    let mut routes: Vec<RouteLift> = block_on(async { Ok(client.get(&path).await?) })?;
    if let Some(only) = &args.route {
        routes.retain(|route| route.route == *only);
    }
    match args.output.format {
        Format::Json => print_json(&routes)?,
        Format::Text => print(&routes, &mut io::stdout().lock())?,
    }
    Ok(())
}

fn print(routes: &[RouteLift], out: &mut impl Write) -> io::Result<()> {
    if routes.is_empty() {
        return writeln!(out, "no scored answer of V2 in the last hour");
    }
    for (place, RouteLift { route, lift }) in routes.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        let (now, first) = (percent(lift.hit_rate), percent(lift.first_try_hit_rate));
        writeln!(out, "{route}: V2 at {now} of {} in the last hour, {first} without retries", lift.answers)?;
        if !lift.rows.is_empty() {
            writeln!(out, "{}", table(&lift.rows))?;
        }
        writeln!(out, "{}", pairs(lift.quadrants))?;
        if let Some(retry) = &lift.retry {
            advise(retry, out)?;
        }
    }
    Ok(())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    let header = ["cause", "place", "fallbacks", "share", "alone", "with those above", "V1 too"];
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row([
            row.cause.to_string(),
            row.place.clone().unwrap_or_default(),
            row.count.to_string(),
            percent(Some(row.share)),
            percent(Some(row.alone)),
            percent(Some(row.together)),
            row.inherited.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn pairs(quadrants: Quadrants) -> String {
    let Quadrants { both_rich, only_v1_rich, only_v2_rich, neither_rich } = quadrants;
    format!(
        "pairs: both rich {both_rich}, only V1 {only_v1_rich}, only V2 {only_v2_rich}, neither {neither_rich}{}",
        if neither_rich > 0 { " (missing data, or a bug that V2 inherited)" } else { "" }
    )
}

fn advise(retry: &RetryAdvice, out: &mut impl Write) -> io::Result<()> {
    let saved = retry.causes.iter().map(|it| format!("{:.0} % of {} `{}`", it.saved * 100.0, it.tried, it.cause));
    writeln!(
        out,
        "2 attempts with {} ms between them would have saved {}, and given {}:",
        retry.backoff_ms,
        saved.collect::<Vec<_>>().join(", "),
        percent(Some(retry.hit_rate)),
    )?;
    let RetryAdvice { backoff_ms, try_timeout_ms, .. } = retry;
    writeln!(out, "  retry = {{ attempts = 2, backoff = \"{backoff_ms}ms\", try_timeout = \"{try_timeout_ms}ms\" }}")
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{:.2} %", rate * 100.0))
}
