//! What mapping costs, and what it allocates: beside a full parse to a tree, the same moves in the tree, and serialisation.

use bytes::Bytes;
use crossfade::score::{Answer, Body, Mapping, Place, Pointer, Rules, Scorer};
use divan::{AllocProfiler, Bencher, black_box, counter::BytesCount};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Some 1, 16 and 256 KiB.
const ITEMS: [usize; 3] = [8, 133, 2_140];
/// A list and a name that V2 has moved.
const MOVED: [(&str, &str); 2] = [("/items", "/results"), ("/customer/name", "/person/fullName")];
/// The same list, whose elements have changed as well.
const RENAMED: [(&str, &str); 2] = [("/items", "/results"), ("/items/*/name", "/results/*/title")];

/// A list of recommendations with numbers, flags, escapes and a nested object each.
fn document(items: usize) -> Bytes {
    let item = |n: usize| {
        format!(
            r#"{{"id":"{n:08}","score":0.{n:04},"title":"A \"quoted\" title","tags":["new","long tail"],"stock":{{"count":{n},"ok":true}}}}"#
        )
    };
    let items: Vec<_> = (0..items).map(item).collect();
    let head = r#"{"person":{"fullName":"Ann","age":30},"next":null"#;
    Bytes::from(format!(r#"{head},"results":[{}],"source":"v2"}}"#, items.join(",\n  ")))
}

fn mapping(pairs: &[(&str, &str)]) -> Mapping {
    let place = |text: &str| Place::parse(text).expect("a place");
    let pairs: Vec<_> = pairs.iter().map(|(to, from)| (place(to), place(from))).collect();
    Mapping::new(&pairs).expect("a mapping")
}

fn map(bencher: Bencher<'_, '_>, items: usize, pairs: &[(&str, &str)]) {
    let (mapping, body) = (mapping(pairs), document(items));
    let bencher = bencher.counter(BytesCount::new(body.len()));
    bencher.bench_local(|| mapping.apply(black_box(&body)).expect("mapped").len());
}

#[divan::bench(args = ITEMS)]
fn two_places(bencher: Bencher<'_, '_>, items: usize) {
    map(bencher, items, &MOVED);
}

#[divan::bench(args = ITEMS)]
fn every_element(bencher: Bencher<'_, '_>, items: usize) {
    map(bencher, items, &RENAMED);
}

#[divan::bench(args = ITEMS)]
fn two_places_in_a_tree(bencher: Bencher<'_, '_>, items: usize) {
    let body = document(items);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let mut tree: Value = serde_json::from_slice(black_box(&body)).expect("JSON");
        let items = tree["results"].take();
        tree["items"] = items;
        tree["customer"] = serde_json::json!({ "name": tree["person"]["fullName"].take() });
        serde_json::to_vec(&tree).expect("JSON").len()
    });
}

fn score(bencher: Bencher<'_, '_>, items: usize, mapping: Option<Mapping>, places: &[&str]) {
    let required = places.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
    let unmapped = mapping.is_some();
    let scorer = Scorer::new(Rules { required, ..Rules::default() }).with_mapping(mapping.map(Into::into));
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = [document(items)];
    let answer = Answer {
        method: &Method::GET,
        conditional: false,
        status: StatusCode::OK,
        headers: &headers,
        trailers: None,
        body: Body::Kept(&body),
        head_latency: std::time::Duration::ZERO,
        unmapped,
    };
    bencher.counter(BytesCount::new(body[0].len())).bench_local(|| scorer.score(black_box(&answer), 1 << 20));
}

#[divan::bench(args = ITEMS)]
fn score_two_places(bencher: Bencher<'_, '_>, items: usize) {
    score(bencher, items, Some(mapping(&MOVED)), &["/items", "/items/0/stock/count", "/customer/name", "/source"]);
}

#[divan::bench(args = ITEMS)]
fn score_without_mapping(bencher: Bencher<'_, '_>, items: usize) {
    score(bencher, items, None, &["/results", "/results/0/stock/count", "/person/fullName", "/source"]);
}
