//! One request in the books: received once, ended once, however it ends.

use std::rc::Rc;

use http::StatusCode;

use super::interim::Expected;
use super::view::RouteView;
use crate::refusal::Refusal;
use crate::telemetry::{Code, ServedBy};

/// A request that was received and has not ended. Dropped without an end, it was aborted.
pub(super) struct Account {
    route: Rc<RouteView>,
    served_by: ServedBy,
    expected: Option<Expected>,
    probe: bool,
    ended: bool,
}

impl Account {
    /// Counts a request as received.
    pub(super) fn open(route: &Rc<RouteView>) -> Self {
        let mut tally = route.tally();
        tally.received += 1;
        tally.in_flight += 1;
        drop(tally);
        Self { route: Rc::clone(route), served_by: ServedBy::Nobody, expected: None, probe: false, ended: false }
    }

    /// From here on, an early end is this one's.
    pub(super) const fn served_by(&mut self, served_by: ServedBy) {
        self.served_by = served_by;
    }

    /// The answer that content is held back for.
    pub(super) fn expects(&mut self, answer: Option<Expected>) {
        self.expected = answer;
    }

    /// Counts why it is refused.
    pub(super) fn refuse(&self, reason: Refusal) {
        self.route.tally().refuse(reason);
    }

    /// Nobody's key led to this request: it is no part of what was observed.
    pub(super) const fn is_probe(&mut self) {
        self.probe = true;
    }

    /// The answer is complete.
    pub(super) fn close(mut self, status: StatusCode) {
        self.end(Code::of(status));
    }

    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            self.expected = None;
            let mut tally = self.route.tally();
            tally.in_flight -= 1;
            tally.request(self.served_by, code);
            if self.probe {
                tally.probe(self.served_by);
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.end(Code::Aborted);
    }
}
