//! What a worker's counting costs: what one request adds to its worker's tally, beside what it tells the gate alone, and
//! the tick that the gate makes of it.
//!
//! The tally of a warm worker: its tables exist, and the gate's counts of the present tick have been begun. A worker hands
//! its tally over ten times a second and begins another one; `a_tenth_of_a_second` has that in it.

use std::hint::black_box;
use std::time::Duration;

use crossfade::backend::{Backend, Role};
use crossfade::gate::{Judge, Params};
use crossfade::outcome::{Cause, Outcome};
use crossfade::telemetry::{Code, ServedBy, Tally};
use divan::{Bencher, counter::ItemsCount};

/// Shows what allocates: recording and ticking do not, a fresh tally does.
#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

/// Requests that one worker ends between two reports, at 5000 a second.
const BETWEEN_REPORTS: u32 = 500;

fn main() {
    divan::main();
}

/// One observation: V2's outcome, the pair it makes, and the gate's count of both.
fn observe(tally: &mut Tally, tick: u64, v2: Outcome) {
    let is_rich = v2 == Outcome::Rich;
    tally.outcome(Backend::V2, Role::Shadow, v2);
    tally.pair(true, is_rich);
    let counts = tally.cohort(tick);
    counts.started += 1;
    counts.rich += u32::from(is_rich);
    counts.fallback += u32::from(!is_rich);
    counts.concordant += u32::from(is_rich);
    counts.v2_worse += u32::from(!is_rich);
}

/// Everything that is counted of one mirrored request, from its head to its end.
fn whole_request(tally: &mut Tally, tick: u64, v2: Outcome) {
    tally.received += 1;
    tally.in_flight += 1;
    tally.eligible += 1;
    tally.shadow_in_flight += 1;
    tally.outcome(Backend::V1, Role::Primary, Outcome::Rich);
    tally.first_try(Backend::V1, Outcome::Rich);
    tally.served(Outcome::Rich);
    tally.cohort(tick).v1_rich += 1;
    tally.duration(Backend::V1, Role::Primary, Duration::from_micros(black_box(2_300)));
    observe(tally, tick, v2);
    tally.first_try(Backend::V2, v2);
    tally.duration(Backend::V2, Role::Shadow, Duration::from_micros(black_box(3_100)));
    tally.overhead(Duration::from_micros(black_box(40)));
    tally.request(ServedBy::Backend(Backend::V1), Code::Success);
    tally.shadow_in_flight -= 1;
    tally.in_flight -= 1;
}

/// A worker's tally in the middle of tick 1.
fn warm() -> Tally {
    let mut tally = Tally::default();
    for tick in [0, 1] {
        whole_request(&mut tally, tick, Outcome::Rich);
    }
    tally
}

/// One fallback among twenty answers, in no pattern that a branch predictor could learn at once.
fn outcome(number: u32) -> Outcome {
    let is_fallback = number.wrapping_mul(0x9e37_79b9) >> 16 < 3_277;
    if is_fallback { Outcome::Fallback(Cause::Empty) } else { Outcome::Rich }
}

#[divan::bench]
fn one_observation(bencher: Bencher<'_, '_>) {
    let (mut tally, mut number) = (warm(), 0_u32);
    bencher.bench_local(|| {
        number = number.wrapping_add(1);
        observe(black_box(&mut tally), black_box(1), outcome(number));
    });
}

/// As the one above, of a request that began in the tick before.
#[divan::bench]
fn one_late_observation(bencher: Bencher<'_, '_>) {
    let (mut tally, mut number) = (warm(), 0_u32);
    bencher.bench_local(|| {
        number = number.wrapping_add(1);
        observe(black_box(&mut tally), black_box(0), outcome(number));
    });
}

#[divan::bench]
fn whole_mirrored_request(bencher: Bencher<'_, '_>) {
    let (mut tally, mut number) = (warm(), 0_u32);
    bencher.bench_local(|| {
        number = number.wrapping_add(1);
        whole_request(black_box(&mut tally), black_box(1), outcome(number));
    });
}

/// A fresh tally, what is counted in it, and its addition to the sum that Prometheus shows. Time per request.
#[divan::bench]
fn a_tenth_of_a_second(bencher: Bencher<'_, '_>) {
    let mut totals = warm();
    bencher.counter(ItemsCount::new(BETWEEN_REPORTS)).bench_local(|| {
        let mut tally = Box::<Tally>::default();
        for number in 0..BETWEEN_REPORTS {
            observe(black_box(&mut tally), black_box(1), outcome(number));
        }
        totals.merge(&tally);
    });
}

/// The gate takes one worker's counts of a tick, and judges.
#[divan::bench]
fn the_gate_takes_a_report_and_ticks(bencher: Bencher<'_, '_>) {
    let mut judge = Judge::new(&Params::for_slo(0.95), &["list".to_owned()]);
    let mut tally = Tally::default();
    for number in 0..50 {
        observe(&mut tally, 0, outcome(number));
    }
    let counts = tally.cohorts()[0].1;
    let mut tick = 0;
    let mut beat = move || {
        judge.observe(0, tick, black_box(&counts));
        tick += 1;
        judge.tick(tick).is_some()
    };
    for _ in 0..600 {
        beat();
    }
    bencher.bench_local(beat);
}
