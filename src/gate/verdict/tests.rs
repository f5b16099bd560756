use super::*;
use crate::gate::{Basis, Params};

/// A world in which V2 is about to be promoted; each test spoils one thing.
struct World {
    settings: Settings,
    routes: Vec<Reading>,
    other: Option<Reading>,
    need: f64,
    elapsed_s: f64,
    is_silent: bool,
    replicas_missing: bool,
    mirror_hurts_v1: bool,
}

fn healthy() -> Reading {
    let sums = Sums {
        rich: 9_900,
        fallback: 100,
        v1_rich: 9_900,
        v1_fallback: 100,
        v2_better: 50,
        concordant: 9_900,
        v2_worse: 50,
        shed: 0,
    };
    Reading { sums, phi: 1.0, blocks: 12, log_e: 20.0, log_e_pairs: 20.0, ..Reading::default() }
}

fn world() -> World {
    World {
        settings: Settings::from(&Params::for_slo(0.95)),
        routes: vec![healthy()],
        other: None,
        need: 100_f64.ln(),
        elapsed_s: 600.0,
        is_silent: false,
        replicas_missing: false,
        mirror_hurts_v1: false,
    }
}

const ALARM: f64 = 1e9;

impl World {
    fn decide(&self) -> (Reason, Scope) {
        let rules = Rules::new(&self.settings, self.routes.len());
        let mut total = Sums::default();
        for route in &self.routes {
            total.add(&route.sums);
        }
        View {
            settings: &self.settings,
            rules: &rules,
            routes: &self.routes,
            other: self.other.as_ref(),
            total,
            need: self.need,
            elapsed_s: self.elapsed_s,
            is_silent: self.is_silent,
            replicas_missing: self.replicas_missing,
            mirror_hurts_v1: self.mirror_hurts_v1,
        }
        .decide()
    }

    fn reason(&self) -> Reason {
        self.decide().0
    }
}

#[track_caller]
fn expect(reason: Reason, spoil: impl FnOnce(&mut World)) {
    let mut world = world();
    spoil(&mut world);
    assert_eq!(world.reason(), reason);
}

#[test]
fn row_1_rolls_back_a_v2_that_loses_what_v1_answers() {
    expect(Reason::WorseThanV1, |it| it.routes[0].peaks.worse = ALARM);
    expect(Reason::Confident, |it| {
        it.settings.params.basis = Basis::Slo;
        it.routes[0].peaks.worse = ALARM;
    });
}

#[test]
fn row_2_blames_nobody_while_v1_is_down_too() {
    let both = |it: &mut World| {
        it.routes[0].peaks.fell = ALARM;
        it.routes[0].peaks.v1_fell = ALARM;
    };
    expect(Reason::SharedOutage, both);
    expect(Reason::WorseThanV1, |it| {
        both(it);
        it.routes[0].peaks.worse = ALARM;
    });
    expect(Reason::BelowSlo, |it| {
        both(it);
        it.settings.params.basis = Basis::Slo;
        it.routes[0].peaks.worse = ALARM;
    });
}

#[test]
fn row_3_freezes_where_rolling_back_would_hurt() {
    let below = |it: &mut World| it.routes[0].peaks.fell = ALARM;
    expect(Reason::V1NoBetter, below);
    expect(Reason::BelowSlo, |it| {
        below(it);
        it.settings.params.only_if_v1_better = false;
    });
    expect(Reason::BelowSlo, |it| {
        below(it);
        it.routes[0].log_e_pairs = 1.0;
    });
}

#[test]
fn row_4_rolls_back_below_the_slo_unless_only_the_comparison_counts() {
    let below = |it: &mut World| {
        it.settings.params.only_if_v1_better = false;
        it.routes[0].peaks.fell = ALARM;
    };
    expect(Reason::BelowSlo, below);
    expect(Reason::Confident, |it| {
        below(it);
        it.settings.params.basis = Basis::V1;
    });
}

#[test]
fn row_5_freezes_in_the_first_second() {
    expect(Reason::Blip, |it| it.routes[0].peaks.falling = ALARM);
    expect(Reason::Blip, |it| it.routes[0].peaks.worsening = ALARM);
}

#[test]
fn row_6_spares_v1() {
    expect(Reason::MirrorHurtsV1, |it| it.mirror_hurts_v1 = true);
}

#[test]
fn row_7_says_nothing_on_silence() {
    expect(Reason::NoData, |it| it.is_silent = true);
    expect(Reason::NoData, |it| it.routes[0] = Reading::default());
}

#[test]
fn row_8_wants_most_requests_scored() {
    expect(Reason::Confident, |it| it.routes[0].sums.shed = 526);
    expect(Reason::Coverage, |it| it.routes[0].sums.shed = 527);
    expect(Reason::Coverage, |it| it.replicas_missing = true);
}

#[test]
fn row_9_wants_enough_requests_and_pairs() {
    let only = |rich| Sums { rich, ..Sums::default() };
    expect(Reason::MinSamples, |it| it.routes[0].sums = only(199));
    expect(Reason::NoPairs, |it| it.routes[0].sums = only(200));
    expect(Reason::MinSamples, |it| it.routes[0].sums = Sums { concordant: 199, ..only(200) });
    expect(Reason::Confident, |it| {
        it.settings.params.basis = Basis::Slo;
        it.routes[0].sums = only(200);
    });
}

#[test]
fn row_10_waits_for_the_bake_and_for_the_measure_of_clustering() {
    expect(Reason::Bake, |it| it.elapsed_s = 299.9);
    expect(Reason::Confident, |it| it.elapsed_s = 3000.0 * 0.1);
    expect(Reason::Bake, |it| it.routes[0].blocks = 11);
    expect(Reason::Confident, |it| {
        it.settings.params.overdispersion = false;
        it.routes[0].blocks = 0;
    });
}

#[test]
fn row_11_waits_while_the_hit_rate_may_be_falling() {
    expect(Reason::RecentDrop, |it| it.routes[0].peaks.falling = 601.0);
    expect(Reason::RecentDrop, |it| it.routes[0].peaks.worsening = 601.0);
    expect(Reason::Confident, |it| it.routes[0].peaks.falling = 599.0);
}

#[test]
fn row_12_tells_people_that_v1_misses_the_slo_itself() {
    let poor_v1 = |it: &mut World| {
        it.routes[0].sums.v1_rich = 8_000;
        it.routes[0].sums.v1_fallback = 2_000;
    };
    expect(Reason::Confident, poor_v1);
    expect(Reason::V1BelowSlo, |it| {
        poor_v1(it);
        it.routes[0].log_e = 1.0;
    });
    expect(Reason::Confident, |it| {
        poor_v1(it);
        it.settings.params.basis = Basis::V1;
        it.routes[0].log_e = 1.0;
    });
}

#[test]
fn rows_13_and_14_ask_for_all_configured_evidence() {
    expect(Reason::Confident, |_| {});
    expect(Reason::Undecided, |it| it.routes[0].log_e = 4.6);
    expect(Reason::Undecided, |it| it.routes[0].log_e_pairs = 4.6);
    expect(Reason::Confident, |it| {
        it.settings.params.basis = Basis::Slo;
        it.routes[0].log_e_pairs = 4.6;
    });
}

#[test]
fn a_rollback_on_one_route_goes_before_a_freeze_on_another() {
    let mut world = world();
    world.routes = vec![healthy(); 3];
    world.routes[0].peaks.falling = 2.0 * ALARM;
    world.routes[2].peaks.worse = ALARM;
    assert_eq!(world.decide(), (Reason::WorseThanV1, Scope::Route(2)));
}

#[test]
fn every_route_with_enough_traffic_must_be_proven() {
    let mut world = world();
    world.routes = vec![healthy(); 3];
    world.routes[1].log_e = 2.0;
    assert_eq!(world.decide(), (Reason::Undecided, Scope::Route(1)));
}

#[test]
fn a_quiet_route_is_pooled_and_a_busy_one_is_waited_for() {
    let mut world = world();
    world.routes = vec![healthy(), Reading { sums: Sums { rich: 100, ..Sums::default() }, ..healthy() }];
    world.elapsed_s = 301.0;
    assert_eq!(world.decide(), (Reason::Confident, Scope::Route(0)));
    world.elapsed_s = 299.0;
    assert_eq!(world.decide(), (Reason::MinSamples, Scope::Route(1)));
    world.elapsed_s = 301.0;
    world.other = Some(Reading { log_e: 0.0, ..healthy() });
    assert_eq!(world.decide(), (Reason::Undecided, Scope::Other));
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let mut names = Reason::ALL.map(Reason::as_str).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Reason::ALL.len());
}
