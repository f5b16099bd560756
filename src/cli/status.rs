//! `crossfade status`: what is observed, what it means, what was decided, what happens next.

use std::io::{self, Write};

use comfy_table::{Table, presets};

use crate::console::{DependencyStatus, Status, VerdictStatus, WindowRates};

/// Prints one dependency, or all of them.
///
/// # Errors
/// When `out` cannot be written to.
pub(super) fn print(status: &Status, only: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    for dependency in &status.dependencies {
        if only.is_none_or(|only| only == dependency.name) {
            print_one(dependency, out)?;
        }
    }
    for (name, file) in &status.files {
        if let Some(error) = &file.error {
            writeln!(out, "{name}: the file is not in force; what it said before still is\n{error}")?;
        }
        for what in &file.needs_restart {
            writeln!(out, "{name}: {what} was changed, and needs a restart")?;
        }
    }
    if let Some(error) = &status.store_error {
        writeln!(out, "The gate's state cannot be saved, and nothing is promoted until it can: {error}")?;
    }
    writeln!(out, "revision {}", status.revision)
}

fn print_one(dependency: &DependencyStatus, out: &mut impl Write) -> io::Result<()> {
    let percent = &dependency.percent;
    writeln!(out, "{}: stage {}, phase {}", dependency.name, dependency.stage, dependency.phase)?;
    writeln!(out, "\nobserve")?;
    writeln!(out, "{}", rates(dependency))?;
    let observed = percent.observed.map_or_else(|| "no traffic".to_owned(), |share| format!("{share:.1} %"));
    writeln!(
        out,
        "V2 serves {} % of the keys (ceiling {} %, allowed {} %, observed in the last minute: {observed})",
        percent.effective, percent.ceiling, percent.allowed
    )?;
    for rule in &dependency.poisoned_rules {
        writeln!(
            out,
            "the rule of route {} does not end within rule_timeout for answers of {}, and is left alone for a while",
            rule.route,
            rule.backend.to_uppercase()
        )?;
    }
    if let Some(verdict) = &dependency.verdict {
        print_verdict(verdict, dependency, out)?;
    }
    writeln!(out)
}

fn print_verdict(verdict: &VerdictStatus, dependency: &DependencyStatus, out: &mut impl Write) -> io::Result<()> {
    let evidence = &verdict.evidence;
    writeln!(out, "\norient")?;
    let rate = evidence.hit_rate.map_or_else(|| "no hit rate yet".to_owned(), share);
    let slo = dependency.slo.map_or_else(String::new, |slo| format!(", SLO {}", share(slo)));
    writeln!(
        out,
        "  V2 {rate} (between {} and {}){slo}, {} requests on this step; V1 {}",
        share(evidence.lo),
        share(evidence.hi),
        evidence.samples,
        evidence.v1_hit_rate.map_or_else(|| "unknown".to_owned(), share),
    )?;
    writeln!(
        out,
        "  evidence for a promotion: {:.1} by the SLO, {:.1} by V1, {:.1} needed; for a rollback: {:.1} of {:.1}",
        evidence.log_e, evidence.log_e_pairs, evidence.log_e_need, evidence.log_r, evidence.log_r_alarm
    )?;
    if let Some(top) = evidence.top_cause {
        writeln!(out, "  {} of V2's fallbacks on this step: {}", share(top.share), top.cause)?;
    }
    let route = verdict.route.as_ref().map_or_else(String::new, |route| format!(" (route {route})"));
    writeln!(out, "\ndecide\n  {} ({}){route}: {}", verdict.verdict, verdict.reason, verdict.sentence)?;
    let next = dependency.next_step.map_or_else(|| "none".to_owned(), |step| format!("{step} %"));
    let wait = evidence.seconds_needed.map(|needed| needed.max(evidence.bake_left_s));
    let eta = wait.filter(|wait| *wait > 0.0).map_or_else(String::new, |wait| format!(", in about {}", duration(wait)));
    writeln!(out, "\nact\n  next step: {next}{eta}")
}

fn rates(dependency: &DependencyStatus) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["", "V1", "V2", "served"]);
    for window in ["1m", "5m", "1h"] {
        if let Some(rates) = dependency.hit_rates.get(window) {
            table.add_row([window.to_owned(), rate(&rates.v1), rate(&rates.v2), rate(&rates.served)]);
        }
    }
    table
}

fn rate(rates: &WindowRates) -> String {
    rates.hit_rate.map_or_else(|| "-".to_owned(), |rate| format!("{} of {}", share(rate), rates.rich + rates.fallback))
}

/// A share as percent, with as many decimals as matter near 100 %.
fn share(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let rounded = std::time::Duration::from_secs(seconds.round().clamp(0.0, 1e9) as u64);
    humantime::format_duration(rounded).to_string()
}
