use proptest::prelude::*;

use super::super::{Basis, Params};
use super::*;

fn params() -> Params {
    Params { basis: Basis::Slo, overdispersion: false, min_samples: 50, ..Params::for_slo(0.95) }
}

fn judge(params: &Params, routes: &[&str]) -> Judge {
    let settings = Settings { bake_s: 0.0, ..Settings::from(params) };
    let names: Vec<String> = routes.iter().map(ToString::to_string).collect();
    Judge::new(settings, &names)
}

fn outcomes(rich: u32, fallback: u32) -> Counts {
    Counts { started: rich + fallback, rich, fallback, ..Counts::default() }
}

/// Feeds the same counts in each tick until the verdict is of this kind; says at which tick.
fn ticks_until(judge: &mut Judge, kind: Kind, counts: &Counts, most: u64) -> Option<u64> {
    let begin = judge.now;
    (begin..begin + most).find_map(|tick| {
        judge.observe(0, tick, counts);
        judge.tick(tick + 1);
        (judge.verdict().kind == kind).then_some(tick + 1 - begin)
    })
}

#[test]
fn promotes_a_v2_that_meets_its_slo() {
    let mut judge = judge(&params(), &["all"]);
    assert!(ticks_until(&mut judge, Kind::Promote, &outcomes(99, 1), 10).is_some());
}

#[test]
fn rolls_back_when_v2_falls_below_its_slo() {
    let mut judge = judge(&params(), &["all"]);
    assert_eq!(ticks_until(&mut judge, Kind::Rollback, &outcomes(98, 2), 600), None);
    let delay = ticks_until(&mut judge, Kind::Rollback, &outcomes(60, 40), 100).expect("found");
    assert!((20..=35).contains(&delay), "a blip of 3 s is tolerated, not more: {delay}");
}

#[test]
fn freezes_a_collapse_within_a_tick() {
    let mut judge = judge(&params(), &["all"]);
    assert_eq!(ticks_until(&mut judge, Kind::Freeze, &outcomes(98, 2), 600), None);
    assert_eq!(ticks_until(&mut judge, Kind::Freeze, &outcomes(60, 40), 100), Some(1));
}

#[test]
fn sees_a_hang_only_after_the_deadline_but_then_at_once() {
    let mut judge = judge(&Params { blip_s: 0.0, deadline_s: 2.0, ..params() }, &["all"]);
    assert_eq!(ticks_until(&mut judge, Kind::Rollback, &outcomes(98, 2), 600), None);
    let hanging = Counts { started: 100, ..Counts::default() };
    assert_eq!(ticks_until(&mut judge, Kind::Rollback, &hanging, 100), Some(21));
}

#[test]
fn never_decides_on_silence() {
    let mut judge = judge(&params(), &["all"]);
    assert!(ticks_until(&mut judge, Kind::Promote, &outcomes(99, 1), 10).is_some());
    judge.tick(judge.now + 301);
    assert_eq!(judge.verdict().reason, Reason::NoData);
    judge.tick(u64::MAX / 4);
    assert_eq!(judge.verdict().reason, Reason::NoData);
}

#[test]
fn a_v2_that_never_answers_is_no_silence() {
    let mut judge = judge(&params(), &["all"]);
    judge.observe(0, 0, &Counts { started: 3, ..Counts::default() });
    judge.tick(40);
    assert_eq!(judge.verdict().reason, Reason::NoData);
    judge.tick(60);
    assert_eq!((judge.verdict().reason, judge.verdict().evidence.samples), (Reason::MinSamples, 3));
}

#[test]
fn evidence_does_not_carry_over_a_step() {
    let mut judge = judge(&params(), &["all"]);
    assert!(ticks_until(&mut judge, Kind::Promote, &outcomes(99, 1), 10).is_some());
    let now = judge.now;
    judge.restart(Restart::Step(1), now);
    assert_eq!((judge.verdict().kind, judge.verdict().evidence.samples), (Kind::Insufficient, 0));
    judge.observe(0, now - 1, &outcomes(1000, 0));
    judge.tick(now + 1);
    assert_eq!(judge.verdict().evidence.samples, 0, "requests of the step before");
}

#[test]
fn another_try_of_the_same_step_needs_more_evidence_until_something_changes() {
    let mut judge = judge(&params(), &["all"]);
    let mut need = |why| {
        judge.restart(why, 10);
        judge.verdict().evidence.log_e_need
    };
    let first = need(Restart::Step(1));
    assert!((need(Restart::Again) - first - 6_f64.ln()).abs() < 1e-9);
    assert!((need(Restart::Step(1)) - first - 12_f64.ln()).abs() < 1e-9);
    assert!((need(Restart::Step(2)) - first).abs() < 1e-9);
    assert!((need(Restart::Change) - first).abs() < 1e-9);
}

#[test]
fn a_change_of_the_slo_begins_an_epoch_and_a_change_of_confidence_does_not() {
    let mut judge = judge(&params(), &["all"]);
    assert!(ticks_until(&mut judge, Kind::Promote, &outcomes(99, 1), 10).is_some());
    let now = judge.now;
    assert!(!judge.reconfigure(&Params { confidence: 0.999, ..params() }, now));
    judge.tick(now);
    assert!(judge.verdict().evidence.samples > 0);
    assert!(judge.reconfigure(&Params { slo: 0.9, ..params() }, now));
    assert_eq!(judge.verdict().evidence.samples, 0);
}

#[test]
fn resumes_with_what_was_finished_and_never_more() {
    let mut before = judge(&params(), &["a", "b"]);
    before.observe(0, 5, &outcomes(90, 10));
    before.observe(1, 5, &Counts { started: 7, rich: 3, ..Counts::default() });
    before.tick(8);
    let text = serde_json::to_string(&before.save()).expect("plain data");
    let saved = serde_json::from_str(&text).expect("what was written can be read");
    let names = ["b".to_string(), "a".to_string(), "new".to_string()];
    let settings = before.settings().clone();
    let mut after = Judge::resume(settings.clone(), &names, &saved, 1_000);
    after.tick(1_000);
    let samples = |route| after.route_evidence(route).map(|it| it.samples);
    assert_eq!([samples(0), samples(1), samples(2)], [Some(0), Some(100), Some(0)]);
    let levels = |judge: &Judge, route| judge.route_evidence(route).map(|it| it.log_r);
    assert_eq!(levels(&after, 1), levels(&before, 0));

    let mut other = settings;
    other.params.slo = 0.9;
    let mut after = Judge::resume(other, &names, &saved, 1_000);
    after.tick(1_000);
    assert_eq!(after.route_evidence(1).map(|it| it.samples), Some(0));
}

#[test]
fn evidence_means_the_same_when_it_is_read_back_whatever_the_slo() {
    let slos = (500..1000).map(|thousandth| f64::from(thousandth) / 1000.0);
    let lost = slos.filter(|slo| {
        let mut judge = judge(&Params { min_samples: 1, ..Params::for_slo(*slo) }, &["all"]);
        judge.observe(0, 5, &outcomes(90, 10));
        judge.tick(8);
        let text = serde_json::to_string(&judge.save()).expect("plain data");
        let read: SavedEvidence = serde_json::from_str(&text).expect("what was written can be read");
        !read.is_for(judge.settings()) || read != judge.save()
    });
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<f64>::new());
}

#[test]
fn blames_nobody_for_an_outage_of_both_and_starts_afresh_after_it() {
    let params = Params { basis: Basis::Both, blip_s: 0.0, only_if_v1_better: false, ..params() };
    let mut judge = judge(&params, &["all"]);
    let both = |rich: u32, fallback: u32| Counts {
        v1_rich: rich,
        v1_fallback: fallback,
        concordant: rich + fallback,
        ..outcomes(rich, fallback)
    };
    assert_eq!(ticks_until(&mut judge, Kind::Rollback, &both(98, 2), 300), None);
    assert_eq!(ticks_until(&mut judge, Kind::Freeze, &both(50, 50), 100), Some(1));
    assert_eq!(judge.verdict().reason, Reason::SharedOutage);
    assert_eq!(ticks_until(&mut judge, Kind::Rollback, &both(50, 50), 600), None);
    assert_eq!(ticks_until(&mut judge, Kind::Rollback, &both(98, 2), 3_000), None);
    assert!(judge.verdict().evidence.log_r < judge.verdict().evidence.log_r_alarm);
}

#[test]
fn notices_that_mirroring_hurts_v1() {
    let mut judge = judge(&params(), &["all"]);
    judge.watch_v1_against(crate::hit_rate::Tallied { rich: 9_900, fallback: 100 }, 0);
    let v1 = |v1_rich, v1_fallback| Counts { v1_rich, v1_fallback, ..outcomes(99, 1) };
    assert_eq!(ticks_until(&mut judge, Kind::Freeze, &v1(99, 1), 300), None);
    assert!(ticks_until(&mut judge, Kind::Freeze, &v1(90, 10), 300).is_some());
    assert_eq!(judge.verdict().reason, Reason::MirrorHurtsV1);
}

#[test]
fn tells_each_change_once() {
    let mut judge = judge(&params(), &["all"]);
    assert!(judge.tick(1).is_some());
    assert!(judge.tick(2).is_none());
    judge.observe(0, 2, &outcomes(10, 0));
    assert_eq!(judge.tick(3).map(|it| it.reason), Some(Reason::MinSamples));
    assert!(judge.tick(4).is_none());
    assert_eq!(judge.sentence(), "10 of the 50 requests a promotion needs");
}

#[test]
fn a_route_takes_less_than_two_kibibytes() {
    let deadline_s = [0.1, 2.0, 2.6, 5.0, 30.0, 600.0];
    for deadline_s in deadline_s {
        let judge = judge(&Params { deadline_s, ..params() }, &["all"]);
        let per_route = size_of::<Route>()
            + judge.routes[0].ring_bytes()
            + size_of::<Reading>()
            + size_of::<u64>()
            + size_of::<Causes>();
        assert!(per_route < 2048, "{per_route} bytes with a deadline of {deadline_s} s");
    }
}

fn are_finite(it: &Evidence) -> bool {
    let numbers = [it.log_e, it.log_e_pairs, it.log_e_need, it.log_r, it.log_r_pairs, it.log_r_v1, it.phi];
    let more = [it.requests_needed, it.seconds_needed, it.hit_rate()];
    numbers.iter().chain(more.iter().flatten()).all(|x| x.is_finite())
}

fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 4 => 0_u32..50, 1 => 0_u32..1_000_000_000, 1 => Just(u32::MAX)]
}

fn any_counts() -> impl Strategy<Value = Counts> {
    let v2 = (any_count(), any_count(), any_count(), any_count(), any_count());
    let v1 = (any_count(), any_count(), any_count(), any_count(), any_count());
    (v2, v1).prop_map(|((started, rich, fallback, withdrawn, shed), (a, b, c, d, e))| Counts {
        started,
        rich,
        fallback,
        withdrawn,
        shed,
        v1_rich: a,
        v1_fallback: b,
        v2_better: c,
        concordant: d,
        v2_worse: e,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_comes_all_numbers_are_finite(
        slo in 0.5_f64..0.9999,
        overdispersion in any::<bool>(),
        basis in prop_oneof![Just(Basis::Slo), Just(Basis::V1), Just(Basis::Both)],
        events in proptest::collection::vec((0_usize..3, 0_u64..2_000, -60_i64..60, any_counts()), 1..60),
    ) {
        let params = Params { basis, overdispersion, ..Params::for_slo(slo) };
        let mut judge = judge(&params, &["a", "b"]);
        let mut now = 1_000_u64;
        for (route, wait, skew, counts) in events {
            judge.observe(route, now.saturating_add_signed(skew), &counts);
            now += wait;
            judge.tick(now);
            prop_assert!(are_finite(&judge.verdict().evidence), "{:?}", judge.verdict());
            prop_assert!(!judge.sentence().contains("NaN"));
        }
    }

    #[test]
    fn a_v2_below_its_slo_is_never_promoted_by_how_its_outcomes_are_cut_up(
        cuts in proptest::collection::vec((1_u32..30, 0_u64..4), 1..200),
    ) {
        let mut judge = judge(&params(), &["a"]);
        let mut now = 0;
        for (n, wait) in cuts {
            judge.observe(0, now, &outcomes(9 * n, n));
            now += 1 + wait;
            judge.tick(now);
            prop_assert_ne!(judge.verdict().kind, Kind::Promote);
        }
    }
}
