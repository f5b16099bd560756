//! The committed inputs of the fuzz targets, and changed copies of them, against the properties that fuzzing checks. A bounded
//! run that needs neither a nightly compiler nor libFuzzer; `fuzz/README.md` says how to run longer.

#[path = "../../fuzz/properties.rs"]
mod properties;

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Changed copies that are tried of all inputs of a target together.
const CHANGED: u32 = 2000;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read =
        |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file.expect("a file").path()).expect("readable");
    let mut inputs: Vec<_> = files.map(read).collect();
    inputs.sort();
    assert!(inputs.len() >= 5, "{} holds next to nothing", folder.display());
    inputs
}

/// One change: bytes replaced, cut out, doubled, or taken from another input.
fn changed(
    inputs: &[Vec<u8>],
    (which, other, from, length, byte, how): (usize, usize, usize, usize, u8, u8),
) -> Vec<u8> {
    let mut input = inputs[which % inputs.len()].clone();
    let from = from % (input.len() + 1);
    let to = (from + length).min(input.len());
    let piece = match how % 4 {
        0 => vec![byte; to - from],
        1 => Vec::new(),
        2 => input[from..to].repeat(2 + usize::from(byte % 32)),
        _ => inputs[other % inputs.len()].iter().copied().skip(usize::from(byte)).take(length).collect(),
    };
    input.splice(from..to, piece);
    input
}

fn holds(target: &str, property: fn(&[u8])) {
    let inputs = inputs(target);
    for input in &inputs {
        property(input);
    }
    let mut runner = TestRunner::new(Config { cases: CHANGED, failure_persistence: None, ..Config::default() });
    let change = (any::<usize>(), any::<usize>(), any::<usize>(), 0_usize..40, any::<u8>(), any::<u8>());
    let tried = runner.run(&change, |change| {
        property(&changed(&inputs, change));
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{target}: {failure}"));
}

#[test]
fn scoring_without_a_tree_agrees_with_the_tree() {
    holds("score", properties::score);
}

#[test]
fn decoding_ends_within_its_cap() {
    holds("decode", properties::decode);
}

#[test]
fn what_is_mapped_stands_where_it_belongs() {
    holds("map", properties::map);
}

#[test]
fn differences_are_ones_both_ways() {
    holds("diff", properties::diff);
}

#[test]
fn programs_end_without_a_panic() {
    holds("jq", properties::jq);
}

#[test]
fn messages_are_the_same_however_they_are_cut() {
    holds("wire", properties::wire);
}
