//! `crossfade report`: the migration so far, for people who were not there.

mod picture;

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::Args;

use super::remote::{block_on, client, print_json};
use super::{Failure, Remote};
use crate::console::{Dora, Event, Report};
use crate::hit_rate::Tallied;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name in both files
    dependency: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = As::Md, value_name = "FORMAT")]
    format: As,
    #[command(flatten)]
    admin: Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum As {
    /// Markdown
    Md,
    /// A page of its own, with a picture, and without scripts
    Html,
    /// For programs
    Json,
}

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let client = client(&args.admin)?;
    let path = format!("/api/v1/dependencies/{}/report", args.dependency);
    let report: Report = block_on(async { Ok(client.get(&path).await?) })?;
    match args.format {
        As::Json => print_json(&report)?,
        As::Md => io::stdout().write_all(markdown(&report).as_bytes())?,
        As::Html => io::stdout().write_all(html(&report).as_bytes())?,
    }
    Ok(())
}

/// A table: its head, and its rows.
struct Rows(Vec<&'static str>, Vec<Vec<String>>);

fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n{}\n", report.dependency, summary(report));
    for (title, Rows(head, rows)) in tables(report) {
        let _ = write!(text, "\n## {title}\n\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
        for row in rows {
            let row: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
    }
    text
}

fn html(report: &Report) -> String {
    let name = escaped(&report.dependency);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{name}: migration</title>\n<style>{STYLE}</style>\n\
         <h1>{name}</h1>\n<p>{}</p>\n{}",
        escaped(&summary(report)),
        picture::hit_rates(report)
    );
    for (title, Rows(head, rows)) in tables(report) {
        let _ = write!(text, "<h2>{title}</h2>\n<table><tr>");
        for cell in head {
            let _ = write!(text, "<th>{cell}</th>");
        }
        for row in rows {
            let _ = write!(text, "</tr>\n<tr>");
            for cell in row {
                let _ = write!(text, "<td>{}</td>", escaped(&cell));
            }
        }
        text.push_str("</tr></table>\n");
    }
    text.push_str("</html>\n");
    text
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse}th,td{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}\
svg{width:100%;height:auto}";

/// What stands in HTML text for a text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn summary(report: &Report) -> String {
    let since = report.since.map_or_else(|| "nothing recorded yet".to_owned(), |since| format!("since {since:.0}"));
    let stage = report.stage.map_or_else(|| "not configured any more".to_owned(), |stage| format!("stage {stage}"));
    let phase = report.phase.map_or_else(String::new, |phase| format!(", phase {phase}"));
    let percent =
        report.percent.map_or_else(String::new, |percent| format!(", V2 serves {} % of the keys", percent.effective));
    let slo = report.slo.map_or_else(String::new, |slo| format!(", SLO {}", share(Some(slo))));
    format!("{stage}{phase}{percent}{slo}; {since}, as of {:.0}.", report.time)
}

fn tables(report: &Report) -> Vec<(&'static str, Rows)> {
    vec![
        ("Hit rates", hit_rates(report)),
        ("Delivery", delivery(&report.dora)),
        ("Steps", steps(&report.steps)),
        ("Why V2 gave fallbacks", fallbacks(report)),
    ]
}

fn hit_rates(report: &Report) -> Rows {
    let sums = report
        .hours
        .iter()
        .fold([Tallied::default(); 3], |[v1, v2, served], hour| [v1 + hour.v1, v2 + hour.v2, served + hour.served]);
    let row = |(name, sum): (&str, Tallied)| vec![name.to_owned(), share(sum.hit_rate()), sum.samples().to_string()];
    let mut rows: Vec<_> = ["V1", "V2", "served"].into_iter().zip(sums).map(row).collect();
    rows.push(vec!["rescued".to_owned(), String::new(), report.rescued.to_string()]);
    Rows(vec!["answers of", "hit rate", "answers"], rows)
}

/// The four DORA figures, as the console's `dora` defines them.
fn delivery(dora: &Dora) -> Rows {
    let row = |name: &str, value: Option<String>, of: String| {
        vec![name.to_owned(), value.unwrap_or_else(|| "unknown".to_owned()), of]
    };
    let per_week = dora.deployments_per_week.map(|rate| format!("{rate:.1} a week"));
    let rows = vec![
        row("deployment frequency", per_week, format!("{} promotions", dora.promotions)),
        row("lead time", dora.lead_time_s.map(duration), "commit to 100 %, median".to_owned()),
        row(
            "change failure rate",
            dora.change_failure_rate.map(|rate| share(Some(rate))),
            format!("{} of {} promotions rolled back", dora.rolled_back, dora.promotions),
        ),
        row(
            "time to restore",
            dora.time_to_restore_s.map(duration),
            format!("median of {} breaches, {} of them not restored yet", dora.breaches, dora.not_restored),
        ),
    ];
    Rows(vec!["figure", "value", "of"], rows)
}

fn steps(steps: &[Event]) -> Rows {
    let row = |event: &Event| {
        vec![
            format!("{:.0}", event.time),
            event.kind.as_str().to_owned(),
            format!("{} % -> {} %", event.from, event.to),
            event.by.clone(),
            event.reason.clone(),
        ]
    };
    Rows(vec!["time", "what", "percent", "by", "why"], steps.iter().map(row).collect())
}

fn fallbacks(report: &Report) -> Rows {
    let mut causes: Vec<_> = report.fallbacks.iter().collect();
    causes.sort_by(|a, b| b.1.cmp(a.1));
    Rows(vec!["cause", "fallbacks"], causes.into_iter().map(|(cause, n)| vec![cause.clone(), n.to_string()]).collect())
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "no samples".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

fn duration(seconds: f64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds.round().clamp(0.0, 1e10) as u64)).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::console::Hour;

    fn report() -> Report {
        let hour = |at: i64, rich| Hour {
            time: Timestamp::from_second(at * 3600).expect("valid"),
            v1: Tallied { rich: 90, fallback: 10 },
            v2: Tallied { rich, fallback: 100 - rich },
            served: Tallied::default(),
        };
        Report {
            dependency: "<recs>".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            since: None,
            stage: None,
            phase: None,
            percent: None,
            slo: Some(0.95),
            hours: vec![hour(1, 60), hour(2, 99), hour(9, 98)],
            fallbacks: BTreeMap::from([("timeout".to_owned(), 43)]),
            rescued: 0,
            steps: Vec::new(),
            dora: Dora::default(),
        }
    }

    #[test]
    fn a_page_has_a_picture_and_no_script_and_escapes_names() {
        let page = html(&report());
        assert!(page.contains("<svg") && page.contains("<polyline"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<recs>"), "{page}");
    }

    #[test]
    fn markdown_has_every_figure_and_says_what_is_unknown() {
        let text = markdown(&report());
        for line in
            ["| V2 | 85.67 % | 300 |", "| lead time | unknown |", "| timeout | 43 |", "| served | no samples | 0 |"]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
