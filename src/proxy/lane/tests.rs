use std::sync::mpsc;

use super::*;
use crate::telemetry::RuleId;

const SOON: Duration = Duration::from_millis(20);
/// Longer than any test may take.
const LATE: Duration = Duration::from_secs(60);

fn lane() -> Lane {
    Lane::new(Arc::default())
}

fn rule(lane: &Lane, route: &str) -> Arc<RuleState> {
    let id = RuleId { dependency: "d".to_owned(), route: route.to_owned(), backend: "v2" };
    lane.counts().rule(id, 0)
}

fn counted(lane: &Lane) -> [u64; 5] {
    LaneResult::ALL.map(|result| lane.counts().counted(result))
}

/// Takes 8 KiB of stack for each level.
fn nest(levels: u64) -> u64 {
    let page = std::hint::black_box([levels; 1024]);
    if levels == 0 { 0 } else { page[7] - levels + 1 + nest(levels - 1) }
}

/// A job that ends when its sender is dropped.
fn stuck() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
    let (end, ended) = mpsc::channel();
    (end, move || {
        let _: Result<(), _> = ended.recv();
    })
}

/// Runs a job that does not end; one that does not even begin, on a busy machine, is tried again.
async fn stick(lane: &Lane, rule: &Arc<RuleState>) -> mpsc::Sender<()> {
    loop {
        let (end, job) = stuck();
        match lane.run(Some(rule), SOON, job).await {
            Err(NotRun::Deadline) => return end,
            other => assert_eq!(other, Err(NotRun::Busy)),
        }
    }
}

#[tokio::test]
async fn runs_jobs_on_threads_of_its_own() {
    let lane = lane();
    let a = rule(&lane, "a");
    let name = lane.run(Some(&a), LATE, || std::thread::current().name().map(ToOwned::to_owned)).await;
    assert_eq!(name, Ok(Some("rules".to_owned())));
    assert_eq!(lane.run(Some(&a), LATE, || nest(500)).await, Ok(500), "its stack is large");
    assert_eq!(counted(&lane), [2, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_panic_is_an_answer_and_its_thread_goes_on() {
    let lane = lane();
    let a = rule(&lane, "a");
    for _ in 0..5 {
        assert_eq!(lane.run(Some(&a), LATE, || panic!("on purpose")).await, Err::<(), _>(NotRun::Panic));
    }
    assert_eq!(lane.run(Some(&a), LATE, || 1).await, Ok(1));
    assert_eq!(counted(&lane), [1, 5, 0, 0, 0]);
    assert!(lane.0.lock().threads <= THREADS);
}

#[tokio::test]
async fn a_job_that_does_not_end_poisons_its_rule_and_no_other() {
    let lane = lane();
    let (a, b) = (rule(&lane, "a"), rule(&lane, "b"));
    let end = stick(&lane, &a).await;
    assert_eq!(lane.run(Some(&a), LATE, || 1).await, Err(NotRun::Poisoned));
    assert_eq!(lane.run(Some(&b), LATE, || 2).await, Ok(2));
    let [done, _, deadline, _, poisoned] = counted(&lane);
    assert_eq!((done, deadline, poisoned), (1, 1, 1));
    let now = Instant::now();
    assert_eq!(lane.counts().poisoned(now).into_values().collect::<Vec<_>>(), [true, false]);
    assert_eq!(lane.0.lock().lost, 1);
    drop(end);
}

#[tokio::test]
async fn lost_threads_are_replaced_a_few_times_and_come_back() {
    let lane = lane();
    let rules: Vec<_> = (0..MOST_LOST + THREADS).map(|n| rule(&lane, &n.to_string())).collect();
    let mut ends = Vec::new();
    for rule in &rules {
        ends.push(stick(&lane, rule).await);
    }
    let b = rule(&lane, "b");
    assert_eq!(lane.run(Some(&b), SOON, || 1).await, Err(NotRun::Busy), "all threads are lost");
    let counts = |state: MutexGuard<'_, State>| (state.lost, state.threads, state.waiting.len());
    assert_eq!(counts(lane.0.lock()), (MOST_LOST, THREADS, 0), "a job that nobody waits for leaves the queue");
    drop(ends);
    assert_eq!(lane.run(Some(&b), LATE, || 2).await, Ok(2));
}

#[tokio::test]
async fn too_many_waiting_jobs_are_refused_at_once() {
    let lane = lane();
    let a = rule(&lane, "a");
    let local = tokio::task::LocalSet::new();
    let lane = std::rc::Rc::new(lane);
    local
        .run_until(async {
            let mut ends = Vec::new();
            let mut tasks = Vec::new();
            for _ in 0..THREADS + MOST_WAITING {
                let (end, job) = stuck();
                ends.push(end);
                let (shared, a) = (std::rc::Rc::clone(&lane), Arc::clone(&a));
                tasks.push(tokio::task::spawn_local(async move { shared.run(Some(&a), LATE, job).await }));
                // The first jobs leave the queue before it can be filled.
                while tasks.len() <= THREADS && lane.0.lock().running.len() < tasks.len() {
                    tokio::task::yield_now().await;
                }
            }
            while lane.0.lock().waiting.len() < MOST_WAITING {
                tokio::task::yield_now().await;
            }
            assert_eq!(lane.run(Some(&a), LATE, || 1).await, Err(NotRun::Busy));
            drop(ends);
            for task in tasks {
                assert_eq!(task.await.expect("no panic"), Ok(()));
            }
        })
        .await;
    assert_eq!(counted(&lane)[..4], [(THREADS + MOST_WAITING) as u64, 0, 0, 1]);
}

#[tokio::test]
async fn jobs_end_with_their_lane() {
    let lane = lane();
    let a = rule(&lane, "a");
    let inner = Arc::downgrade(&lane.0);
    assert_eq!(lane.run(Some(&a), LATE, || 1).await, Ok(1));
    drop(lane);
    while inner.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}
