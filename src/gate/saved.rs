//! Evidence as it is written to disk, so that a restart of the process resumes the epoch.

use serde::{Deserialize, Serialize};

use super::attempts::Attempts;
use super::causes::Causes;
use super::clustering::Clustering;
use super::counts::Sums;
use super::detector::Detector;
use super::settings::Settings;

/// The finished evidence of one dependency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedEvidence {
    pub(super) slo: f64,
    pub(super) margin: f64,
    pub(super) floor: f64,
    /// How long the epoch had run.
    pub(super) elapsed_ticks: u64,
    pub(super) attempts: Attempts,
    pub(super) routes: Vec<SavedRoute>,
    /// In the same order.
    #[serde(default)]
    pub(super) causes: Vec<Causes>,
}

/// The finished evidence of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedRoute {
    pub(super) name: String,
    pub(super) evidence: RouteEvidence,
}

/// Sums, detectors and the measure of clustering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RouteEvidence {
    pub(super) finished: Sums,
    pub(super) clustering: Clustering,
    pub(super) fell: SavedDetector,
    pub(super) falling: SavedDetector,
    pub(super) worse: SavedDetector,
    pub(super) worsening: SavedDetector,
    pub(super) v1_fell: SavedDetector,
    pub(super) shared_outage: bool,
}

/// The stakes of one detector, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedDetector {
    stakes: Vec<f64>,
    budget: f64,
}

impl SavedEvidence {
    /// The evidence means the same under these settings.
    pub(super) fn is_for(&self, settings: &Settings) -> bool {
        self.slo.to_bits() == settings.params.slo.to_bits()
            && self.margin.to_bits() == settings.params.margin.to_bits()
            && self.floor.to_bits() == settings.floor.to_bits()
    }
}

impl<const K: usize> From<&Detector<K>> for SavedDetector {
    fn from(detector: &Detector<K>) -> Self {
        Self { stakes: detector.stakes.to_vec(), budget: detector.budget }
    }
}

impl SavedDetector {
    /// Back into a detector; what does not fit, or is no number of seconds, leaves it as it is.
    pub(super) fn restore<const K: usize>(&self, detector: &mut Detector<K>) {
        let is_sound = |x: &f64| x.is_finite() && *x >= 0.0;
        let Ok(stakes) = <[f64; K]>::try_from(self.stakes.as_slice()) else {
            return;
        };
        if stakes.iter().all(is_sound) && is_sound(&self.budget) {
            *detector = Detector { stakes, budget: self.budget };
        }
    }
}
