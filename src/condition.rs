//! How the endpoints of backends are: workers and checks say so, metrics show it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Which endpoint; all three are labels, and come from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointId {
    /// The name of the dependency.
    pub dependency: String,
    /// `v1` or `v2`.
    pub backend: &'static str,
    /// Host and port as configured.
    pub endpoint: String,
}

/// How one endpoint is, as far as the process knows.
#[derive(Debug, Default)]
pub struct Condition {
    left_out_by: AtomicUsize,
    failing: AtomicBool,
    complaint: Mutex<String>,
}

impl Condition {
    /// One more worker leaves it out.
    pub fn leave_out(&self) {
        self.left_out_by.fetch_add(1, Ordering::Relaxed);
    }

    /// One worker less leaves it out.
    pub fn take_back(&self) {
        self.left_out_by.fetch_sub(1, Ordering::Relaxed);
    }

    /// What the check says.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// Whether the check says that it is not well.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// What is wrong with new connections to it, `None` when nothing is; whether that is something else than before, and so
    /// worth saying. Not for the path of every request.
    pub fn complain(&self, wrong: Option<String>) -> bool {
        // The text is replaced whole: a panic in between leaves nothing to repair.
        let mut known = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = wrong.unwrap_or_default();
        let is_news = *known != wrong && !wrong.is_empty();
        *known = wrong;
        is_news
    }

    /// Whether every worker uses it.
    pub fn is_healthy(&self) -> bool {
        !self.is_failing() && self.left_out_by.load(Ordering::Relaxed) == 0
    }
}

/// The condition of every endpoint that somebody uses. Bounded by the configuration.
#[derive(Debug, Default)]
pub struct Conditions(Mutex<BTreeMap<EndpointId, Weak<Condition>>>);

impl Conditions {
    /// The condition of one endpoint; the same one for whoever asks, as long as anybody holds it.
    pub fn of(&self, id: EndpointId) -> Arc<Condition> {
        // Entries are replaced whole: a panic in between leaves nothing to repair.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = known.get(&id).and_then(Weak::upgrade);
        held.unwrap_or_else(|| {
            let new = Arc::default();
            known.insert(id, Arc::downgrade(&new));
            new
        })
    }

    /// Every endpoint that is in use, and whether it is healthy.
    pub fn all(&self) -> Vec<(EndpointId, bool)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, condition| condition.strong_count() > 0);
        let each = known.iter().filter_map(|(id, condition)| Some((id.clone(), condition.upgrade()?.is_healthy())));
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_once_until_it_is_mended() {
        let condition = Condition::default();
        let said = [Some("a"), Some("a"), Some("b"), None, None, Some("b")]
            .map(|wrong| condition.complain(wrong.map(str::to_owned)));
        assert_eq!(said, [true, false, true, false, false, true]);
    }

    #[test]
    fn an_endpoint_is_shown_as_long_as_somebody_uses_it() {
        let conditions = Conditions::default();
        let id = EndpointId { dependency: "a".to_owned(), backend: "v2", endpoint: "b:80".to_owned() };
        let (one, other) = (conditions.of(id.clone()), conditions.of(id.clone()));
        one.leave_out();
        assert_eq!(conditions.all(), [(id.clone(), false)]);
        other.take_back();
        assert_eq!(conditions.all(), [(id.clone(), true)]);
        other.set_failing(true);
        assert_eq!(conditions.all(), [(id, false)]);
        drop((one, other));
        assert_eq!(conditions.all(), []);
    }
}
