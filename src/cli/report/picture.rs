//! Hit rates over time, as an SVG picture within the page: no script, no file beside it.

use std::fmt::Write;

use crate::console::{Hour, Report};
use crate::hit_rate::Tallied;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 240.0;
/// Room for the scale.
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 20.0;
/// Points of a line at most; more hours are added up.
const POINTS: usize = 400;

/// Name, colour, and what is drawn.
type Line = (&'static str, &'static str, fn(&Hour) -> Tallied);

/// The lines, with colours that differ for most eyes (Okabe and Ito, 2008).
const LINES: [Line; 3] =
    [("V1", "#0072b2", |hour| hour.v1), ("V2", "#d55e00", |hour| hour.v2), ("served", "#009e73", |hour| hour.served)];

/// The picture; nothing without hours.
pub(super) fn hit_rates(report: &Report) -> String {
    let (Some(first), Some(last)) = (report.hours.first(), report.hours.last()) else { return String::new() };
    let (begin, end) = (first.time.as_second(), last.time.as_second() + 3600);
    let frame = Frame { begin: begin as f64, seconds: (end - begin) as f64, floor: floor(report) };
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Hit rates over time\">\n");
    for rate in [frame.floor, f64::midpoint(frame.floor, 1.0), 1.0] {
        let (y, text) = (frame.y(rate), format!("{:.1} %", rate * 100.0));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{WIDTH}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"0\" y=\"{:.1}\" font-size=\"11\">{text}</text>",
            y + 4.0
        );
    }
    if let Some(slo) = report.slo {
        let y = frame.y(slo);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{WIDTH}\" y2=\"{y:.1}\" stroke=\"#000\" stroke-dasharray=\"4 4\"/>"
        );
    }
    for (at, (name, colour, of)) in LINES.into_iter().enumerate() {
        let points = frame.points(&report.hours, of);
        let _ = writeln!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{points}\"/>");
        let x = LEFT + 80.0 * at as f64;
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{HEIGHT}\" font-size=\"12\" fill=\"{colour}\">{name}</text>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{WIDTH}\" y=\"{HEIGHT}\" font-size=\"11\" text-anchor=\"end\">{} to {}</text>\n</svg>",
        first.time, last.time
    );
    svg
}

/// The lowest rate that is shown: below every point, and below the SLO.
fn floor(report: &Report) -> f64 {
    let rates = report.hours.iter().flat_map(|hour| [hour.v1, hour.v2, hour.served]).filter_map(Tallied::hit_rate);
    let lowest = rates.chain(report.slo).fold(1.0, f64::min);
    ((lowest * 20.0).floor() / 20.0 - 0.05).max(0.0)
}

struct Frame {
    begin: f64,
    seconds: f64,
    floor: f64,
}

impl Frame {
    fn y(&self, rate: f64) -> f64 {
        let height = HEIGHT - BOTTOM - 10.0;
        10.0 + height * (1.0 - (rate - self.floor) / (1.0 - self.floor))
    }

    fn points(&self, hours: &[Hour], of: fn(&Hour) -> Tallied) -> String {
        let mut text = String::new();
        for hours in hours.chunks(hours.len().div_ceil(POINTS).max(1)) {
            let sum = hours.iter().map(of).fold(Tallied::default(), |sum, counts| sum + counts);
            let Some(rate) = sum.hit_rate() else { continue };
            let x = LEFT + (WIDTH - LEFT) * (hours[0].time.as_second() as f64 - self.begin) / self.seconds;
            let _ = write!(text, "{x:.1},{:.1} ", self.y(rate));
        }
        text
    }
}
