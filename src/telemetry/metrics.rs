//! The catalogue: every metric with its type, labels and meaning. The README's table is the same list.

/// The type of a metric, as Prometheus knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// With its unit, in base units.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels; their values come from the configuration and from closed sets, never from a request.
    pub labels: &'static [&'static str],
    /// Its meaning in one sentence.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// Every metric, in the order of the README's table.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    REQUESTS = Counter "crossfade_requests_total" ["dependency", "route", "served_by", "code"] "Requests of consumers that have ended, by who answered and how.";
    OUTCOMES = Counter "crossfade_outcomes_total" ["dependency", "route", "backend", "role", "outcome", "cause"] "Answers of backends by what they were worth.";
    SERVED_OUTCOMES = Counter "crossfade_served_outcomes_total" ["dependency", "route", "outcome"] "Answers that consumers really got by what they were worth.";
    PAIRS = Counter "crossfade_pairs_total" ["dependency", "route", "v1", "v2"] "Requests that both backends answered with a scored answer, by both outcomes.";
    HIT_RATIO = Gauge "crossfade_hit_ratio" ["dependency", "backend", "window"] "Rich answers over rich and fallback answers; absent without samples.";
    SERVED_HIT_RATIO = Gauge "crossfade_served_hit_ratio" ["dependency", "window"] "The same ratio over the answers that consumers really got.";
    SLO_RATIO = Gauge "crossfade_slo_ratio" ["dependency"] "The lowest acceptable hit ratio.";
    BURN_RATE = Gauge "crossfade_burn_rate" ["dependency", "backend", "window"] "How fast the error budget burns: (1 - hit ratio) / (1 - SLO).";
    PERCENT = Gauge "crossfade_percent" ["dependency", "kind"] "Percent of bucketing keys served by V2: written (ceiling), permitted (allowed), in force (effective), seen in the last minute (observed).";
    STAGE = Gauge "crossfade_stage" ["dependency", "stage"] "1 for the stage in force, 0 for the others.";
    PHASE = Gauge "crossfade_phase" ["dependency", "phase"] "1 for the phase of the rollout, 0 for the others.";
    GATE_SAMPLES = Gauge "crossfade_gate_samples" ["dependency", "backend"] "Scored answers in the evidence of the present step.";
    VERDICTS = Counter "crossfade_verdicts_total" ["dependency", "verdict", "reason"] "Changes of the gate's verdict.";
    ROLLBACKS = Counter "crossfade_rollbacks_total" ["dependency", "reason"] "Rollbacks, by the gate or by hand.";
    ROLLOUT_CHANGES = Counter "crossfade_rollout_changes_total" ["dependency", "kind"] "Events that concern the rollout.";
    SHADOW_SKIPPED = Counter "crossfade_shadow_skipped_total" ["dependency", "route", "reason"] "Eligible requests without a scored shadow.";
    REFUSED = Counter "crossfade_refused_total" ["reason"] "Requests and connections that were refused.";
    RESCUED = Counter "crossfade_rescued_total" ["dependency", "route", "cause"] "Consumers that got V1's rich answer in place of V2's fallback.";
    MAPPED = Counter "crossfade_mapped_total" ["dependency", "route", "result"] "Answers for consumers of a V2 with a `response` mapping, by what became of them.";
    TUNNELLED = Counter "crossfade_tunnelled_bytes_total" ["dependency", "route", "direction"] "Bytes of connections that have left HTTP, such as web sockets.";
    ENDPOINT_HEALTHY = Gauge "crossfade_endpoint_healthy" ["dependency", "backend", "endpoint"] "1 while every worker uses the endpoint, 0 while one leaves it out after failures or its check fails.";
    LANE_JOBS = Counter "crossfade_lane_jobs_total" ["result"] "Runs of jq rules and of scoring that takes long, by what became of them.";
    RULE_POISONED = Gauge "crossfade_rule_poisoned" ["dependency", "route", "backend"] "1 while a rule is left alone because its last run did not end in time: answers are not scored by it.";
    RETRIES = Counter "crossfade_retries_total" ["dependency", "backend", "result"] "Further tries of a request after one that failed, and those that were wanted and not made.";
    FIRST_TRY_OUTCOMES = Counter "crossfade_first_try_outcomes_total" ["dependency", "backend", "outcome"] "Outcomes as they would have been without retries.";
    NOISE_CALLS = Counter "crossfade_noise_calls_total" ["dependency", "route"] "Second calls of V1 for the same request, to measure how far it differs from itself; in no other metric.";
    STUDY_DROPPED = Counter "crossfade_study_dropped_total" ["dependency", "reason"] "Exchanges that were chosen to be compared or sampled and were not.";
    BACKEND_DURATION = Histogram "crossfade_backend_duration_seconds" ["dependency", "backend", "role"] "Time from the call of a backend to the end of its answer's head.";
    OVERHEAD = Histogram "crossfade_overhead_seconds" ["dependency"] "Time a request spent in crossfade itself before its answer began: total less the primary's.";
    IN_FLIGHT = Gauge "crossfade_in_flight" ["dependency"] "Requests being answered.";
    SHADOW_IN_FLIGHT = Gauge "crossfade_shadow_in_flight" ["dependency"] "Shadows being called.";
    SHADOW_MEMORY = Gauge "crossfade_shadow_memory_bytes" ["dependency"] "Bytes of copies held for shadows and for scoring.";
    IMBALANCE = Gauge "crossfade_accounting_imbalance" ["dependency"] "Requests and shadows begun less ended; 0 at rest, or something was lost.";
    RELOADS = Counter "crossfade_config_reloads_total" ["file", "result"] "Attempts to apply a configuration file.";
    RELOAD_SUCCESSFUL = Gauge "crossfade_config_last_reload_successful" ["file"] "1 if the last attempt to apply the file succeeded.";
    RELOAD_TIMESTAMP = Gauge "crossfade_config_last_reload_success_timestamp_seconds" ["file"] "Unix time of the last successful application of the file.";
    LEDGER_WRITABLE = Gauge "crossfade_ledger_writable" [] "1 while the ledger can be written; at 0 nothing is promoted, and somebody should look at the disk.";
    LEDGER_WAITING = Gauge "crossfade_ledger_waiting_records" [] "Records that wait to be written to the ledger.";
    LEDGER_LOST = Counter "crossfade_ledger_lost_records_total" [] "Records that were given up because too many waited for the ledger.";
    PANICS = Counter "crossfade_panics_total" [] "Exchanges that panicked; each was a 500 for one consumer.";
    BUILD_INFO = Gauge "crossfade_build_info" ["version", "revision"] "1, labelled with the version and source revision of the binary.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "User and system CPU time spent.";
    PROCESS_RSS = Gauge "process_resident_memory_bytes" [] "Resident memory.";
    PROCESS_VSZ = Gauge "process_virtual_memory_bytes" [] "Virtual memory.";
    PROCESS_FDS = Gauge "process_open_fds" [] "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "Most open file descriptors.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "Start of the process, Unix time.";
}
