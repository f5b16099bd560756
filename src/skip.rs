//! Why an eligible request had no scored shadow: the closed set behind the label `reason`.

/// Why an eligible request had no scored shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Skip {
    /// Its method is not in `shadow_methods`.
    Method,
    /// An upgrade or CONNECT: the connection itself is the answer.
    NotMirrorable,
    /// `sample` left it out.
    Sample,
    /// `shadow_in_flight` was reached.
    InFlight,
    /// More than 80 % of `max_in_flight` were in use.
    Overload,
    /// `shadow_memory` was reached.
    Memory,
    /// The body outgrew `shadow_backlog` before the backend took any of it.
    BodyTooLarge,
    /// The body could not be mapped to what the backend wants: the mapping fails on it, or it is no JSON.
    Unmappable,
    /// The backend fell behind the body by more than `shadow_backlog`.
    TooSlow,
    /// The consumer left before its request was complete.
    Aborted,
    /// The process ended first.
    Shutdown,
}

impl Skip {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 11] = [
        Self::Method,
        Self::NotMirrorable,
        Self::Sample,
        Self::InFlight,
        Self::Overload,
        Self::Memory,
        Self::BodyTooLarge,
        Self::Unmappable,
        Self::TooSlow,
        Self::Aborted,
        Self::Shutdown,
    ];

    /// The name used in the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::NotMirrorable => "not_mirrorable",
            Self::Sample => "sample",
            Self::InFlight => "in_flight",
            Self::Overload => "overload",
            Self::Memory => "memory",
            Self::BodyTooLarge => "body_too_large",
            Self::Unmappable => "unmappable",
            Self::TooSlow => "too_slow",
            Self::Aborted => "aborted",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whether our own limits dropped a copy that the rollout asked for: evidence that is missing, not excused.
    pub const fn is_shed(self) -> bool {
        matches!(
            self,
            Self::InFlight | Self::Overload | Self::Memory | Self::BodyTooLarge | Self::Unmappable | Self::TooSlow
        )
    }
}
