//! The formulas against exact values, computed independently (`tests/golden.json`).

use serde_json::Value;

use super::bets::{Bets, Weighed};
use super::detector::{Detector, Watch};
use super::interval::{interval, relative_entropy};
use super::mixture;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden.json")).expect("the golden values are JSON")
}

fn rows(table: &Value) -> Vec<Vec<f64>> {
    let rows = table["rows"].as_array().expect("a table has rows");
    rows.iter().map(numbers).collect()
}

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// Relative above one, absolute below.
fn assert_close(mine: f64, golden: f64, tolerance: f64, what: &str) {
    assert!((mine - golden).abs() <= tolerance * golden.abs().max(1.0), "{what}: {mine} instead of {golden}");
}

#[test]
fn grids_and_weights_are_the_frozen_ones() {
    let golden = golden();
    let (up, down, pair) = (mixture::up(), mixture::down(), mixture::pair());
    let mine: [(&str, &[f64]); 6] = [
        ("theta_up", &up.points),
        ("w_up", &up.weights),
        ("theta_dn", &down.points),
        ("w_dn", &down.weights),
        ("u_pair", &pair.points),
        ("w_pair", &pair.weights),
    ];
    for (name, mine) in mine {
        let golden = numbers(&golden[name]);
        assert_eq!(mine.len(), golden.len(), "{name}");
        for (mine, golden) in mine.iter().zip(golden) {
            assert_close(*mine, golden, 1e-12, name);
        }
    }
}

#[test]
fn evidence_of_one_backend_is_exact() {
    for row in rows(&golden()["log_e"]) {
        let [p0, rich, fallback, up, down] = row[..] else { panic!("five columns") };
        let seen = Weighed::outcomes(rich as u64, fallback as u64, 1.0);
        let what = format!("{rich} rich, {fallback} fallback against {p0}");
        assert_close(Bets::above(p0).log_e(seen), up, 1e-9, &what);
        assert_close(Bets::<8>::below(p0).log_e(seen), down, 1e-9, &what);
    }
}

#[test]
fn evidence_of_pairs_is_exact() {
    for row in rows(&golden()["log_e_pair"]) {
        let [margin, better, same, worse, up, down] = row[..] else { panic!("six columns") };
        let seen = Weighed::pairs(better as u64, same as u64, worse as u64, 1.0);
        let what = format!("{better}/{same}/{worse} pairs, margin {margin}");
        assert_close(Bets::pairs_above(margin).log_e(seen), up, 1e-9, &what);
        assert_close(Bets::pairs_below(margin).log_e(seen), down, 1e-9, &what);
    }
}

#[test]
fn promotes_exactly_up_to_the_golden_number_of_fallbacks() {
    let bets = Bets::above(0.95);
    let golden = golden();
    let tables = golden["promote_boundary_slo_0.95"]["rows"].as_object().expect("by alpha");
    for (alpha, row) in tables {
        let need = (1.0 / alpha.parse::<f64>().expect("a number")).ln();
        for (n, most) in row.as_object().expect("by number of requests") {
            let n: u64 = n.parse().expect("a number");
            let most = most.as_i64().expect("a whole number");
            let proven = |fallback: u64| bets.log_e(Weighed::outcomes(n - fallback, fallback, 1.0)) >= need;
            let first_unproven = u64::try_from(most + 1).expect("at least 0");
            assert!(!proven(first_unproven), "{n} at alpha {alpha}");
            assert!(most < 0 || proven(first_unproven - 1), "{n} at alpha {alpha}");
        }
    }
}

#[test]
fn intervals_are_the_golden_ones() {
    for row in rows(&golden()["confidence_sequence"]) {
        let [rich, fallback, confidence, lo, hi] = row[..] else { panic!("five columns") };
        let mine = interval(rich as u64, fallback as u64, 1.0, confidence);
        assert_close(mine.lo, lo, 1e-6, "lower end");
        assert_close(mine.hi, hi, 1e-6, "upper end");
    }
}

#[test]
fn the_detector_follows_its_trace() {
    let trace = &golden()["sr_trace"];
    let of = |key: &str| trace[key].as_f64().expect("a number");
    let watch = Watch::new(Bets::<8>::below(of("p0")), of("A")).head_start(of("alpha0") * of("A"));
    let mut detector = Detector::start(&watch);
    for row in rows(trace) {
        let growth = watch.bets.growth(Weighed::outcomes(row[0] as u64, row[1] as u64, 1.0));
        let level = detector.step(&watch, of("dt"), &growth, &growth.map(f64::exp));
        // The trace has no ceiling: at one nat above the alarm, the bets begin to be capped.
        if row[2] < of("alarm_at") {
            assert_close(level.ln(), row[2], 1e-9, "level");
        } else {
            assert!(level >= watch.alarm_s, "alarm at {}", row[2]);
        }
    }
}

#[test]
fn the_detector_of_pairs_follows_its_trace() {
    let trace = &golden()["sr_pair_trace"];
    let of = |key: &str| trace[key].as_f64().expect("a number");
    let watch = Watch::new(Bets::pairs_below(of("margin")), of("A"));
    let mut detector = Detector::start(&watch);
    for row in rows(trace) {
        let [better, same, worse] = [row[0] as u64, row[1] as u64, row[2] as u64];
        let growth = watch.bets.growth(Weighed::pairs(better, same, worse, 1.0));
        let level = detector.step(&watch, of("dt"), &growth, &growth.map(f64::exp));
        if row[3] < of("A").ln() {
            assert_close(level.ln(), row[3], 1e-9, "level");
        } else {
            assert!(level >= watch.alarm_s, "alarm at {}", row[3]);
        }
    }
}

#[test]
fn information_is_the_golden_one() {
    for (pair, value) in golden()["bounds"]["kl"].as_object().expect("by pair") {
        let (p, q) = pair.split_once('|').expect("p|q");
        let [p, q] = [p, q].map(|x| x.parse::<f64>().expect("a number"));
        assert_close(relative_entropy(p, q), value.as_f64().expect("a number"), 1e-9, pair);
    }
}
