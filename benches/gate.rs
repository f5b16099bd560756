//! What the gate costs: an observation, a tick of many routes, an interval.

use std::hint::black_box;

use crossfade::gate::{Counts, Judge, Params, interval};
use divan::{Bencher, counter::ItemsCount};

/// Shows that observing and ticking allocate nothing.
#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// A judge with a minute of traffic on every route, and the tick it has reached.
fn warm(routes: usize) -> (Judge, u64) {
    let names: Vec<String> = (0..routes).map(|route| format!("route-{route}")).collect();
    let mut judge = Judge::new(&Params::for_slo(0.95), &names);
    for tick in 0..600 {
        busy(&mut judge, routes, tick);
        judge.tick(tick + 1);
    }
    (judge, 600)
}

fn busy(judge: &mut Judge, routes: usize, tick: u64) {
    let fallback = u32::from(tick.is_multiple_of(4));
    let counts = Counts {
        started: 10,
        rich: 10 - fallback,
        fallback,
        v1_rich: 10,
        v2_worse: fallback,
        concordant: 10 - fallback,
        ..Counts::default()
    };
    for route in 0..routes {
        judge.observe(route, tick, &counts);
    }
}

#[divan::bench]
fn observe(bencher: Bencher<'_, '_>) {
    let (mut judge, tick) = warm(1);
    let counts = Counts { started: 1, rich: 1, ..Counts::default() };
    bencher.bench_local(|| judge.observe(0, tick, black_box(&counts)));
}

#[divan::bench(args = [1, 10, 100, 1000])]
fn tick_with_news_on_every_route(bencher: Bencher<'_, '_>, routes: usize) {
    let (mut judge, mut tick) = warm(routes);
    bencher.counter(ItemsCount::new(routes)).bench_local(|| {
        busy(&mut judge, routes, tick);
        tick += 1;
        judge.tick(tick).is_some()
    });
}

#[divan::bench(args = [1000])]
fn tick_with_news_on_one_route(bencher: Bencher<'_, '_>, routes: usize) {
    let (mut judge, mut tick) = warm(routes);
    bencher.bench_local(|| {
        busy(&mut judge, 1, tick);
        tick += 1;
        judge.tick(tick).is_some()
    });
}

#[divan::bench(args = [1000])]
fn tick_in_silence(bencher: Bencher<'_, '_>, routes: usize) {
    let (mut judge, mut tick) = warm(routes);
    bencher.bench_local(|| {
        tick += 1;
        judge.tick(tick).is_some()
    });
}

#[divan::bench]
fn one_interval() -> f64 {
    interval(black_box(9_640), black_box(360), 1.0, 0.99).lo
}
