//! What became of the wish to ask a backend once more: the closed set behind the label `result`.

/// What became of the wish to ask a backend once more, after a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Retry {
    /// It was asked, and gave an answer that is no reason for another try.
    Success,
    /// It was asked, and failed again.
    Failure,
    /// Not asked: the budget was spent.
    OverBudget,
    /// Not asked: the pause, or what `Retry-After` asks for, reaches beyond the deadline.
    TooLate,
    /// Not asked: a part of the body was sent that was too large to keep.
    BodyGone,
}

impl Retry {
    /// All results, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Success, Self::Failure, Self::OverBudget, Self::TooLate, Self::BodyGone];

    /// The name used in the label `result`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::OverBudget => "over_budget",
            Self::TooLate => "too_late",
            Self::BodyGone => "body_gone",
        }
    }
}
