//! The numbers behind a verdict, in words, and whether they suffice.

use super::counts::share;
use super::scene::{Stop, require};
use crate::console::{Evidence, VerdictStatus};
use crate::hit_rate::Tallied;

/// `min_samples` in the rollout file.
const MIN_SAMPLES: u64 = 200;

/// `rollback (worse_than_v1)`
pub(super) fn in_words(verdict: &VerdictStatus) -> String {
    format!("{} ({})", verdict.verdict, verdict.reason)
}

/// `V2 98.1 % of 1040 requests (96.2 to 99.2 %), evidence 7.1 of 6.4`
pub(super) fn by_slo(evidence: &Evidence) -> String {
    let Evidence { samples, log_e, log_e_need, .. } = *evidence;
    let rate = evidence.hit_rate.map_or_else(|| "without a hit rate".to_owned(), share);
    let (lo, hi) = (evidence.lo * 100.0, share(evidence.hi));
    format!("V2 {rate} of {samples} requests ({lo:.1} to {hi}), evidence {log_e:.1} of {log_e_need:.1}")
}

/// `V2 better on 225 requests, worse on 9, evidence 126.8 of 6.4`
pub(super) fn comparison(evidence: &Evidence) -> String {
    let Evidence { v2_better, v2_worse, log_e_pairs, log_e_need, .. } = *evidence;
    format!("V2 better on {v2_better} requests, worse on {v2_worse}, evidence {log_e_pairs:.1} of {log_e_need:.1}")
}

/// V1's answers on this step.
pub(super) fn v1_of(evidence: &Evidence) -> Tallied {
    tallied(evidence.v1_samples, evidence.v1_hit_rate)
}

/// V2's answers on this step.
pub(super) fn v2_of(evidence: &Evidence) -> Tallied {
    tallied(evidence.samples, evidence.hit_rate)
}

fn tallied(samples: u64, hit_rate: Option<f64>) -> Tallied {
    let rich = (hit_rate.unwrap_or(0.0) * samples as f64).round() as u64;
    Tallied { rich, fallback: samples.saturating_sub(rich) }
}

/// Both kinds of evidence suffice for a promotion, and there are requests enough.
pub(super) fn require_proof(evidence: &Evidence) -> Result<(), Stop> {
    let weaker = evidence.log_e.min(evidence.log_e_pairs);
    let holds = evidence.samples >= MIN_SAMPLES && evidence.log_e_need > 0.0 && weaker >= evidence.log_e_need;
    let expected = "a promotion on 200 requests or more, with all the evidence it needs";
    require(holds, expected, format!("{}; {}", by_slo(evidence), comparison(evidence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_without_evidence_is_no_proof() {
        let proof = Evidence { samples: 200, log_e: 5.0, log_e_pairs: 6.0, log_e_need: 4.6, ..Evidence::default() };
        assert!(require_proof(&proof).is_ok());
        assert!(require_proof(&Evidence::default()).is_err());
        assert!(require_proof(&Evidence { samples: 199, ..proof }).is_err());
        assert!(require_proof(&Evidence { log_e: 4.5, ..proof }).is_err());
        assert!(require_proof(&Evidence { log_e_pairs: 4.5, ..proof }).is_err());
    }

    #[test]
    fn a_rate_becomes_the_counts_that_it_was_made_of() {
        assert_eq!(tallied(1066, Some(838.0 / 1066.0)), Tallied { rich: 838, fallback: 228 });
        assert_eq!(tallied(0, None), Tallied::default());
    }
}
