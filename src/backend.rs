//! The two sides of a migration, and the part a side plays in one request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the two versions of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The version that is being left.
    V1,
    /// The version that traffic moves to.
    V2,
}

impl Backend {
    /// Both backends, V1 first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The other backend.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::V1 => Self::V2,
            Self::V2 => Self::V1,
        }
    }

    /// The name used in configuration, labels and headers: `v1` or `v2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part a backend plays for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Its answer goes to the consumer.
    Primary,
    /// It is called only to be scored.
    Shadow,
    /// Called by hand, before any customer is involved; never feeds the gate.
    Probe,
}

impl Role {
    /// All roles, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Shadow, Self::Probe];

    /// The name used in labels and in the `crossfade-role` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Shadow => "shadow",
            Self::Probe => "probe",
        }
    }
}
