//! Retries: what is asked once more, what is not, and that a consumer's request stays one request.

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, Request, World, soon};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";
/// Everything may be retried, so that a test need not fill a budget first.
const RETRY: &str = "retry = { attempts = 2, budget_percent = 100, backoff = \"1ms\", idempotent = [\"PUT\"] }";

async fn retrying(v1: &Origin, v2: &Origin, retry: &str) -> Proxy {
    World::new().v1(v1).v2(v2).v2_with(retry).rollout(SHADOW).start().await
}

/// One request after the other, each with its shadow: only then it is known which try is which.
async fn one_by_one(proxy: &Proxy, requests: usize) -> Metrics {
    let mut metrics = proxy.metrics().await;
    for user in 0..requests {
        proxy.burst(user..user + 1).await;
        let scored = |metrics: &Metrics| metrics.outcomes("v2").iter().sum::<u64>() == user as u64 + 1;
        metrics = proxy.until("its shadow", scored).await;
    }
    metrics
}

fn every_second(bad: Behaviour) -> Behaviour {
    Behaviour::Alternate(Box::new(bad), Box::new(Behaviour::Answer(Reply::rich())))
}

fn retries(metrics: &Metrics, result: &str) -> u64 {
    metrics.count("crossfade_retries_total", &[("backend", "v2"), ("result", result)])
}

fn first_tries(metrics: &Metrics) -> [u64; 2] {
    let count = |outcome| [("backend", "v2"), ("outcome", outcome)];
    ["rich", "fallback"].map(|outcome| metrics.count("crossfade_first_try_outcomes_total", &count(outcome)))
}

#[tokio::test]
async fn a_failed_try_is_followed_by_another_and_one_outcome() {
    for status in [502, 503, 504] {
        let (bad, requests) = (Behaviour::Answer(Reply::new(status, "busy")), 3);
        let what = format!("{bad:?}");
        let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(every_second(bad)));
        let proxy = retrying(&v1, &v2, RETRY).await;
        let metrics = one_by_one(&proxy, requests).await;
        let counted = requests as u64;
        assert_eq!(metrics.outcomes("v2"), [counted, 0, 0], "{what}");
        assert_eq!((retries(&metrics, "success"), retries(&metrics, "failure")), (counted, 0), "{what}");
        assert_eq!(first_tries(&metrics), [0, counted], "{what}: what it would have been without retries");
        assert_eq!((v1.count(), v2.count()), (requests, 2 * requests), "{what}");
        proxy.at_rest().await;
    }
}

#[tokio::test]
async fn a_reset_before_the_answer_is_followed_by_another_try() {
    for bad in [Behaviour::ResetBeforeHead, Behaviour::ResetInHead] {
        let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(bad));
        let proxy = retrying(&v1, &v2, RETRY).await;
        let metrics = one_by_one(&proxy, 3).await;
        assert_eq!(metrics.fallbacks("v2", "reset"), 3);
        assert_eq!(retries(&metrics, "failure"), 3);
        // Beside these, a reset of a connection that was there before may be its peer's idle timeout: that is no try.
        assert!((6..=8).contains(&v2.count()), "{}", v2.count());
    }
}

#[tokio::test]
async fn the_status_shows_both_rates() {
    let bad = Behaviour::Answer(Reply::new(503, "busy"));
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(every_second(bad)));
    let proxy = retrying(&v1, &v2, RETRY).await;
    one_by_one(&proxy, 2).await;
    let both = async {
        loop {
            let rates = proxy.dependency().await["hit_rates"]["5m"].clone();
            if (rates["v2"]["rich"].as_u64(), rates["v2_first_try"]["fallback"].as_u64()) == (Some(2), Some(2)) {
                return;
            }
        }
    };
    soon("two rich answers at the second try", both).await;
}

#[tokio::test]
async fn a_connection_that_nobody_accepts_is_tried_again() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Refuse));
    let proxy = retrying(&v1, &v2, RETRY).await;
    proxy.burst(0..3).await;
    let metrics = proxy.until("three fallbacks", |metrics| metrics.fallbacks("v2", "connect") == 3).await;
    assert_eq!(retries(&metrics, "failure"), 3);
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_another_when_it_has_a_limit_of_its_own() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(every_second(Behaviour::Hang)));
    let limited = RETRY.replace(" }", ", try_timeout = \"200ms\" }");
    let proxy = retrying(&v1, &v2, &limited).await;
    let metrics = one_by_one(&proxy, 2).await;
    assert_eq!(metrics.outcomes("v2"), [2, 0, 0]);
    assert_eq!(retries(&metrics, "success"), 2);
    proxy.at_rest().await;
}

#[tokio::test]
async fn without_a_limit_of_its_own_a_try_takes_the_whole_timeout() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Hang));
    let proxy = retrying(&v1, &v2, &format!("{RETRY}\ntimeout = \"300ms\"")).await;
    proxy.burst(0..1).await;
    let metrics = proxy.until("a timeout", |metrics| metrics.fallbacks("v2", "timeout") == 1).await;
    assert_eq!((v2.count(), retries(&metrics, "failure")), (1, 0), "{metrics:?}");
}

#[tokio::test]
async fn other_answers_stand() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(500, "broken")));
    let proxy = retrying(&v1, &v2, RETRY).await;
    for status in [500, 404, 429, 200] {
        v2.behave(Behaviour::Answer(Reply::new(status, "x")));
        proxy.burst(0..1).await;
    }
    v2.behave(Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()));
    proxy.burst(0..1).await;
    v2.until_received(5).await;
    let all = |metrics: &Metrics| metrics.outcomes("v2").iter().sum::<u64>() == 5;
    let metrics = proxy.until("five outcomes", all).await;
    assert_eq!((v2.count(), metrics.count("crossfade_retries_total", &[])), (5, 0));
}

#[tokio::test]
async fn only_methods_that_may_be_sent_twice_are() {
    let bad = Reply::new(503, "busy");
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(bad));
    let proxy = retrying(&v1, &v2, RETRY).await;
    for (method, tries) in [("GET", 2), ("HEAD", 2), ("OPTIONS", 2), ("PUT", 2), ("POST", 1), ("DELETE", 1)] {
        let before = v2.count();
        proxy.send(&Request::new(method, "/recommendations/user-1")).await;
        v2.until_received(before + tries).await;
        proxy.at_rest().await;
        assert_eq!(v2.count() - before, tries, "{method}");
    }
}

#[tokio::test]
async fn a_small_body_is_sent_again_whole_and_a_large_one_is_not() {
    let bad = Behaviour::Answer(Reply::new(503, "busy"));
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(every_second(bad)));
    let proxy = retrying(&v1, &v2, RETRY).await;
    let put =
        |length: usize| Request { method: "PUT".to_owned(), ..Request::post("/recommendations/a", vec![b'p'; length]) };
    for length in [1, 10_000, 64 << 10] {
        let before = v2.count();
        proxy.send(&put(length)).await;
        v2.until_received(before + 2).await;
        proxy.at_rest().await;
        let received = v2.received();
        let [first, second] = &received[before..] else { panic!("{} requests", received.len() - before) };
        assert_eq!((first.body_length, second.body_length), (length, length));
        assert_eq!((first.body_hash, &first.headers), (second.body_hash, &second.headers));
    }
    let before = v2.count();
    proxy.send(&put((64 << 10) + 1)).await;
    let gone = |metrics: &Metrics| retries(metrics, "body_gone") == 1;
    proxy.until("the large body is sent once", gone).await;
    let metrics = proxy.at_rest().await;
    assert_eq!(v2.count() - before, 1);
    assert_eq!(metrics.value("crossfade_shadow_memory_bytes", &[]), Some(0.0), "what was kept is given back");
}

#[tokio::test]
async fn retries_never_exceed_their_share_of_the_requests() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(503, "busy")));
    let proxy = retrying(&v1, &v2, &RETRY.replace("100", "20")).await;
    // One connection is one worker, and so one budget.
    proxy.burst(0..50).await;
    let metrics = proxy.until("50 fallbacks", |metrics| metrics.fallbacks("v2", "status") == 50).await;
    assert_eq!((retries(&metrics, "failure"), retries(&metrics, "over_budget")), (10, 40));
    assert_eq!(v2.count(), 60);
}

#[tokio::test]
async fn a_backend_that_asks_to_be_left_alone_is_left_alone() {
    let (v1, v2) =
        (Origin::answering(Reply::rich()), Origin::answering(Reply::new(503, "").header("retry-after", "60")));
    let proxy = retrying(&v1, &v2, RETRY).await;
    proxy.burst(0..1).await;
    let metrics = proxy.until("a fallback", |metrics| metrics.fallbacks("v2", "status") == 1).await;
    assert_eq!((v2.count(), retries(&metrics, "too_late")), (1, 1));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_asked_for_again() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::ResetInBody));
    let proxy = retrying(&v1, &v2, RETRY).await;
    proxy.burst(0..1).await;
    let metrics = proxy.until("a reset", |metrics| metrics.fallbacks("v2", "reset") == 1).await;
    assert_eq!((v2.count(), metrics.count("crossfade_retries_total", &[])), (1, 0));
}

#[tokio::test]
async fn a_primary_is_retried_as_well_and_its_consumer_sees_one_answer() {
    let bad = Behaviour::Answer(Reply::new(503, "busy"));
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(every_second(bad)));
    let proxy = World::new().v1(&v1).v2(&v2).v2_with(RETRY).rollout("stage = \"complete\"").start().await;
    for answer in proxy.burst(0..5).await {
        assert_eq!((answer.status, answer.header("crossfade-served-by")), (200, Some("v2")));
    }
    let put = Request { method: "PUT".to_owned(), ..Request::post("/recommendations/user-1", vec![b'p'; 30_000]) };
    assert_eq!(proxy.send(&put).await.status, 200);
    let six = |metrics: &Metrics| metrics.count("crossfade_requests_total", &[("code", "2xx")]) == 6;
    let metrics = proxy.until("six answers", six).await;
    assert_eq!(retries(&metrics, "success"), 6);
    assert_eq!(v2.count(), 12);
}

#[tokio::test]
async fn without_the_table_no_answer_comes_from_a_second_try() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(503, "busy")));
    let proxy = retrying(&v1, &v2, "timeout = \"2s\"").await;
    proxy.burst(0..5).await;
    let metrics = proxy.until("five fallbacks", |metrics| metrics.fallbacks("v2", "status") == 5).await;
    assert_eq!(metrics.count("crossfade_retries_total", &[]), 0);
    assert_eq!(first_tries(&metrics), [0, 5]);
    // At most one for each worker, to know what retries would save.
    assert!((5..=7).contains(&v2.count()), "{}", v2.count());
}

#[tokio::test]
async fn a_retry_waits_for_its_pause_within_the_deadline() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::new(503, "busy")));
    let slow = RETRY.replace("1ms", "10s");
    let proxy = retrying(&v1, &v2, &format!("{slow}\ntimeout = \"1s\"")).await;
    proxy.burst(0..1).await;
    let metrics = proxy.until("a fallback", |metrics| metrics.fallbacks("v2", "status") == 1).await;
    assert_eq!((v2.count(), retries(&metrics, "too_late")), (1, 1));
    assert!(proxy.metrics().await.count("crossfade_backend_duration_seconds_count", &[("backend", "v2")]) == 1);
}
