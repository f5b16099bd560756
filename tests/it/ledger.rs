//! What happened is not forgotten: not by a crash at any instant, not by a full disk.

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, World};

const ENFORCED: &str = "stage = \"cutover\"\npercent = 50\nslo = 0.95\nblip = \"0s\"\nkey = [\"header:x-user-id\"]";

async fn world(v1: &Origin, v2: &Origin) -> Proxy {
    World::new().v1(v1).v2(v2).rollout(ENFORCED).start().await
}

fn is_writable(metrics: &Metrics) -> bool {
    metrics.value("crossfade_ledger_writable", &[]) == Some(1.0)
}

/// Newest first.
async fn history(proxy: &Proxy, query: &str) -> Vec<serde_json::Value> {
    let answer = proxy.admin_get(&format!("/api/v1/dependencies/recs/history{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("a list").clone()
}

fn ids(events: &[serde_json::Value]) -> Vec<u64> {
    events.iter().map(|event| event["id"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn no_event_is_lost_or_doubled_by_kill_9_at_any_instant() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    let mut told = Vec::new();
    for round in 0..6 {
        for verb in ["pause", "resume"].into_iter().cycle().take(round) {
            let answer = proxy.verb(verb).await;
            if answer.status == 200 {
                told.push(answer.json()["id"].as_u64().expect("a number"));
            }
        }
        proxy.kill9().await;
        proxy.restart().await;
    }
    let mut kept = ids(&history(&proxy, "").await);
    kept.reverse();
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "{kept:?}");
    assert!(told.iter().all(|id| kept.contains(id)), "told {told:?}, kept {kept:?}");
    assert_eq!(kept.len(), told.len());
}

#[tokio::test]
async fn a_rollback_is_told_with_its_evidence_after_a_restart() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Answer(Reply::fallback())));
    let mut proxy = world(&v1, &v2).await;
    proxy.burst(0..100).await;
    proxy.until("a rollback", |metrics| metrics.count("crossfade_rollbacks_total", &[]) == 1).await;
    proxy.verb("pause").await;
    proxy.kill9().await;
    proxy.restart().await;
    let events = history(&proxy, "?kind=rollback").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0]["verdict"]["evidence"]["samples"].as_u64() > Some(0), "{events:?}");
    assert_eq!(proxy.dependency().await["events"][1]["kind"], "rollback", "the status knows it too");
    let why = proxy.admin_get("/api/v1/dependencies/recs/why?limit=50").await.json();
    let rolled_back = why.as_array().expect("a list").iter().any(|verdict| verdict["verdict"] == "rollback");
    assert!(rolled_back, "{why}");
    assert_eq!(proxy.admin_get("/api/v1/dependencies/nobody/why").await.status, 404);
    assert_eq!(proxy.admin_get("/api/v1/dependencies/recs/history?kind=x").await.status, 400);
}

/// The percent that requests see.
async fn to_v2(proxy: &Proxy) -> usize {
    proxy.burst(0..100).await.iter().filter(|answer| answer.header("crossfade-served-by") == Some("v2")).count()
}

#[tokio::test]
async fn a_data_directory_that_is_away_at_the_start_holds_up_nothing_but_promotions() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    assert_eq!(proxy.verb("rollback").await.status, 200);
    proxy.kill9().await;
    proxy.move_data(true);
    proxy.write_file("data", "a file is no directory");
    proxy.restart().await;
    proxy.until("an alert", |metrics| !is_writable(metrics)).await;
    assert!(proxy.status().await["store_error"].is_string());
    let ready = proxy.admin_get("/readyz").await;
    assert!(ready.status == 200 && ready.text().contains("cannot be written"), "{}", ready.text());
    assert_eq!(to_v2(&proxy).await, 0, "nobody knows what was allowed");

    proxy.move_data(false);
    let is_back =
        |metrics: &Metrics| is_writable(metrics) && metrics.count("crossfade_phase", &[("phase", "rolled_back")]) == 1;
    proxy.until("what people said before", is_back).await;
    let kinds: Vec<_> = history(&proxy, "").await.iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["rollback"]);
    assert_eq!(proxy.verb("resume").await.status, 200, "the latch is a person's to lift");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_at_the_start_is_gone_on_with() {
    let observed = "stage = \"cutover\"\npercent = 50\nslo = 0.95\nmode = \"observe\"\nkey = [\"header:x-user-id\"]";
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = World::new().v1(&v1).v2(&v2).rollout(observed).start().await;
    proxy.until("the recorded percent", |metrics| metrics.percent("effective") == Some(50.0)).await;
    let before = to_v2(&proxy).await;
    proxy.kill9().await;
    // Nothing can be created beside the ledger, and the ledger cannot grow.
    proxy.restart_with_full_disk().await;
    proxy.until("an alert", |metrics| !is_writable(metrics)).await;
    assert_eq!(to_v2(&proxy).await, before, "what is recorded is in force");
}

#[tokio::test]
async fn a_full_disk_holds_up_nothing_but_promotions() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = world(&v1, &v2).await;
    proxy.limit_files(Some(1));
    assert_eq!(proxy.verb("pause").await.status, 200, "people are obeyed");
    proxy.until("an alert", |metrics| !is_writable(metrics)).await;
    assert_eq!(proxy.verb("rollback").await.status, 200, "people are obeyed");
    assert_eq!(proxy.get("/recommendations/user-1").await.status, 200);
    assert!(proxy.status().await["store_error"].is_string());

    proxy.limit_files(None);
    proxy.until("recovery", is_writable).await;
    let kinds: Vec<_> = history(&proxy, "").await.iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["rollback", "pause"], "what happened meanwhile is not lost");
}

/// A file of the data folder as a pipe: whoever opens it waits for the other end.
fn hang(proxy: &Proxy, file: &str) -> String {
    let path = proxy.path(&format!("data/{file}"));
    let _ = std::fs::remove_file(&path);
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("coreutils are installed");
    assert!(made.success());
    path
}

#[tokio::test]
async fn a_disk_that_hangs_at_the_start_holds_up_nothing_but_promotions() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = world(&v1, &v2).await;
    assert_eq!(proxy.verb("pause").await.status, 200);
    proxy.kill9().await;
    let [lock, _samples] = ["lock", "samples.jsonl"].map(|file| hang(&proxy, file));
    proxy.restart().await;
    proxy.until("an alert", |metrics| !is_writable(metrics)).await;
    assert!(proxy.status().await["store_error"].is_string());
    assert_eq!(to_v2(&proxy).await, 0, "nobody knows what was allowed");
    assert_eq!(proxy.verb("resume").await.status, 409, "verbs are heard: nobody knows of a pause");

    let other_end = tokio::task::spawn_blocking(move || std::fs::File::open(lock));
    let other_end = crate::world::soon("the ledger's thread", other_end).await.expect("no panic").expect("a pipe");
    let is_back =
        |metrics: &Metrics| is_writable(metrics) && metrics.count("crossfade_phase", &[("phase", "paused")]) == 1;
    proxy.until("what people said before", is_back).await;
    drop(other_end);
}
