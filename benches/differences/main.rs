//! What `diff` finds and what it makes up, beside Diffy's rule on the same counts; what `--suggest` finds; and what a comparison
//! costs. Seeds are fixed: two runs print the same tables.

mod corpus;
mod cost;
mod diffy;
mod edit;
mod random;
mod stream;
mod suggestions;

use crossfade::score::diff::{DiffReport, Verdict};

use corpus::SHAPES;
use stream::{LOOKS, Reports, Scenario};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

/// Streams per shape that have nothing but noise, and streams with edits.
const STREAMS: u64 = 12;

fn main() {
    alone();
    edited();
    rare();
    suggestions::table();
    divan::main();
}

/// A rule that tells findings from noise.
struct Rule {
    name: &'static str,
    /// The paths it calls different.
    findings: fn(&Reports) -> Vec<String>,
}

const RULES: &[Rule] = &[
    Rule { name: "crossfade, each pair has a noise pair", findings: |reports| ours(&reports.all) },
    Rule { name: "crossfade, a tenth of them", findings: |reports| ours(&reports.tenth) },
    Rule { name: "Diffy, each pair has a noise pair", findings: |reports| diffy::findings(&reports.all) },
    Rule { name: "Diffy, a tenth of them", findings: |reports| diffy::findings(&reports.tenth) },
];

fn ours(report: &DiffReport) -> Vec<String> {
    report.rows.iter().filter(|row| row.verdict == Verdict::Differs).map(|row| row.path.clone()).collect()
}

/// Streams of noise: each finding is a false alarm.
fn alone() {
    let mut at_end = vec![0; RULES.len()];
    let mut at_any_look = vec![0; RULES.len()];
    let mut findings = vec![0; RULES.len()];
    for scenario in SHAPES.iter().flat_map(|shape| (0..STREAMS).map(|seed| Scenario::quiet(shape, seed))) {
        let looks = scenario.play();
        for (at, rule) in RULES.iter().enumerate() {
            let found: Vec<_> = looks.iter().map(|look| (rule.findings)(look).len()).collect();
            at_any_look[at] += usize::from(found.iter().any(|found| *found > 0));
            let last = found.last().copied().unwrap_or_default();
            at_end[at] += usize::from(last > 0);
            findings[at] += last;
        }
    }
    let streams = SHAPES.len() as u64 * STREAMS;
    println!("Noise alone, {streams} routes of {} pairs, looked at after {LOOKS:?} pairs\n", LOOKS[LOOKS.len() - 1]);
    println!("| rule | routes with a false alarm at the end | at any look | false findings at the end |");
    println!("| --- | --- | --- | --- |");
    for (at, rule) in RULES.iter().enumerate() {
        println!("| {} | {} | {} | {} |", rule.name, at_end[at], at_any_look[at], findings[at]);
    }
    println!();
}

/// How often edits of one rate were found.
#[derive(Clone, Copy, Default)]
struct Found {
    found: usize,
    of: usize,
}

impl Found {
    fn add(&mut self, found: bool) {
        self.found += usize::from(found);
        self.of += 1;
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({} of {})", self.found as f64 / self.of.max(1) as f64, self.found, self.of)
    }
}

/// Streams with edits among the noise.
fn edited() {
    let mut precision = vec![Found::default(); RULES.len()];
    let mut recall = vec![[Found::default(); stream::RATES.len()]; RULES.len()];
    for scenario in SHAPES.iter().flat_map(|shape| (0..STREAMS).map(|seed| Scenario::edited(shape, seed))) {
        let looks = scenario.play();
        let last = looks.last().expect("one look at least");
        for (at, rule) in RULES.iter().enumerate() {
            let found = (rule.findings)(last);
            for path in &found {
                precision[at].add(scenario.is_right(path));
            }
            for edit in &scenario.edits {
                recall[at][edit.rate].add(edit.paths().iter().any(|path| found.contains(path)));
            }
        }
    }
    println!("Edits among the noise, {} routes of {} pairs\n", SHAPES.len() as u64 * STREAMS, LOOKS[LOOKS.len() - 1]);
    let rates = stream::RATES.map(|rate| format!("recall, edits in {} % of answers", rate * 100.0)).join(" | ");
    println!("| rule | precision | {rates} |");
    println!("| --- | --- |{}", " --- |".repeat(stream::RATES.len()));
    for (at, rule) in RULES.iter().enumerate() {
        let recalls = recall[at].map(|found| found.to_string()).join(" | ");
        println!("| {} | {} | {recalls} |", rule.name, precision[at]);
    }
    println!();
}

/// Edits in few answers, with few noise pairs: how long it takes to tell.
fn rare() {
    println!(
        "Edits in {} % of the answers, a noise pair for a tenth of the pairs, {} routes\n",
        stream::RARE * 100.0,
        SHAPES.len() * 4
    );
    println!("| pairs | crossfade: precision | recall | Diffy: precision | recall |\n| --- | --- | --- | --- | --- |");
    let scenarios: Vec<_> = SHAPES.iter().flat_map(|shape| (0..4).map(|seed| Scenario::rare(shape, seed))).collect();
    let looks: Vec<_> = scenarios.iter().map(Scenario::play_long).collect();
    for (at, pairs) in stream::LONG_LOOKS.iter().enumerate() {
        let rule = |findings: fn(&DiffReport) -> Vec<String>| {
            let (mut precision, mut recall) = (Found::default(), Found::default());
            for (scenario, looks) in scenarios.iter().zip(&looks) {
                let found = findings(&looks[at]);
                for path in &found {
                    precision.add(scenario.is_right(path));
                }
                for edit in &scenario.edits {
                    recall.add(edit.paths().iter().any(|path| found.contains(path)));
                }
            }
            format!("{precision} | {recall}")
        };
        println!("| {pairs} | {} | {} |", rule(ours), rule(diffy::findings));
    }
    println!();
}
