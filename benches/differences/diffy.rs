//! Diffy's rule, after its source (`DifferencesFilterFactory` and `JoinedField` in `analysis/JoinedDifferences.scala`): more raw
//! than noisy differences, by more than 20 % of both together, and by more than 0.03 % of all requests.
//!
//! Diffy asks V1 twice for each request. Where fewer noise pairs are given here, their count is scaled up. Its own way to
//! compare two answers is not used: both rules judge the same counts.

use crossfade::score::diff::{DiffReport, DiffRow};

pub(crate) fn findings(report: &DiffReport) -> Vec<String> {
    report.rows.iter().filter(|row| is_finding(row)).map(|row| row.path.clone()).collect()
}

fn is_finding(row: &DiffRow) -> bool {
    let (raw, of) = (row.raw as f64, row.raw_of as f64);
    let noise = if row.noise_of == 0 { 0.0 } else { row.noise as f64 * of / row.noise_of as f64 };
    let relative = (raw - noise).abs() / (raw + noise) * 100.0;
    let absolute = (raw - noise).abs() / of * 100.0;
    raw > noise && relative > 20.0 && absolute > 0.03
}
