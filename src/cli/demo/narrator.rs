//! Tells what happens: one line, or a few, with the time since the demo began.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

use super::counts::share;
use super::evidence::by_slo;
use crate::console::{DependencyStatus, Event, EventKind};

/// Columns of text beside the time; both together stay below 100.
const WIDTH: usize = 88;
/// Columns of the time, and of what stands below it.
const MARGIN: usize = 10;

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// What happens.
    Plain,
    /// V2 goes up, or a check holds.
    Good,
    /// V2 goes down, or a check fails.
    Bad,
    /// What goes on.
    Quiet,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Quiet => Style::new().dimmed(),
        }
    }
}

/// Writes to standard output; with colour only on a terminal, and not under `NO_COLOR`.
pub(super) struct Narrator {
    begun: Instant,
    told: Instant,
}

impl Narrator {
    /// The clock starts.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, told: now }
    }

    /// For how long nothing was told.
    pub(super) fn silence(&self) -> Duration {
        self.told.elapsed()
    }

    /// A heading.
    pub(super) fn head(&mut self, text: &str) -> io::Result<()> {
        let bold = Style::new().bold();
        self.write(&format!("\n{bold}{text}{bold:#}\n"))
    }

    /// As it is.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        self.told = Instant::now();
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// With the time before it.
    pub(super) fn tell(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (dim, style) = (Style::new().dimmed(), tone.style());
        let mut time = format!("{seconds:>6.1} s");
        let mut lines = String::new();
        for line in wrap(text, WIDTH) {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{dim}{time:<MARGIN$}{dim:#}{style}{line}{style:#}");
            time.clear();
        }
        self.write(&lines)
    }
}

/// Breaks at spaces, but never between a number and what it counts. What is longer than a line stands on a line of its own.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in pieces(text) {
        if !line.is_empty() && line.chars().count() + 1 + piece.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(piece);
    }
    lines.push(line);
    lines
}

/// Words; a number, or what ends in one, is one piece with the word after it.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut before = ' ';
    text.split(move |here: char| {
        let breaks = here == ' ' && !before.is_ascii_digit();
        before = here;
        breaks
    })
}

/// Whether an event is told: where a breach freezes at once, the freeze says the same.
pub(super) fn is_told(event: &Event) -> bool {
    let freezes = event.verdict.as_ref().is_some_and(|verdict| verdict.verdict == "freeze");
    event.kind != EventKind::Breach || !freezes
}

/// An event in words.
pub(super) fn event_in_words(event: &Event) -> (Tone, String) {
    let Event { from, to, by, verdict, .. } = event;
    let reason = without_route(&event.reason);
    let evidence = verdict.as_ref().map(|verdict| verdict.evidence).unwrap_or_default();
    match event.kind {
        EventKind::Promote => (Tone::Good, format!("promoted {from} -> {to} %: {}", by_slo(&evidence))),
        EventKind::Rollback if by == "gate" => (Tone::Bad, format!("ROLLED BACK {from} -> {to} %: {reason}")),
        EventKind::Rollback => (Tone::Bad, format!("rolled back by {by}, {from} -> {to} %: {reason}")),
        EventKind::Freeze => (Tone::Bad, format!("frozen, nobody blamed yet: {reason}")),
        EventKind::Breach => (Tone::Bad, format!("alarm: {reason}")),
        EventKind::Recover => (Tone::Good, format!("the alarm is over: {reason}")),
        EventKind::Edit => (Tone::Plain, format!("rollout.toml was changed by {by} and is in force: {reason}")),
        EventKind::ReloadFailed => {
            (Tone::Bad, format!("rollout.toml is not valid, so what it said before stays in force: {reason}"))
        }
        EventKind::Approve
        | EventKind::Pause
        | EventKind::Resume
        | EventKind::Probe
        | EventKind::Drill
        | EventKind::Finish => (Tone::Plain, format!("{} by {by}: {reason}", event.kind.as_str())),
    }
}

/// The demo has one route with traffic, which need not be named.
pub(super) fn without_route(sentence: &str) -> &str {
    sentence.strip_prefix("route `list`: ").unwrap_or(sentence)
}

/// Where things stand, in one line.
pub(super) fn summary(status: &DependencyStatus) -> String {
    let rates = status.hit_rates.get("1m").copied().unwrap_or_default();
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), share);
    let (v1, v2, served) = (rate(rates.v1.hit_rate), rate(rates.v2.hit_rate), rate(rates.served.hit_rate));
    let verdict =
        status.verdict.as_ref().map_or_else(String::new, |verdict| format!("; {}", without_route(&verdict.sentence)));
    let (phase, percent) = (status.phase, status.percent.effective);
    format!("last minute: V1 {v1}, V2 {v2}, served {served}; {percent} % of the keys on V2, {phase}{verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_lines_at_spaces_only() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("longer a", 4), ["longer", "a"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("80 % ‰ é", 8), ["80 % ‰ é"], "columns are characters, not bytes");
        assert_eq!(wrap("up to 80 % or", 8), ["up to", "80 % or"], "a number keeps its unit");
    }
}
