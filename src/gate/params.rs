//! What a release manager may say about the gate, with all defaults in one place.

/// Which evidence a promotion needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Basis {
    /// V2 meets the SLO (`judge = "slo"`).
    Slo,
    /// V2 is not worse than V1 by more than the margin (`judge = "v1"`).
    V1,
    /// Both (`judge = "both"`).
    #[default]
    Both,
}

/// The parameters of one dependency's gate. Times are seconds, shares are fractions of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Lowest acceptable hit rate, in `0.0..1.0`, both ends excluded.
    pub slo: f64,
    /// Chance that a promotion is right about "above the SLO so far"; alpha = 1 - confidence.
    pub confidence: f64,
    /// V2 may be at most this much below V1.
    pub margin: f64,
    /// Which evidence a promotion needs.
    pub basis: Basis,
    /// A rollback needs a hit rate below slo - tolerance.
    pub tolerance: f64,
    /// Never promote on fewer requests.
    pub min_samples: u64,
    /// At most one unjustified rollback in this much healthy running, seconds.
    pub false_rollback_every_s: f64,
    /// Extra chance of an unjustified rollback at a step's start.
    pub start_risk: f64,
    /// An outage much shorter than this freezes, but does not roll back; 0: rolls back at once. Seconds. A bound on how fast
    /// evidence against V2 may count, with a reserve, and no timer: some 0.7 of it suffice where V2 fails all of much traffic.
    pub blip_s: f64,
    /// Share of eligible requests that must have been scored.
    pub coverage: f64,
    /// Silence longer than this is insufficient data, seconds.
    pub stale_after_s: f64,
    /// An outcome not known by then is a fallback, seconds: V2's `timeout`.
    pub deadline_s: f64,
    /// Below its SLO but measurably no worse than V1: freeze instead of rolling back.
    pub only_if_v1_better: bool,
    /// Misses cluster: measure by how much, and ask for more evidence accordingly.
    pub overdispersion: bool,
}

impl Params {
    /// The defaults of `rollout.toml` for an SLO.
    pub fn for_slo(slo: f64) -> Self {
        Self {
            slo,
            confidence: 0.99,
            margin: 0.01,
            basis: Basis::Both,
            tolerance: 0.2 * (1.0 - slo),
            min_samples: 200,
            false_rollback_every_s: 30.0 * 86_400.0,
            start_risk: 0.001,
            blip_s: 3.0,
            coverage: 0.95,
            stale_after_s: 30.0,
            deadline_s: 5.0,
            only_if_v1_better: true,
            overdispersion: true,
        }
    }
}
