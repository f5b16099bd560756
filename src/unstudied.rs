//! Why an exchange that was chosen to be studied was not: the closed set behind the label `reason`.

/// Why an exchange that was chosen to be studied was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Unstudied {
    /// Too many waited, because the study has used up its share of a core.
    Budget,
    /// Too many waited.
    Queue,
    /// There was no room for its bodies.
    Memory,
    /// The process is ending.
    Shutdown,
}

impl Unstudied {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Budget, Self::Queue, Self::Memory, Self::Shutdown];

    /// The name used in the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Queue => "queue",
            Self::Memory => "memory",
            Self::Shutdown => "shutdown",
        }
    }
}
