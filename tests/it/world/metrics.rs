//! What the proxy exports, parsed from the Prometheus text format.

use std::fmt;

/// The samples of one scrape.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { samples: lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect() }
    }

    /// The sum of all samples of that name that have these labels; `None` where there is no such sample.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let has_label = |(key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
            sample.name == name && labels.iter().all(has_label)
        };
        let mut matching = self.samples.iter().filter(has).peekable();
        matching.peek()?;
        Some(matching.map(|sample| sample.value).sum())
    }

    /// Like [`value`](Self::value) for counters: what was never counted is 0.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.value(name, labels).unwrap_or(0.0) as u64
    }

    /// Shorthand for `crossfade_outcomes_total` of one backend: rich, fallback, excluded.
    pub(crate) fn outcomes(&self, backend: &str) -> [u64; 3] {
        ["rich", "fallback", "excluded"]
            .map(|outcome| self.count("crossfade_outcomes_total", &[("backend", backend), ("outcome", outcome)]))
    }

    /// Shorthand for the fallbacks of one backend with one cause.
    pub(crate) fn fallbacks(&self, backend: &str, cause: &str) -> u64 {
        let labels = [("backend", backend), ("outcome", "fallback"), ("cause", cause)];
        self.count("crossfade_outcomes_total", &labels)
    }

    /// Shorthand for `crossfade_percent`.
    pub(crate) fn percent(&self, kind: &str) -> Option<f64> {
        self.value("crossfade_percent", &[("kind", kind)])
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
        None => (series, Vec::new()),
    };
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// `a="x",b="y"`; our label values need no escapes, or the parse fails.
fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.trim_end_matches(',').split("\",").filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once("=\"")?;
        Some((key.to_owned(), value.trim_end_matches('"').to_owned()))
    };
    pairs.map(pair).collect()
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.samples.iter().filter(|it| it.value != 0.0 && !it.name.contains("_bucket"));
        for Sample { name, labels, value } in counted {
            let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            writeln!(f, "  {name} {{{}}} {value}", labels.join(" "))?;
        }
        Ok(())
    }
}
