//! What `lift` answers.

use serde::{Deserialize, Serialize};

use crate::score::Lift;

/// One route: why V2 fell back on it in the last hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteLift {
    /// Its name.
    pub route: String,
    /// Why, and what mending would give.
    #[serde(flatten)]
    pub lift: Lift,
}
