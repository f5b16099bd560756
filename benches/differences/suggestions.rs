//! What `--suggest` finds of known edits, and what it makes up.

use crossfade::score::diff::{Content, Options, Study, Suggestion};

use crate::Found;
use crate::corpus::{SHAPES, Shape};
use crate::edit::Edit;
use crate::random::Random;
use crate::stream::{choose, reply};

const STREAMS: u64 = 12;
/// Pairs after which suggestions are asked for.
const PAIRS: &[u64] = &[30, 100, 400];
/// V2 is not perfect: so many of its answers have no value where it should be.
const HOLES: f64 = 0.02;

/// Streams in which V2 renames, moves or rewrites up to three places in all of its answers, among noise.
pub(crate) fn table() {
    println!(
        "Suggestions, {} routes, {} % of V2's answers lack the value\n",
        SHAPES.len() as u64 * STREAMS,
        HOLES * 100.0
    );
    println!("| pairs | precision | recall |\n| --- | --- | --- |");
    for &pairs in PAIRS {
        let (mut precision, mut recall) = (Found::default(), Found::default());
        for (shape, seed) in SHAPES.iter().flat_map(|shape| (0..STREAMS).map(move |seed| (shape, seed))) {
            let mut random = Random::new(seed ^ 0x5099);
            let count = 1 + random.below(3) as usize;
            let edits = choose(shape, &mut random, count);
            let found = play(shape, seed, &edits, pairs);
            for one in &found {
                precision.add(edits.iter().any(|(path, edit)| is_right(one, path, *edit)));
            }
            for (path, edit) in edits.iter().filter(|(path, edit)| edit.mapping(path).is_some()) {
                recall.add(found.iter().any(|one| is_right(one, path, *edit)));
            }
        }
        println!("| {pairs} | {precision} | {recall} |");
    }
    println!();
}

fn is_right(one: &Suggestion, path: &str, edit: Edit) -> bool {
    let transform = serde_json::to_value(&one.transform).expect("plain data")["transform"].clone();
    edit.mapping(path).is_some_and(|(from, what)| one.v1 == path && one.v2 == from && transform == what)
}

fn play(shape: &Shape, seed: u64, edits: &[(&'static str, Edit)], pairs: u64) -> Vec<Suggestion> {
    let mut random = Random::new(seed + 2000);
    let mut study = Study::new(Options::default());
    for _ in 0..pairs {
        let truth = (shape.truth)(&mut random);
        let (mut v1, mut v2) = (truth.clone(), truth);
        (shape.noise)(&mut random, &mut v1);
        (shape.noise)(&mut random, &mut v2);
        for (path, edit) in edits {
            let edit = if random.chance(HOLES) { Edit::Drop } else { *edit };
            edit.make(&mut v2, path);
        }
        study.pair(&reply(&Content::Json(v1)), &reply(&Content::Json(v2)));
    }
    study.suggestions()
}
