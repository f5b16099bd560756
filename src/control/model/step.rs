//! What happens to the model.

use proptest::prelude::*;

use super::process::ENTRIES;
use crate::console::Verb;

/// One of the things that happen.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Ticks with so many requests each, of which V1 and V2 answer these percentages rich.
    Traffic {
        ticks: u64,
        requests: u32,
        v1: u32,
        rich: u32,
    },
    Edit(usize),
    Verb(Verb),
    /// V2 fails all it is asked for so many ticks.
    Drill(u32),
    /// The disk works until what it has is written, or is full and says so.
    Land {
        is_full: bool,
    },
    /// So many more operations of the disk, and the machine loses power; what was not flushed is there by this pattern. The
    /// disk may be away when the next process begins.
    Crash {
        operations: u64,
        survives: u64,
        is_away: bool,
    },
    /// A disk that is away comes back.
    Mount,
    /// The next process takes over, from a disk that may be full.
    HandOver {
        is_full: bool,
    },
    /// The calendar jumps by so many seconds.
    Jump(i64),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let share = || prop_oneof![4 => Just(100u32), 1 => 0u32..100];
    let traffic = (1u64..30, 0u32..40, share(), share());
    prop_oneof![
        8 => traffic.prop_map(|(ticks, requests, v1, rich)| Step::Traffic { ticks, requests, v1, rich }),
        2 => (0..ENTRIES.len()).prop_map(Step::Edit),
        2 => prop::sample::select(Verb::ALL.to_vec()).prop_map(Step::Verb),
        2 => (1u32..40).prop_map(Step::Drill),
        6 => prop::bool::weighted(0.2).prop_map(|is_full| Step::Land { is_full }),
        1 => (0u64..60, any::<u64>(), prop::bool::weighted(0.4))
            .prop_map(|(operations, survives, is_away)| Step::Crash { operations, survives, is_away }),
        1 => Just(Step::Mount),
        1 => prop::bool::weighted(0.2).prop_map(|is_full| Step::HandOver { is_full }),
        1 => (-200_000i64..200_000).prop_map(Step::Jump),
    ]
}
