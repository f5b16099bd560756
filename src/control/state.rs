//! What survives the process: saved at once where the gate's permission changes, and every few seconds besides.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::migration::SavedMigration;
use crate::revision::Revision;
use crate::store::{self, StateError};

/// What survives the process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) revision: Revision,
    pub(super) last_event: u64,
    /// The last valid rollout file.
    pub(super) rollout: String,
    pub(super) migrations: BTreeMap<String, SavedMigration>,
}

/// What was saved. A damaged state is no permission for anything, and no reason to refuse traffic either: it is set aside, and
/// every rollout begins at 0 percent.
pub(super) fn restore(path: &Path) -> Result<Option<Saved>, StateError> {
    match store::load(path) {
        Err(error @ StateError::Damaged { .. }) => {
            let aside = store::set_aside(path)?;
            tracing::error!("{error}; it is now {}, and every rollout starts from no evidence at 0 %", aside.display());
            Ok(None)
        }
        loaded => loaded,
    }
}

/// Saves off the control plane's thread; the error is told with its causes.
pub(super) async fn save(path: std::path::PathBuf, state: Saved) -> Result<(), String> {
    match tokio::task::spawn_blocking(move || store::save(&path, &state)).await {
        Ok(saved) => saved.map_err(|error| chain(&error)),
        Err(error) => Err(error.to_string()),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
