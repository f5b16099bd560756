use proptest::prelude::*;

use super::*;
use crate::gate::{Evidence, FreezeWindow, Scope};

fn percent(value: f64) -> Percent {
    Percent::from_f64(value).expect("a valid percentage")
}

fn plan() -> Plan {
    Plan {
        stage: Stage::Cutover,
        ceiling: percent(100.0),
        steps: [1.0, 25.0, 100.0].map(percent).into(),
        bake_s: vec![60.0, 300.0, 86_400.0],
        approve: Vec::new(),
        rollback_to: RollbackTo::Zero,
        mode: Mode::Enforce,
        freeze: Vec::new(),
    }
}

fn verdict(reason: Reason) -> Verdict {
    Verdict { kind: reason.kind(), reason, scope: Scope::All, evidence: Evidence::default(), since: 0 }
}

/// A ladder that was promoted `times` times.
fn climbed(plan: Plan, times: usize) -> Ladder {
    let mut ladder = Ladder::new(plan);
    for _ in 0..times {
        ladder.judged(&verdict(Reason::Confident), 0);
    }
    ladder
}

fn rolled_back(reaction: &Reaction) -> Option<(f64, f64)> {
    reaction.events.iter().find_map(|event| match event {
        Event::Rollback { from, to, .. } => Some((from.as_f64(), to.as_f64())),
        _ => None,
    })
}

#[test]
fn nobody_is_exposed_before_v2_is_proven() {
    let mut ladder = Ladder::new(plan());
    assert_eq!((ladder.allowed(), ladder.phase()), (Percent::ZERO, Phase::Proving));
    for reason in Reason::ALL.into_iter().filter(|reason| reason.kind() != Kind::Promote) {
        ladder.judged(&verdict(reason), 0);
        assert_eq!(ladder.effective(), Percent::ZERO, "{reason:?}");
    }
}

#[test]
fn the_gate_may_go_one_step_back_and_a_person_takes_everyone_back() {
    let plan = || Plan { rollback_to: RollbackTo::Previous, ..plan() };
    let mut ladder = climbed(plan(), 3);
    assert_eq!(rolled_back(&ladder.judged(&verdict(Reason::BelowSlo), 0)), Some((100.0, 25.0)));
    let mut ladder = climbed(plan(), 3);
    assert_eq!(rolled_back(&ladder.rollback(0)), Some((100.0, 0.0)));
}

#[test]
fn climbs_one_step_per_promotion_each_in_an_epoch_of_its_own() {
    let mut ladder = Ladder::new(plan());
    for (rung, step, bake_s) in [(1, 1.0, 60.0), (2, 25.0, 300.0), (3, 100.0, 86_400.0)] {
        let reaction = ladder.judged(&verdict(Reason::Confident), 0);
        assert_eq!(reaction.restart, Some(Restart::Step(rung)));
        assert_eq!(ladder.allowed(), percent(step));
        assert!((ladder.bake_s() - bake_s).abs() < 1e-9);
    }
    assert_eq!(ladder.phase(), Phase::Baking);
    let reaction = ladder.judged(&verdict(Reason::Confident), 0);
    assert_eq!((reaction, ladder.phase()), (Reaction::default(), Phase::Done));
}

#[test]
fn the_first_bake_also_counts_at_zero_percent() {
    assert!((Ladder::new(plan()).bake_s() - 60.0).abs() < 1e-9);
}

#[test]
fn rolls_back_to_zero_from_every_phase_and_stays_there() {
    let done = climbed(plan(), 4);
    let mut paused = climbed(plan(), 2);
    paused.pause(0);
    let awaiting = climbed(Plan { approve: vec![percent(100.0)], ..plan() }, 3);
    assert_eq!(awaiting.phase(), Phase::AwaitingApproval);
    let frozen = climbed(Plan { freeze: vec![FreezeWindow { from: 0, to: 9 }], ..plan() }, 1);
    assert_eq!(frozen.phase(), Phase::FreezeWindow);
    for mut ladder in [done, paused, awaiting, frozen, climbed(plan(), 1)] {
        let was = ladder.phase();
        ladder.judged(&verdict(Reason::BelowSlo), 0);
        assert_eq!((ladder.effective(), ladder.phase()), (Percent::ZERO, Phase::RolledBack), "{was}");
        assert_eq!(ladder.judged(&verdict(Reason::BelowSlo), 0).events, []);
        ladder.judged(&verdict(Reason::Confident), 0);
        assert_eq!(ladder.effective(), Percent::ZERO, "latched after {was}");
    }
}

#[test]
fn rolls_back_one_step_where_people_asked_for_it() {
    let mut ladder = climbed(Plan { rollback_to: RollbackTo::Previous, ..plan() }, 3);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.extend(rolled_back(&ladder.judged(&verdict(Reason::WorseThanV1), 0)));
    }
    assert_eq!(seen, [(100.0, 25.0), (25.0, 1.0), (1.0, 0.0)]);
}

#[test]
fn resume_proves_v2_again_from_no_evidence() {
    let mut ladder = climbed(plan(), 2);
    ladder.rollback(0);
    let reaction = ladder.resume(0);
    assert_eq!(reaction, Reaction { events: vec![Event::Resume], restart: Some(Restart::Again) });
    assert_eq!((ladder.allowed(), ladder.phase()), (Percent::ZERO, Phase::Proving));
}

#[test]
fn a_lower_ceiling_applies_at_once_and_a_higher_one_passes_the_gate() {
    let mut ladder = climbed(plan(), 3);
    let lower = Plan { ceiling: percent(10.0), ..plan() };
    ladder.edit(lower, Touched::Plan, 0);
    assert_eq!(ladder.effective(), percent(10.0));
    ladder.edit(plan(), Touched::Plan, 0);
    assert_eq!((ladder.effective(), ladder.phase()), (percent(10.0), Phase::Proving));
    ladder.judged(&verdict(Reason::Confident), 0);
    assert_eq!(ladder.effective(), percent(25.0));
}

#[test]
fn any_change_of_the_entry_lifts_a_rollback_and_proves_v2_again_from_no_evidence() {
    let lower = Plan { ceiling: percent(10.0), ..plan() };
    for (plan, touched) in [(lower, Touched::Plan), (plan(), Touched::Entry)] {
        let mut ladder = climbed(self::plan(), 2);
        ladder.judged(&verdict(Reason::BelowSlo), 0);
        let reaction = ladder.edit(plan, touched, 0);
        assert_eq!((reaction.restart, ladder.phase()), (Some(Restart::Change), Phase::Proving));
        assert_eq!(ladder.allowed(), Percent::ZERO);
    }
}

#[test]
fn evidence_from_the_stage_shadow_carries_into_cutover() {
    let mut ladder = Ladder::new(Plan { stage: Stage::Shadow, ..plan() });
    assert_eq!(ladder.judged(&verdict(Reason::Confident), 0), Reaction::default());
    assert_eq!(ladder.effective(), Percent::ZERO);
    assert_eq!(ladder.edit(plan(), Touched::Plan, 0).restart, None);
    ladder.judged(&verdict(Reason::Confident), 0);
    assert_eq!(ladder.effective(), percent(1.0));
}

#[test]
fn stages_that_are_not_judged_ignore_verdicts() {
    for (stage, share) in [(Stage::Off, 0.0), (Stage::Complete, 100.0)] {
        let mut ladder = Ladder::new(Plan { stage, ..plan() });
        for reason in Reason::ALL {
            assert_eq!(ladder.judged(&verdict(reason), 0), Reaction::default());
            assert_eq!((ladder.effective(), ladder.phase()), (percent(share), Phase::Idle));
        }
    }
}

#[test]
fn an_observing_gate_records_and_changes_nothing() {
    let mut ladder = Ladder::new(Plan { mode: Mode::Observe, ceiling: percent(25.0), ..plan() });
    let reaction = ladder.judged(&verdict(Reason::BelowSlo), 0);
    assert_eq!(reaction.events, [Event::Breach { reason: Reason::BelowSlo }]);
    assert_eq!(ladder.effective(), percent(25.0));
    ladder.rollback(0);
    assert_eq!(ladder.effective(), Percent::ZERO, "people are always obeyed");
}

#[test]
fn a_step_that_wants_approval_waits_for_it() {
    let mut ladder = climbed(Plan { approve: vec![percent(25.0)], ..plan() }, 5);
    assert_eq!((ladder.effective(), ladder.phase()), (percent(1.0), Phase::AwaitingApproval));
    assert_eq!(ladder.shown(&verdict(Reason::Confident), 0).reason, Reason::Approval);
    assert_eq!(ladder.approve().events, [Event::Approve { step: percent(25.0) }]);
    assert_eq!(ladder.approve(), Reaction::default());
    ladder.judged(&verdict(Reason::Confident), 0);
    assert_eq!(ladder.effective(), percent(25.0));
}

#[test]
fn a_freeze_window_ends_by_itself() {
    let window = FreezeWindow { from: 100, to: 200 };
    let mut ladder = Ladder::new(Plan { freeze: vec![window], ..plan() });
    ladder.judged(&verdict(Reason::Confident), 199);
    assert_eq!((ladder.effective(), ladder.phase()), (Percent::ZERO, Phase::FreezeWindow));
    ladder.judged(&verdict(Reason::Confident), 200);
    assert_eq!(ladder.effective(), percent(1.0));
}

#[test]
fn an_incident_begins_and_ends_once_and_silence_does_not_end_it() {
    let mut ladder = climbed(plan(), 1);
    let mut told = Vec::new();
    for reason in [Reason::Blip, Reason::Blip, Reason::NoData, Reason::RecentDrop, Reason::Undecided, Reason::Bake] {
        told.extend(ladder.judged(&verdict(reason), 0).events);
    }
    let reason = Reason::Blip;
    assert_eq!(told, [Event::Breach { reason }, Event::Freeze { reason }, Event::Recover]);
}

#[derive(Debug, Clone)]
enum Input {
    Judged(Reason, i64),
    Approve,
    Pause,
    Resume,
    Rollback,
    Edit(Plan, Touched),
    Crash,
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let percents = || proptest::collection::vec(0..=100_000_u32, 0..5);
    let stage = prop_oneof![
        1 => Just(Stage::Off),
        1 => Just(Stage::Shadow),
        5 => Just(Stage::Cutover),
        1 => Just(Stage::Complete),
    ];
    (stage, 0..=100_000_u32, percents(), percents(), any::<bool>(), 0..8_u32, 0..50_i64).prop_map(
        |(stage, ceiling, mut steps, approve, previous, observe, from)| {
            let of = |x: u32| Percent::from_thousandths(x).expect("in range");
            steps.sort_unstable();
            Plan {
                stage,
                ceiling: of(ceiling),
                steps: steps.into_iter().map(of).collect(),
                bake_s: vec![1.0],
                approve: approve.into_iter().map(of).collect(),
                rollback_to: if previous { RollbackTo::Previous } else { RollbackTo::Zero },
                mode: if observe == 0 { Mode::Observe } else { Mode::Enforce },
                freeze: vec![FreezeWindow { from, to: from + 20 }],
            }
        },
    )
}

fn any_input() -> impl Strategy<Value = Input> {
    let judged = || (0..Reason::ALL.len(), 0..100_i64).prop_map(|(at, t)| Input::Judged(Reason::ALL[at], t));
    let confident = (0..100_i64).prop_map(|t| Input::Judged(Reason::Confident, t));
    let touched = prop_oneof![Just(Touched::Plan), Just(Touched::Entry), Just(Touched::Evidence)];
    prop_oneof![
        4 => judged(),
        4 => confident,
        1 => Just(Input::Approve),
        1 => Just(Input::Pause),
        1 => Just(Input::Resume),
        1 => Just(Input::Rollback),
        1 => Just(Input::Crash),
        1 => (any_plan(), touched).prop_map(|(plan, touched)| Input::Edit(plan, touched)),
    ]
}

fn feed(ladder: &mut Ladder, input: Input) -> Reaction {
    match input {
        Input::Judged(reason, t) => ladder.judged(&verdict(reason), t),
        Input::Approve => ladder.approve(),
        Input::Pause => ladder.pause(0),
        Input::Resume => ladder.resume(0),
        Input::Rollback => ladder.rollback(0),
        Input::Edit(plan, touched) => ladder.edit(plan, touched, 0),
        Input::Crash => {
            let saved = serde_json::to_string(ladder).expect("a ladder is plain data");
            *ladder = serde_json::from_str(&saved).expect("what was written can be read");
            Reaction::default()
        }
    }
}

proptest! {
    #[test]
    fn never_above_the_ceiling_and_up_only_by_a_verdict_or_people(
        first in any_plan(),
        inputs in proptest::collection::vec(any_input(), 0..60),
    ) {
        let mut ladder = Ladder::new(first);
        for input in inputs {
            let before = ladder.clone();
            let reaction = feed(&mut ladder, input.clone());
            let (was, is) = (before.effective(), ladder.effective());
            prop_assert!(is <= ladder.ceiling() && is <= ladder.allowed());
            let enforced = ladder.plan.stage == Stage::Cutover && ladder.plan.mode == Mode::Enforce;
            if is > was && enforced {
                let confident = matches!(input, Input::Judged(Reason::Confident, _));
                prop_assert!(confident && !before.paused && !before.rolled_back && reaction.restart.is_some());
                prop_assert_eq!(Some(is), before.next_step());
            }
            if let Input::Crash = input {
                prop_assert_eq!(&before, &ladder);
            }
        }
    }

    #[test]
    fn every_rollback_goes_down_from_any_state(
        first in any_plan(),
        inputs in proptest::collection::vec(any_input(), 0..30),
    ) {
        let mut ladder = Ladder::new(first);
        for input in inputs {
            feed(&mut ladder, input);
        }
        let was = ladder.effective();
        ladder.judged(&verdict(Reason::BelowSlo), 0);
        if ladder.plan.stage == Stage::Cutover && ladder.plan.mode == Mode::Enforce {
            let to = match ladder.plan.rollback_to {
                RollbackTo::Zero => Percent::ZERO,
                RollbackTo::Previous => ladder.plan.previous(was),
            };
            prop_assert_eq!((ladder.effective(), ladder.phase()), (to, Phase::RolledBack));
        }
    }
}
