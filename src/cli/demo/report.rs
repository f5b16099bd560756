//! The report: what each act found, or where the story stopped.

use std::time::Instant;

use comfy_table::{Table, presets};

use super::narrator::wrap;
use super::scene::Stop;

/// Columns of what an act found; with the other two the table stays below 100.
const CELL: usize = 66;
/// Columns of an expectation, and of what was seen.
const WIDTH: usize = 86;

/// What each act found.
#[derive(Debug)]
pub(super) struct Report {
    begun: Instant,
    opened: Instant,
    act: &'static str,
    rows: Vec<[String; 3]>,
}

impl Default for Report {
    fn default() -> Self {
        let now = Instant::now();
        Self { begun: now, opened: now, act: "", rows: Vec::new() }
    }
}

impl Report {
    /// An act begins.
    pub(super) fn open(&mut self, act: &'static str) {
        self.act = act;
        self.opened = Instant::now();
    }

    /// The act that began last is over, and this is what it found.
    pub(super) fn close(&mut self, found: &[String]) {
        let lines: Vec<String> = found.iter().flat_map(|line| wrap(line, CELL)).collect();
        let time = format!("{:.1} s", self.opened.elapsed().as_secs_f64());
        self.rows.push([self.act.to_owned(), lines.join("\n"), time]);
    }

    /// Every act found what it should.
    pub(super) fn passed(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        format!("\n{}\n\nAll {} acts as they should be, in {seconds:.0} s.\n", self.table(), self.rows.len())
    }

    /// The act that began last found something else.
    pub(super) fn failed(&self, stop: &Stop) -> String {
        let table = if self.rows.is_empty() { String::new() } else { format!("\n{}\n", self.table()) };
        format!("{table}\nFAILED in act {}\n{}", self.act, in_words(stop))
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["act", "what the proxy and its consumers report", "time"]);
        table.add_rows(&self.rows);
        table
    }
}

/// Why an act ended early.
pub(super) fn in_words(stop: &Stop) -> String {
    match stop {
        Stop::Unmet { expected, seen } => indented("expected:", expected) + &indented("seen:", seen),
        Stop::ByHand => {
            "  expected: nobody interferes\n  seen:     rollout.toml or a verb was used by somebody else\n".to_owned()
        }
        Stop::Io(error) => format!("  {error}\n"),
    }
}

fn indented(label: &str, text: &str) -> String {
    let lines = wrap(text, WIDTH);
    format!("  {label:<9} {}\n", lines.join("\n            "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::scene::unmet;

    #[test]
    fn a_failure_names_act_expectation_and_what_was_seen() {
        let mut report = Report::default();
        report.open("1. In the shadow");
        report.close(&["V2 60 %".to_owned()]);
        report.open("2. V2 is repaired");
        let text = report.failed(&unmet("98 %", "60 %"));
        assert!(text.contains("1. In the shadow") && text.contains("V2 60 %"), "{text}");
        assert!(text.ends_with("FAILED in act 2. V2 is repaired\n  expected: 98 %\n  seen:     60 %\n"), "{text}");
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let mut report = Report::default();
        report.open("3. Cutover");
        report.close(&["word ".repeat(60)]);
        assert!(report.passed().lines().all(|line| line.chars().count() < 100));
    }
}
