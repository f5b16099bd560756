//! What scoring costs: the probe beside a full parse, at three sizes.

use bytes::Bytes;
use crossfade::score::{Answer, Body, Pointer, Rules, Scorer};
use divan::{Bencher, black_box, counter::BytesCount};
use http::{HeaderMap, Method, StatusCode};

fn main() {
    divan::main();
}

/// Some 1, 16 and 256 KiB.
const ITEMS: [usize; 3] = [8, 133, 2_140];

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

fn rules() -> Rules {
    let pointers = |texts: &[&str]| texts.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
    Rules {
        required: pointers(&["/items", "/items/0/stock/count"]),
        non_empty: pointers(&["/items", "/source"]),
        ..Rules::default()
    }
}

#[divan::bench(args = ITEMS)]
fn probe(bencher: Bencher<'_, '_>, items: usize) {
    let (scorer, headers, body) = (Scorer::new(rules()), HeaderMap::new(), [document(items)]);
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

#[divan::bench(args = ITEMS)]
fn tree(bencher: Bencher<'_, '_>, items: usize) {
    let body = document(items);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)));
}
