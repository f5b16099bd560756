//! What a scrape gets: the totals in the Prometheus text format.

use std::time::Instant;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::histogram::{BACKEND_BOUNDS, Histogram, OVERHEAD_BOUNDS};
use super::lane::{LaneCounts, LaneResult};
use super::metrics::{self, Kind, Metric};
use super::process::Process;
use super::tally::Tally;
use super::totals::{Counted, DependencyTotals, RolloutGauges};
use super::window::WINDOWS;
use crate::backend::{Backend, Role};
use crate::hit_rate::Tallied;
use crate::stage::{Phase, Stage};

/// The content type of [`expose`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The totals in the Prometheus text format, at second `now` of the clock that windows are read by.
pub fn expose(counted: &mut Counted, now: u64) -> String {
    let mut page = Page::default();
    for (name, dependency) in &mut counted.dependencies {
        for (route, tally) in &dependency.routes {
            route_series(&mut page, name, route, tally);
        }
        dependency_series(&mut page, name, dependency, now);
    }
    for (id, is_healthy) in counted.conditions.all() {
        let labels = [id.dependency.as_str(), id.backend, id.endpoint.as_str()];
        page.add(&metrics::ENDPOINT_HEALTHY, &labels, f64::from(u8::from(is_healthy)));
    }
    lane_series(&mut page, &counted.lane);
    refusal_series(&mut page, counted);
    for (file, totals) in &counted.files {
        page.add(&metrics::RELOADS, &[file, "success"], totals.successes as f64);
        page.add(&metrics::RELOADS, &[file, "failure"], totals.failures as f64);
        page.add(&metrics::RELOAD_SUCCESSFUL, &[file], f64::from(u8::from(totals.last_ok)));
        page.add(&metrics::RELOAD_TIMESTAMP, &[file], totals.last_success);
    }
    if let Some(ledger) = &counted.ledger {
        page.add(&metrics::LEDGER_WRITABLE, &[], f64::from(u8::from(ledger.is_writable)));
        page.add(&metrics::LEDGER_WAITING, &[], ledger.waiting as f64);
        page.add(&metrics::LEDGER_LOST, &[], ledger.lost as f64);
    }
    page.add(&metrics::PANICS, &[], counted.panics as f64);
    let revision = option_env!("CROSSFADE_SOURCE_REVISION").unwrap_or("unknown");
    page.add(&metrics::BUILD_INFO, &[env!("CARGO_PKG_VERSION"), revision], 1.0);
    process_series(&mut page, &Process::read());
    page.encode()
}

fn route_series(page: &mut Page, dependency: &str, route: &str, tally: &Tally) {
    for (by, code, count) in tally.requests() {
        page.add_some(&metrics::REQUESTS, &[dependency, route, by.as_str(), code.as_str()], count);
    }
    for (backend, role, outcome, count) in tally.outcomes() {
        let cause = outcome.cause().map_or("", |cause| cause.as_str());
        let labels = [dependency, route, backend.as_str(), role.as_str(), outcome.as_str(), cause];
        page.add(&metrics::OUTCOMES, &labels, count as f64);
    }
    for (outcome, count) in ["rich", "fallback", "excluded"].into_iter().zip(tally.served_outcomes()) {
        page.add_some(&metrics::SERVED_OUTCOMES, &[dependency, route, outcome], count);
    }
    let word = |rich| if rich { "rich" } else { "fallback" };
    for (v1, v2, count) in tally.pairs() {
        page.add_some(&metrics::PAIRS, &[dependency, route, word(v1), word(v2)], count);
    }
    for (reason, count) in tally.skips() {
        page.add_some(&metrics::SHADOW_SKIPPED, &[dependency, route, reason.as_str()], count);
    }
    for (direction, count) in tally.tunnelled_bytes() {
        page.add_some(&metrics::TUNNELLED, &[dependency, route, direction.as_str()], count);
    }
    page.add_some(&metrics::NOISE_CALLS, &[dependency, route], tally.noise_calls);
    for (cause, count) in tally.rescues() {
        page.add_some(&metrics::RESCUED, &[dependency, route, cause.as_str()], count);
    }
    for (result, count) in tally.reshapings() {
        page.add_some(&metrics::MAPPED, &[dependency, route, result.as_str()], count);
    }
}

fn lane_series(page: &mut Page, lane: &LaneCounts) {
    for result in LaneResult::ALL {
        page.add_some(&metrics::LANE_JOBS, &[result.as_str()], lane.counted(result));
    }
    for (id, is_poisoned) in lane.poisoned(Instant::now()) {
        let labels = [id.dependency.as_str(), id.route.as_str(), id.backend];
        page.add(&metrics::RULE_POISONED, &labels, f64::from(u8::from(is_poisoned)));
    }
}

fn refusal_series(page: &mut Page, counted: &Counted) {
    let mut sum = Tally::default();
    counted.dependencies.values().flat_map(|it| it.routes.values()).for_each(|tally| sum.merge(tally));
    for (reason, count) in sum.refusals() {
        page.add_some(&metrics::REFUSED, &[reason.as_str()], count);
    }
}

fn dependency_series(page: &mut Page, name: &str, dependency: &mut DependencyTotals, now: u64) {
    let mut sum = Tally::default();
    dependency.routes.values().for_each(|tally| sum.merge(tally));
    for (backend, role, histogram) in sum.durations().filter(|(.., histogram)| histogram.count() > 0) {
        let labels = [name, backend.as_str(), Role::as_str(role)];
        page.histogram(&metrics::BACKEND_DURATION, &labels, &BACKEND_BOUNDS, histogram);
    }
    for (backend, result, count) in sum.retries() {
        page.add_some(&metrics::RETRIES, &[name, backend.as_str(), result.as_str()], count);
    }
    for backend in Backend::ALL {
        for (outcome, count) in ["rich", "fallback", "excluded"].into_iter().zip(sum.first_tries(backend)) {
            page.add_some(&metrics::FIRST_TRY_OUTCOMES, &[name, backend.as_str(), outcome], count);
        }
    }
    for (reason, count) in sum.not_studied() {
        page.add_some(&metrics::STUDY_DROPPED, &[name, reason.as_str()], count);
    }
    page.histogram(&metrics::OVERHEAD, &[name], &OVERHEAD_BOUNDS, &sum.overhead);
    page.add(&metrics::IN_FLIGHT, &[name], sum.in_flight as f64);
    page.add(&metrics::SHADOW_IN_FLIGHT, &[name], sum.shadow_in_flight as f64);
    page.add(&metrics::SHADOW_MEMORY, &[name], sum.shadow_memory as f64);
    page.add(&metrics::IMBALANCE, &[name], sum.imbalance() as f64);
    let slo = dependency.rollout.as_ref().and_then(|rollout| rollout.slo);
    for (index, (window, _)) in WINDOWS.into_iter().enumerate() {
        for backend in Backend::ALL {
            let counts = dependency.backends[backend as usize].sum(now, index);
            window_series(page, &[name, backend.as_str(), window], counts, slo);
        }
        if let Some(rate) = dependency.served.sum(now, index).hit_rate() {
            page.add(&metrics::SERVED_HIT_RATIO, &[name, window], rate);
        }
    }
    let observed = dependency.primaries.sum(now, 0).hit_rate();
    if let Some(rollout) = &dependency.rollout {
        rollout_series(page, name, rollout, observed);
    }
    for ((verdict, reason), count) in &dependency.verdicts {
        page.add(&metrics::VERDICTS, &[name, verdict, reason], *count as f64);
    }
    for (reason, count) in &dependency.rollbacks {
        page.add(&metrics::ROLLBACKS, &[name, reason], *count as f64);
    }
    for (kind, count) in &dependency.changes {
        page.add(&metrics::ROLLOUT_CHANGES, &[name, kind], *count as f64);
    }
}

fn window_series(page: &mut Page, labels: &[&str], counts: Tallied, slo: Option<f64>) {
    if let Some(rate) = counts.hit_rate() {
        page.add(&metrics::HIT_RATIO, labels, rate);
    }
    if let Some(burn) = slo.and_then(|slo| counts.burn_rate(slo)) {
        page.add(&metrics::BURN_RATE, labels, burn);
    }
}

fn rollout_series(page: &mut Page, name: &str, rollout: &RolloutGauges, observed: Option<f64>) {
    if let Some(slo) = rollout.slo {
        page.add(&metrics::SLO_RATIO, &[name], slo);
    }
    page.add(&metrics::PERCENT, &[name, "ceiling"], rollout.ceiling.as_f64());
    page.add(&metrics::PERCENT, &[name, "allowed"], rollout.allowed.as_f64());
    page.add(&metrics::PERCENT, &[name, "effective"], rollout.effective.as_f64());
    if let Some(share) = observed {
        page.add(&metrics::PERCENT, &[name, "observed"], share * 100.0);
    }
    for stage in Stage::ALL {
        page.add(&metrics::STAGE, &[name, stage.as_str()], f64::from(u8::from(stage == rollout.stage)));
    }
    for phase in Phase::ALL {
        page.add(&metrics::PHASE, &[name, phase.as_str()], f64::from(u8::from(phase == rollout.phase)));
    }
    for backend in Backend::ALL {
        page.add(&metrics::GATE_SAMPLES, &[name, backend.as_str()], rollout.samples[backend as usize] as f64);
    }
}

fn process_series(page: &mut Page, process: &Process) {
    let values = [
        (&metrics::PROCESS_CPU, process.cpu_seconds),
        (&metrics::PROCESS_RSS, process.resident),
        (&metrics::PROCESS_VSZ, process.virtual_memory),
        (&metrics::PROCESS_FDS, process.open_fds),
        (&metrics::PROCESS_MAX_FDS, process.max_fds),
        (&metrics::PROCESS_START, process.start_time),
    ];
    for (metric, value) in values {
        if let Some(value) = value {
            page.add(metric, &[], value);
        }
    }
}

/// The families of a page, in the order of their first series.
#[derive(Default)]
struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    fn add_some(&mut self, metric: &'static Metric, labels: &[&str], count: u64) {
        if count > 0 {
            self.add(metric, labels, count as f64);
        }
    }

    fn add(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let mut series = labelled(metric, labels);
        match metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
            }
        }
        self.family(metric).mut_metric().push(series);
    }

    fn histogram(&mut self, metric: &'static Metric, labels: &[&str], bounds: &[f64], counted: &Histogram) {
        let buckets = bounds.iter().zip(counted.cumulative()).map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counted.count());
        histogram.set_sample_sum(counted.sum_seconds());
        let mut series = labelled(metric, labels);
        series.set_histogram(histogram);
        self.family(metric).mut_metric().push(series);
    }

    fn family(&mut self, metric: &'static Metric) -> &mut MetricFamily {
        let known = self.families.iter().position(|family| family.name() == metric.name);
        let at = known.unwrap_or_else(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(match metric.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            self.families.push(family);
            self.families.len() - 1
        });
        &mut self.families[at]
    }

    fn encode(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.families, &mut text).expect("every family has a series, and a Vec takes all");
        String::from_utf8(text).expect("the text format is UTF-8")
    }
}

fn labelled(metric: &Metric, labels: &[&str]) -> proto::Metric {
    debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
    let pairs = metric.labels.iter().zip(labels).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    proto::Metric::from_label(pairs.collect())
}
