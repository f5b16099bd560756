//! The README says what is so.

use crossfade::config::Limits;
use crossfade::telemetry::metrics::{ALL, Kind};

const README: &str = include_str!("../../README.md");

#[test]
fn the_metric_table_is_the_catalogue() {
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let rows = ALL.iter().map(|it| format!("| `{}` | {} | {} |", it.name, kind(it.kind), it.labels.join(", ")));
    let start = README.find("| metric | type | labels |").expect("the table is there");
    let table = README[start..].lines().skip(2).take_while(|line| line.starts_with('|')).map(str::to_owned);
    assert_eq!(table.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
}

#[test]
fn the_limits_are_the_defaults() {
    let Limits { max_connections, max_in_flight, shadow_in_flight, header_bytes, shadow_memory, .. } =
        Limits::default();
    let rows = [
        format!("| `max_connections` | {max_connections} |"),
        format!("| `max_in_flight` | {max_in_flight} |"),
        format!("| `shadow_in_flight` | {shadow_in_flight} |"),
        format!("| `header_bytes` | {}KiB |", header_bytes >> 10),
        format!("| `shadow_memory` | {}MiB |", shadow_memory >> 20),
    ];
    for row in rows {
        assert!(README.contains(&row), "{row}");
    }
}

#[test]
fn every_command_is_named() {
    use clap::CommandFactory;
    for command in crossfade::cli::Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(README.contains(&format!("`{name}")) || README.contains(&format!("{name}`")), "{name}");
    }
}
