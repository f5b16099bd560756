//! Counting a request and judging it take no memory. A process of its own: the allocator counts for all of it.

use std::alloc::System;

use crossfade::backend::{Backend, Role};
use crossfade::gate::{Counts, Judge, Params};
use crossfade::outcome::{Cause, Outcome};
use crossfade::telemetry::Tally;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations, and allocations made larger, while something is done.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

/// One request as a worker counts it.
fn record(tally: &mut Tally, tick: u64, outcome: Outcome) {
    let is_rich = outcome == Outcome::Rich;
    tally.outcome(Backend::V2, Role::Shadow, outcome);
    tally.first_try(Backend::V2, outcome);
    tally.pair(true, is_rich);
    let counts = tally.cohort(tick);
    counts.started += 1;
    counts.v1_rich += 1;
    *if is_rich { &mut counts.rich } else { &mut counts.fallback } += 1;
    *if is_rich { &mut counts.concordant } else { &mut counts.v2_worse } += 1;
}

/// In one test, since tests of one process run side by side.
#[test]
fn recording_an_outcome_observing_it_and_a_tick_of_a_thousand_routes_allocate_nothing() {
    let outcomes = [Outcome::Rich, Outcome::Fallback(Cause::Slow)];
    let mut tally = Tally::default();
    for outcome in outcomes {
        record(&mut tally, 7, outcome);
    }
    let recording = allocations(|| {
        for request in 0..1000 {
            record(&mut tally, 7, outcomes[usize::from(request % 20 == 0)]);
        }
    });
    assert_eq!(recording, 0, "for a thousand outcomes");

    let names: Vec<String> = (0..1000).map(|route| format!("route-{route}")).collect();
    let mut judge = Judge::new(&Params::for_slo(0.95), &names);
    let rich = Counts { started: 20, rich: 20, v1_rich: 20, concordant: 20, ..Counts::default() };
    let worse = Counts { rich: 12, fallback: 8, concordant: 12, v2_worse: 8, ..rich };
    let judging = allocations(|| {
        // Through a rollback of one of the routes.
        for tick in 0..200 {
            for route in 0..names.len() {
                let counts = if tick > 150 && route == 500 { &worse } else { &rich };
                judge.observe(route, tick, counts);
                judge.blame(route, Cause::Slow, counts.fallback);
            }
            judge.tick(tick + 1);
        }
    });
    assert_eq!(judging, 0, "for 200 000 observations and 200 ticks");
}
