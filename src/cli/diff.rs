//! `crossfade diff`: where V1's and V2's answers differ by field, and what would make the one of the other.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use super::remote::{block_on, client, print_json};
use super::{Failure, Format, Output, Remote};
use crate::score::diff::{DiffRow, Verdict};
use crate::study::{Differences, RouteDifferences, Rule};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name in both files
    dependency: String,
    /// Only this route
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Print lines for crossfade.toml that would make V1's answers of V2's
    #[arg(long)]
    suggest: bool,
    #[command(flatten)]
    admin: Remote,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let query = args.route.as_ref().map(|route| format!("?route={route}")).unwrap_or_default();
    let path = format!("/api/v1/dependencies/{}/diff{query}", args.dependency);
    let found: Differences = block_on(async { Ok(client.get(&path).await?) })?;
    let mut out = io::stdout().lock();
    match (args.output.format, args.suggest) {
        (Format::Json, _) => print_json(&found)?,
        (Format::Text, true) => suggest(&found, &mut out)?,
        (Format::Text, false) => print(&found, &mut out)?,
    }
    Ok(())
}

fn suggest(found: &Differences, out: &mut impl Write) -> io::Result<()> {
    if found.map.is_empty() {
        let pairs: u64 = found.routes.iter().map(|route| route.pairs).sum();
        return writeln!(out, "# nothing to suggest after {pairs} pairs");
    }
    write!(out, "{}", found.map)
}

fn print(found: &Differences, out: &mut impl Write) -> io::Result<()> {
    if found.routes.is_empty() {
        return writeln!(out, "no pair of answers was compared so far");
    }
    for (place, route) in found.routes.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        print_route(route, out)?;
    }
    if !found.map.is_empty() {
        writeln!(out, "\n--suggest prints what would make V1's answers of V2's")?;
    }
    Ok(())
}

fn print_route(route: &RouteDifferences, out: &mut impl Write) -> io::Result<()> {
    let RouteDifferences { route: name, pairs, noise_pairs, rows, .. } = route;
    writeln!(out, "{name}: {pairs} pairs compared, {noise_pairs} of V1 with itself")?;
    if rows.is_empty() {
        writeln!(out, "no difference")?;
    } else {
        writeln!(out, "{}", table(rows))?;
    }
    if *noise_pairs == 0 && !rows.is_empty() {
        writeln!(out, "without pairs of V1 with itself nothing is told from noise: `noise` of [dependency.NAME.diff]")?;
    }
    for rule in &route.rules {
        print_rule(rule, &route.ignored, out)?;
    }
    if route.overflow + route.truncated > 0 {
        let (overflow, truncated) = (route.overflow, route.truncated);
        writeln!(
            out,
            "{overflow} differences at more places than are kept; {truncated} pairs too large to compare whole"
        )?;
    }
    Ok(())
}

fn print_rule(Rule { path, until, reason, holds }: &Rule, ignored: &[DiffRow], out: &mut impl Write) -> io::Result<()> {
    if *holds {
        writeln!(out, "ignored until {until}: {path} ({reason})")?;
        let below = |row: &&DiffRow| row.path.starts_with(path.split('*').next().unwrap_or_default());
        for row in ignored.iter().filter(below) {
            writeln!(out, "    {} {}: {}", row.kind, row.path, share(row.raw, row.raw_of))?;
        }
        Ok(())
    } else {
        writeln!(out, "no longer ignored, since {until} is over: {path} ({reason})")
    }
}

fn table(rows: &[DiffRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["", "kind", "place in V1", "V1 and V2", "V1 and V1"]);
    for row in rows {
        let place = match (&row.to, row.path.is_empty()) {
            (Some(to), _) => format!("{} -> {to}", row.path),
            (None, true) => "the answer as a whole".to_owned(),
            (None, false) => row.path.clone(),
        };
        let verdict = match row.verdict {
            Verdict::Differs => "differs",
            Verdict::Unproven => "unproven",
            Verdict::Noise => "noise",
        };
        let (raw, noise) = (share(row.raw, row.raw_of), share(row.noise, row.noise_of));
        table.add_row([verdict, row.kind.as_str(), &place, &raw, &noise]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn share(hits: u64, of: u64) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1} % of {of}", hits as f64 / of as f64 * 100.0) }
}
