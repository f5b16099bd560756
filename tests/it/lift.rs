//! Why V2 falls back, told from traffic of a known mix.

use std::time::Instant;

use serde_json::Value;

use crate::world::{Behaviour, Origin, PATIENCE, Proxy, Reply, World};

const RULES: &str = "status = [200]\nrequired = [\"/name\", \"/items\"]\nnon_empty = [\"/items\"]";

async fn rows(proxy: &Proxy) -> Vec<Value> {
    let output = proxy.command(&["lift", "recs", "--output", "json"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let routes: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    routes.as_array().expect("a list").clone()
}

fn reply(status: u16, body: &str) -> Behaviour {
    Behaviour::Answer(Reply::new(status, body).header("content-type", "application/json"))
}

#[tokio::test]
async fn causes_are_ranked_by_what_mending_them_gives() {
    const RICH: &str = r#"{"name":"a","items":[1]}"#;
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let rules = format!("[[dependency.recs.route]]\nname = \"list\"\n[dependency.recs.route.score]\n{RULES}\n");
    let proxy = World::new().v1(&v1).v2(&v2).routes(&rules).rollout("stage = \"shadow\"\nslo = 0.95").start().await;
    let mut users = 0;
    // A known mix: what V1 and V2 answer, and how often.
    for (from_v1, from_v2, times) in [
        ((200, RICH), (200, RICH), 60),
        ((200, RICH), (200, r#"{"fullName":"a","items":[1]}"#), 10),
        ((200, RICH), (200, r#"{"fullName":"a","items":[]}"#), 15),
        ((200, r#"{"name":"a","items":[]}"#), (200, r#"{"name":"a","items":[]}"#), 5),
        ((200, RICH), (401, "{}"), 8),
        ((200, RICH), (404, "{}"), 2),
    ] {
        v1.behave(reply(from_v1.0, from_v1.1));
        v2.behave(reply(from_v2.0, from_v2.1));
        proxy.burst(users..users + times).await;
        users += times;
        proxy.until("all scored", |metrics| metrics.outcomes("v2").iter().sum::<u64>() == users as u64).await;
    }
    proxy.at_rest().await;
    let routes = rows(&proxy).await;
    assert_eq!(routes.len(), 1, "{routes:#?}");
    let lift = &routes[0];
    let told: Vec<_> = lift["rows"].as_array().expect("rows").iter().map(told).collect();
    assert_eq!(
        told,
        [
            ("missing /name".to_owned(), [25, 63, 70, 70, 0]),
            ("empty /items".to_owned(), [20, 50, 65, 90, 5]),
            ("auth ".to_owned(), [8, 20, 68, 98, 0]),
            ("status ".to_owned(), [2, 5, 62, 100, 0]),
        ]
    );
    assert_eq!((&lift["route"], &lift["answers"], &lift["hit_rate"]), (&"list".into(), &100.into(), &0.6.into()));
    let pairs = &lift["quadrants"];
    assert_eq!([&pairs["both_rich"], &pairs["only_v1_rich"], &pairs["neither_rich"]], [60, 35, 5], "{pairs}");
    let text = proxy.command(&["lift", "recs", "--route", "list"]).await;
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.contains("list: V2 at 60.00 % of 100 in the last hour") && text.contains("90.00 %"), "{text}");
}

/// Cause and place; count, and in percent: share, alone, with those above; inherited.
fn told(row: &Value) -> (String, [i64; 5]) {
    let percent = |key: &str| (row[key].as_f64().expect("a share") * 100.0).round() as i64;
    let count = |key: &str| row[key].as_i64().expect("a count");
    let name = format!("{} {}", row["cause"].as_str().expect("a cause"), row["place"].as_str().unwrap_or_default());
    (name, [count("count"), percent("share"), percent("alone"), percent("together"), count("inherited")])
}

#[tokio::test]
async fn second_tries_that_nobody_sees_tell_what_retries_would_save() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    // Of two requests one fails; the one after it, a second try or not, does not.
    let broken = Behaviour::Answer(Reply::new(503, ""));
    v2.behave(Behaviour::Alternate(Box::new(broken), Box::new(Behaviour::Answer(Reply::rich()))));
    let proxy = World::new().v1(&v1).v2(&v2).rollout("stage = \"shadow\"\nslo = 0.95").start().await;
    let (mut users, begun) = (0, Instant::now());
    let retry = loop {
        assert!(begun.elapsed() < 2 * PATIENCE, "no advice after {users} requests");
        proxy.burst(users..users + 20).await;
        users += 20;
        proxy.until("all scored", |metrics| metrics.outcomes("v2").iter().sum::<u64>() == users as u64).await;
        if let Some(retry) = rows(&proxy).await.first().and_then(|route| route["retry"].as_object().cloned()) {
            break retry;
        }
    };
    let causes = &retry["causes"][0];
    assert_eq!(causes["cause"], "status", "{retry:?}");
    assert!(causes["tried"].as_u64() >= Some(10) && causes["saved"].as_f64() > Some(0.0), "{retry:?}");
    let metrics = proxy.at_rest().await;
    assert_eq!(metrics.outcomes("v2").iter().sum::<u64>(), users as u64, "trials are in no hit rate");
    assert!(v2.count() > users, "but V2 got them");
    let text = proxy.command(&["lift", "recs"]).await;
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.contains("2 attempts with 50 ms between them would have saved"), "{text}");
    assert!(text.contains("retry = { attempts = 2, backoff = \"50ms\""), "{text}");
}
