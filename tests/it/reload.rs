//! A new rollout file: applied within a second however it was written, and never when it is wrong.

use std::time::{Duration, Instant};

use crate::world::{Metrics, Origin, Proxy, Reply, Request, World, Write, soon};

/// What the documentation promises, from the write to the first scrape that shows it.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);

fn at(percent: u32) -> String {
    format!("stage = \"cutover\"\npercent = {percent}\nslo = 0.95\nmode = \"observe\"")
}

async fn world() -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(&at(1)).start().await;
    (proxy, v1, v2)
}

fn ceiling(metrics: &Metrics) -> Option<f64> {
    metrics.percent("ceiling")
}

fn is_good(metrics: &Metrics) -> bool {
    metrics.value("crossfade_config_last_reload_successful", &[("file", "rollout")]) == Some(1.0)
}

async fn assert_applied_in_time(proxy: &mut Proxy, how: Write) {
    for percent in [20, 30, 10] {
        let written = Instant::now();
        proxy.write_rollout(how, &at(percent));
        proxy.until(&format!("{percent} % by {how:?}"), |it| ceiling(it) == Some(f64::from(percent))).await;
        assert!(written.elapsed() < APPLIED_WITHIN, "{how:?}: {percent} % after {:?}", written.elapsed());
    }
    assert!(is_good(&proxy.metrics().await));
}

#[tokio::test]
async fn a_rewrite_in_place_is_applied() {
    let (mut proxy, _v1, _v2) = world().await;
    assert_applied_in_time(&mut proxy, Write::InPlace).await;
}

#[tokio::test]
async fn an_atomic_rename_is_applied() {
    let (mut proxy, _v1, _v2) = world().await;
    assert_applied_in_time(&mut proxy, Write::Rename).await;
}

#[tokio::test]
async fn delete_and_recreate_is_applied() {
    let (mut proxy, _v1, _v2) = world().await;
    assert_applied_in_time(&mut proxy, Write::Recreate).await;
}

#[tokio::test]
async fn a_config_map_swap_is_applied() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let mut proxy = World::new().v1(&v1).v2(&v2).rollout(&at(1)).behind_links().start().await;
    assert_applied_in_time(&mut proxy, Write::LinkSwap).await;
}

/// The ways in which a file can be wrong: syntax, an unknown key, a value out of range, an unknown dependency.
const BAD_FILES: [(&str, &str); 4] = [
    ("[recs]\nstage = \"cutover\"\npercent = = 5\n", "rollout.toml:3:"),
    ("[recs]\nstage = \"cutover\"\nslo = 0.95\npercent = 5\n  precent = 7\n", "rollout.toml:5:3"),
    ("[recs]\nstage = \"cutover\"\nslo = 0.95\npercent = 101\n", "rollout.toml:4:11"),
    ("[rex]\nstage = \"off\"\n", "rollout.toml:1:2"),
];

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_where_it_is_wrong() {
    let (mut proxy, _v1, _v2) = world().await;
    let revision = proxy.status().await["revision"].clone();
    for (text, place) in BAD_FILES {
        proxy.write_rollout_file(text);
        let metrics = proxy.until("a failed reload", |metrics| !is_good(metrics)).await;
        assert_eq!(ceiling(&metrics), Some(1.0), "the last good rollout stays");
        assert_eq!(proxy.status().await["revision"], revision);
        let shown = proxy.status().await["files"]["rollout"].to_string();
        assert!(shown.contains(place), "{place} is not in {shown}");
        proxy.until_logged(place).await;
        proxy.write_rollout(Write::Rename, &at(1));
        proxy.until("a good reload", is_good).await;
        let shown = proxy.status().await["files"]["rollout"].to_string();
        assert!(!shown.contains(place), "{place} is still in {shown}");
    }
}

#[tokio::test]
async fn a_bad_file_is_reported_once() {
    let (mut proxy, _v1, _v2) = world().await;
    let failed = |metrics: &Metrics| {
        metrics.count("crossfade_config_reloads_total", &[("file", "rollout"), ("result", "failure")])
    };
    proxy.write_rollout_file(BAD_FILES[1].0);
    proxy.until("a failed reload", |metrics| failed(metrics) == 1).await;
    // The file is looked at again and again; only another content is news.
    proxy.write_rollout(Write::Rename, &at(2));
    let metrics = proxy.until("a good reload", is_good).await;
    assert_eq!(failed(&metrics), 1);
    proxy.until_logged("event=\"edit\"").await;
    assert_eq!(proxy.log().matches(" ERROR ").count(), 1, "one error, one line for people");
}

#[tokio::test]
async fn a_changed_secret_is_in_force_within_a_second_and_costs_no_connection() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let key = "request = { set = { x-api-key = { file = \"key\" } } }";
    let world = World::new().v1(&v1).v2(&v2).v2_with(key).file("key", "old\n").file("token", "old\n");
    let world = world.top("admin_auth = { token_file = \"token\" }").rollout("stage = \"complete\"");
    let proxy = world.start().await;
    let mut client = proxy.connect().await;
    let probe = |token: &str| Request::get("/").header("crossfade-backend", "v2").header("crossfade-token", token);
    assert_eq!(soon("an answer", client.send(&probe("old"))).await.expect("an answer").status, 200);
    assert_eq!(v2.received()[0].header("x-api-key"), Some("old"));
    for (name, key) in [("key", "new"), ("key", "newer"), ("token", "newer")] {
        let written = Instant::now();
        proxy.write_file(name, key);
        let in_force = async {
            loop {
                let answer = client.send(&if name == "key" { Request::get("/") } else { probe(key) }).await;
                let sent = v2.received().last().and_then(|last| last.header("x-api-key").map(str::to_owned));
                if answer.expect("an answer").status == 200
                    && sent.as_deref() == Some(if name == "key" { key } else { "newer" })
                {
                    return;
                }
            }
        };
        soon("the new secret", in_force).await;
        assert!(written.elapsed() < APPLIED_WITHIN, "{name}: {:?}", written.elapsed());
    }
    assert!(v2.connections() <= 2, "the pool of each of two workers outlives the secret");
    assert!(!proxy.log().contains("newer"), "no secret in the log");
}

#[tokio::test]
async fn sighup_and_the_admin_port_reload_at_once() {
    let (mut proxy, _v1, _v2) = world().await;
    proxy.write_rollout(Write::InPlace, &at(40));
    proxy.signal("HUP");
    proxy.until("40 %", |metrics| ceiling(metrics) == Some(40.0)).await;

    proxy.write_rollout(Write::InPlace, &at(60));
    let answer = proxy.admin_post("/api/v1/reload", "").await;
    assert_eq!(answer.status / 100, 2, "{}", answer.text());
    assert_eq!(ceiling(&proxy.metrics().await), Some(60.0), "applied when the answer is there");

    proxy.write_rollout_file(BAD_FILES[2].0);
    let answer = proxy.admin_post("/api/v1/reload", "").await;
    assert_eq!(answer.status / 100, 4, "{}", answer.text());
    assert!(answer.text().contains(BAD_FILES[2].1), "{}", answer.text());
    assert_eq!(ceiling(&proxy.metrics().await), Some(60.0));
}

#[tokio::test]
async fn the_same_content_again_is_no_new_revision() {
    let (mut proxy, _v1, _v2) = world().await;
    let before = proxy.status().await["revision"].clone();
    proxy.write_rollout(Write::Rename, &at(1));
    let answer = proxy.admin_post("/api/v1/reload", "").await;
    assert_eq!(answer.status / 100, 2);
    assert_eq!(proxy.status().await["revision"], before);
    proxy.write_rollout(Write::Rename, &at(2));
    proxy.until("2 %", |metrics| ceiling(metrics) == Some(2.0)).await;
    assert_ne!(proxy.status().await["revision"], before);
}
