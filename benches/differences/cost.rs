//! What one pair costs: comparing it, and a study's taking it in, at three sizes.

use crossfade::score::diff::{Comparer, Content, Options, Study};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use serde_json::{Value, json};

use crate::stream::reply;

/// Elements of documents of some 1, 16 and 256 KiB.
const ITEMS: [usize; 3] = [8, 126, 2000];

fn document(items: usize, call: usize) -> Value {
    let item = |at: usize| {
        json!({"id": format!("{at:08}"), "score": at as f64 / 7.0, "title": format!("title number {at}"),
            "tags": ["new", "long tail"], "stock": {"count": at, "ok": true}, "at": format!("2026-11-20T08:00:{call:02}Z")})
    };
    json!({"user": "u-1", "items": (0..items).map(item).collect::<Vec<_>>(), "next": null, "source": "v1"})
}

fn bytes(document: &Value) -> BytesCount {
    BytesCount::new(document.to_string().len())
}

/// Two answers that say the same.
#[divan::bench(args = ITEMS)]
fn compare_equal(bencher: Bencher<'_, '_>, items: usize) {
    let (v1, v2, comparer) = (document(items, 1), document(items, 1), Comparer::default());
    bencher.counter(bytes(&v1)).bench_local(|| comparer.compare(black_box(&v1), black_box(&v2)));
}

/// Each element differs in a time, and a field is renamed.
#[divan::bench(args = ITEMS)]
fn compare_different(bencher: Bencher<'_, '_>, items: usize) {
    let (v1, v2, comparer) = (document(items, 1), renamed(items), Comparer::default());
    bencher.counter(bytes(&v1)).bench_local(|| comparer.compare(black_box(&v1), black_box(&v2)));
}

/// The same, with counting and the search for mappings.
#[divan::bench(args = ITEMS)]
fn study_different(bencher: Bencher<'_, '_>, items: usize) {
    let size = bytes(&document(items, 1));
    let (v1, v2) = (Content::Json(document(items, 1)), Content::Json(renamed(items)));
    let mut study = Study::new(Options::default());
    for _ in 0..20 {
        study.pair(&reply(&v1), &reply(&v2));
    }
    bencher.counter(size).bench_local(|| study.pair(black_box(&reply(&v1)), black_box(&reply(&v2))));
}

/// Beside it: reading one of the two documents.
#[divan::bench(args = ITEMS)]
fn parse_one(bencher: Bencher<'_, '_>, items: usize) {
    let text = document(items, 1).to_string();
    bencher.counter(BytesCount::new(text.len())).bench_local(|| Content::read(black_box(text.as_bytes())));
}

fn renamed(items: usize) -> Value {
    let mut document = document(items, 2);
    crate::edit::Edit::Rename("name").make(&mut document, "/items/*/title");
    document
}
