//! From the scores of the two legs of one request to their outcomes.

use http::StatusCode;

use crate::outcome::{Cause, Outcome};

/// What one answer is worth, seen alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// Every rule holds.
    Rich,
    /// The consumer would show its fallback.
    Fallback(Cause),
    /// In no hit rate.
    Excluded(Cause),
    /// The backend blames the request, with this status. Whether it is right depends on the other backend: [`settle`].
    ClientError(StatusCode),
}

impl Score {
    /// The outcome where only one backend was asked: a client error is believed.
    pub fn alone(self) -> Outcome {
        match self {
            Self::Rich => Outcome::Rich,
            Self::Fallback(cause) => Outcome::Fallback(cause),
            Self::Excluded(cause) => Outcome::Excluded(cause),
            Self::ClientError(_) => Outcome::Excluded(Cause::ClientError),
        }
    }

    /// The outcome beside the other backend's score: a client error is disbelieved where the other backend could answer
    /// (or failed in a way of its own), since the two disagree about the request.
    fn beside(self, other: Option<Self>) -> Outcome {
        match (self, other) {
            (Self::ClientError(_), Some(Self::Rich | Self::Fallback(_))) => Outcome::Fallback(Cause::Status),
            _ => self.alone(),
        }
    }
}

/// Turns the scores of one request into outcomes; `None` for a backend that was not asked.
///
/// A client error (400, 404, 405, 409, 410, 412 to 417, 422, 429) is excluded when both
/// backends report one, even with different statuses, or when only one was asked; else it is a fallback, cause `status`.
/// An excluded leg is no witness: beside it, the other counts as asked alone.
pub fn settle(v1: Option<Score>, v2: Option<Score>) -> (Option<Outcome>, Option<Outcome>) {
    (v1.map(|score| score.beside(v2)), v2.map(|score| score.beside(v1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_FOUND: Score = Score::ClientError(StatusCode::NOT_FOUND);
    const GONE: Score = Score::ClientError(StatusCode::GONE);
    const ABORTED: Score = Score::Excluded(Cause::Aborted);
    const RESET: Score = Score::Fallback(Cause::Reset);

    #[test]
    fn client_errors_are_excluded_only_where_nobody_contradicts() {
        let excluded = Some(Outcome::Excluded(Cause::ClientError));
        let disbelieved = Some(Outcome::Fallback(Cause::Status));
        let reset = Some(Outcome::Fallback(Cause::Reset));
        let aborted = Some(Outcome::Excluded(Cause::Aborted));
        let rich = Some(Outcome::Rich);
        let table = [
            ((Some(NOT_FOUND), Some(NOT_FOUND)), (excluded, excluded)),
            ((Some(NOT_FOUND), Some(GONE)), (excluded, excluded)),
            ((Some(NOT_FOUND), None), (excluded, None)),
            ((None, Some(NOT_FOUND)), (None, excluded)),
            ((Some(Score::Rich), Some(NOT_FOUND)), (rich, disbelieved)),
            ((Some(NOT_FOUND), Some(Score::Rich)), (disbelieved, rich)),
            ((Some(RESET), Some(NOT_FOUND)), (reset, disbelieved)),
            ((Some(ABORTED), Some(NOT_FOUND)), (aborted, excluded)),
            ((Some(Score::Rich), Some(RESET)), (rich, reset)),
            ((None, None), (None, None)),
        ];
        for ((v1, v2), expected) in table {
            assert_eq!(settle(v1, v2), expected, "v1 {v1:?}, v2 {v2:?}");
        }
    }
}
