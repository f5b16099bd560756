//! What scoring costs, in time and allocations: by pointers, by jq, and by text, beside a full parse and jaq alone, at three
//! sizes in one run.

use bytes::Bytes;
use crossfade::score::{Answer, Body, JQ_STACK, Pattern, Pointer, Program, Rules, Scorer, TextRules};
use divan::{AllocProfiler, Bencher, black_box, counter::BytesCount};
use http::{HeaderMap, Method, StatusCode};
use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars};
use jaq_json::Val;

#[global_allocator]
static ALLOCATIONS: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    // Programs want the stack of the lane's threads.
    let thread = std::thread::Builder::new().stack_size(JQ_STACK).spawn(divan::main).expect("a thread");
    thread.join().expect("no panic");
}

/// Some 1, 16 and 256 KiB.
const ITEMS: [usize; 3] = [8, 133, 2_140];
const LONGER: &str = ".items | length > 2";
const EACH: &str = "all(.items[]; .stock.ok and .score < 1)";

/// A list of recommendations with numbers, flags, escapes and a nested object each.
fn document(items: usize) -> Bytes {
    let item = |n: usize| {
        format!(
            r#"{{"id":"{n:08}","score":0.{n:04},"title":"A \"quoted\" title","tags":["new","long tail"],"stock":{{"count":{n},"ok":true}}}}"#
        )
    };
    let items: Vec<_> = (0..items).map(item).collect();
    Bytes::from(format!(r#"{{"user":"u-1","items":[{}],"next":null,"source":"v2"}}"#, items.join(",\n  ")))
}

fn score(bencher: Bencher<'_, '_>, items: usize, rules: Rules) {
    let (scorer, headers, body) = (Scorer::new(rules), HeaderMap::new(), [document(items)]);
    let answer = Answer {
        method: &Method::GET,
        conditional: false,
        status: StatusCode::OK,
        headers: &headers,
        trailers: None,
        body: Body::Kept(&body),
        head_latency: std::time::Duration::ZERO,
        unmapped: false,
    };
    bencher.counter(BytesCount::new(body[0].len())).bench_local(|| scorer.score(black_box(&answer), 1 << 20));
}

fn jq(text: &str) -> Rules {
    Rules { rich: Some(Program::compile(text).expect("a program")), ..Rules::default() }
}

#[divan::bench(args = ITEMS)]
fn pointers(bencher: Bencher<'_, '_>, items: usize) {
    let pointers = |texts: &[&str]| texts.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
    let rules = Rules {
        required: pointers(&["/items", "/items/0/stock/count"]),
        non_empty: pointers(&["/items", "/source"]),
        ..Rules::default()
    };
    score(bencher, items, rules);
}

#[divan::bench(args = ITEMS)]
fn text(bencher: Bencher<'_, '_>, items: usize) {
    let text = TextRules {
        contains: vec!["\"source\"".to_owned()],
        lacks: vec!["<html".to_owned()],
        matches: vec![Pattern::parse("\"source\":\"v[0-9]\"").expect("a pattern")],
        ..TextRules::default()
    };
    score(bencher, items, Rules { text, ..Rules::default() });
}

#[divan::bench(args = ITEMS)]
fn jq_length(bencher: Bencher<'_, '_>, items: usize) {
    score(bencher, items, jq(LONGER));
}

#[divan::bench(args = ITEMS)]
fn jq_each_item(bencher: Bencher<'_, '_>, items: usize) {
    score(bencher, items, jq(EACH));
}

/// jaq as it comes: its own reader, no meter.
fn jaq(bencher: Bencher<'_, '_>, items: usize, text: &str) {
    let body = document(items);
    let arena = Arena::default();
    let defs = jaq_core::defs().chain(jaq_std::defs().filter(|def| DEFS.contains(&def.name)));
    let Ok(modules) = Loader::new(defs).load(&arena, File { code: text, path: () }) else { panic!("a program") };
    let funs = jaq_core::funs().chain(jaq_std::base_funs()).chain(jaq_json::funs());
    let Ok(filter) = Compiler::default().with_funs(funs).compile(modules) else { panic!("a program") };
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let input = jaq_json::read::parse_single(black_box(&body)).expect("JSON");
        let ctx = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
        filter.id.run((ctx, input)).next().is_some_and(|output| output.is_ok())
    });
}

/// Of jaq's library, what the two programs need: the rest calls functions that are not built here.
const DEFS: [&str; 1] = ["null"];

#[divan::bench(args = ITEMS)]
fn jaq_length(bencher: Bencher<'_, '_>, items: usize) {
    jaq(bencher, items, LONGER);
}

#[divan::bench(args = ITEMS)]
fn jaq_each_item(bencher: Bencher<'_, '_>, items: usize) {
    jaq(bencher, items, EACH);
}

/// A run that uses up its fuel: the longest that one can take.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn jq_out_of_fuel(bencher: Bencher<'_, '_>) {
    score(bencher, 2_140, jq("[.items[] as $a | .items[] as $b | $a.id == $b.id] | any"));
}

#[divan::bench(args = ITEMS)]
fn tree(bencher: Bencher<'_, '_>, items: usize) {
    let body = document(items);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)));
}
