use proptest::prelude::*;

use super::*;

fn started(started: u32) -> Counts {
    Counts { started, ..Counts::default() }
}

fn rich(rich: u32) -> Counts {
    Counts { started: rich, rich, concordant: rich, ..Counts::default() }
}

fn v2(ring: &mut Cohorts, now: u64) -> Vec<(u64, u64, u64)> {
    ring.advance(now);
    let finished = std::iter::from_fn(|| ring.next_v2()).map(|it| (it.bucket, it.rich, it.fallback)).collect();
    while ring.next_pairs().is_some() {}
    finished
}

#[test]
fn a_bucket_is_final_once_nothing_is_pending() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &started(2));
    assert_eq!(v2(&mut ring, 4), []);
    ring.admit(3, &Counts { rich: 1, fallback: 1, ..Counts::default() });
    assert_eq!(v2(&mut ring, 4), [(3, 1, 1)]);
}

#[test]
fn a_running_bucket_is_never_final() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &rich(5));
    assert_eq!(v2(&mut ring, 3), []);
    assert_eq!(ring.due(), 4);
    assert_eq!(v2(&mut ring, 4), [(3, 5, 0)]);
}

#[test]
fn what_is_pending_at_the_deadline_is_a_fallback_and_a_later_answer_is_ignored() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &started(2));
    assert_eq!(v2(&mut ring, 23), []);
    assert_eq!(ring.due(), 24);
    assert_eq!(v2(&mut ring, 24), [(3, 0, 2)]);
    assert_eq!(ring.admit(3, &Counts { rich: 2, ..Counts::default() }), Counts::default());
}

#[test]
fn buckets_are_handed_on_in_the_order_of_their_starts() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &started(1));
    ring.admit(4, &rich(7));
    assert_eq!(v2(&mut ring, 10), []);
    ring.admit(3, &Counts { rich: 1, ..Counts::default() });
    assert_eq!(v2(&mut ring, 10), [(3, 1, 0), (4, 7, 0)]);
}

#[test]
fn withdrawn_requests_are_waited_for_no_longer() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &started(2));
    ring.admit(3, &Counts { withdrawn: 1, rich: 1, ..Counts::default() });
    assert_eq!(v2(&mut ring, 4), [(3, 1, 0)]);
}

#[test]
fn an_outcome_for_a_bucket_that_is_gone_counts_in_the_oldest_one_left() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &rich(1));
    assert_eq!(v2(&mut ring, 8), [(3, 1, 0)]);
    ring.admit(5, &rich(2));
    assert_eq!(v2(&mut ring, 9), [(8, 2, 0)]);
}

#[test]
fn pairs_may_follow_later_than_v2s_outcome() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &Counts { started: 2, rich: 2, ..Counts::default() });
    ring.advance(4);
    assert!(ring.next_v2().is_some_and(|it| it.rich == 2));
    assert_eq!(ring.next_pairs(), None);
    ring.admit(3, &Counts { v2_better: 2, v1_fallback: 2, ..Counts::default() });
    ring.advance(9);
    assert_eq!(ring.next_v2(), None);
    assert!(ring.next_pairs().is_some_and(|(bucket, counts)| bucket == 3 && counts.v2_better == 2));
}

#[test]
fn silence_costs_nothing_however_long() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &rich(1));
    assert_eq!(v2(&mut ring, u64::MAX / 2), [(3, 1, 0)]);
    ring.admit(u64::MAX / 2, &rich(1));
    assert_eq!(v2(&mut ring, u64::MAX / 2 + 1).len(), 1);
}

#[test]
fn start_and_outcome_of_the_first_request_after_a_silence_meet_in_one_bucket() {
    let mut ring = Cohorts::new(8, 0);
    ring.admit(3, &rich(1));
    assert_eq!(v2(&mut ring, 4), [(3, 1, 0)]);
    ring.wake(500);
    // The judge is two ticks behind the workers.
    ring.admit(502, &started(1));
    assert_eq!(v2(&mut ring, 501), []);
    ring.wake(502);
    let answered = Counts { rich: 1, ..Counts::default() };
    ring.admit(502, &answered);
    assert_eq!(v2(&mut ring, 600), [(502, 1, 0)]);
}

#[test]
fn nothing_from_before_the_epoch_counts() {
    let mut ring = Cohorts::new(20, 0);
    ring.admit(3, &started(4));
    ring.clear(10);
    ring.admit(9, &rich(9));
    ring.admit(10, &rich(1));
    assert_eq!(v2(&mut ring, 40), [(10, 1, 0)]);
}

#[test]
fn long_deadlines_take_no_more_room() {
    for deadline in [1, 20, 26, 27, 50, 600, 6_000, 1_000_000] {
        let ring = Cohorts::new(deadline, 0);
        assert!(ring.buckets.len() as u64 <= MOST_BUCKETS.into(), "{deadline}");
    }
}

proptest! {
    /// Whatever comes, whenever: every request that is admitted comes out once, in order.
    #[test]
    fn loses_and_invents_nothing(
        deadline in 1_u64..200,
        events in proptest::collection::vec((0_u64..40, -30_i64..30, 0_u32..5, 0_u32..5, 0_u32..5), 1..200),
    ) {
        let mut ring = Cohorts::new(deadline, 1_000);
        let (mut now, mut admitted, mut out, mut last) = (1_000, 0, 0, 0);
        let mut drain = |ring: &mut Cohorts, now: u64| {
            ring.advance(now);
            while let Some(it) = ring.next_v2() {
                assert!(it.bucket >= last, "in order");
                last = it.bucket;
                out += it.rich + it.fallback;
            }
            while ring.next_pairs().is_some() {}
            out
        };
        for (wait, skew, rich, fallback, hanging) in events {
            now += wait;
            drain(&mut ring, now);
            let started = rich + fallback + hanging;
            let counts = Counts { started, rich, fallback, ..Counts::default() };
            let counted = ring.admit(now.saturating_add_signed(skew), &counts);
            admitted += u64::from(counted.started);
        }
        prop_assert_eq!(drain(&mut ring, now + 10 * deadline + 1_000), admitted);
        prop_assert_eq!(ring.due(), u64::MAX);
    }
}
