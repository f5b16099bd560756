//! What the judges saw is recorded: they can be asked again, and asked what another rollout file would have done.

use serde_json::Value;

use crate::world::{Behaviour, Metrics, Origin, Proxy, Reply, World};

const ENFORCED: &str = "stage = \"cutover\"\npercent = 50\nsteps = [5, 50]\nslo = 0.95\nblip = \"0s\"\nbake = \"0s\"\n\
                        min_samples = 50\noverdispersion = \"off\"\nkey = [\"header:x-user-id\"]";

async fn backtest(proxy: &Proxy, args: &[&str]) -> Value {
    let args = [&["backtest", "--ledger", "data", "--output", "json"], args].concat();
    let output = proxy.command(&args).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

fn events(decisions: &Value) -> Vec<String> {
    let decisions = decisions.as_array().expect("a list").iter();
    let events = decisions.flat_map(|decision| decision["events"].as_array().cloned().unwrap_or_default());
    events.map(|event| event["kind"].as_str().expect("a kind").to_owned()).collect()
}

fn is_rolled_back(metrics: &Metrics) -> bool {
    metrics.count("crossfade_phase", &[("phase", "rolled_back")]) == 1
}

#[tokio::test]
async fn recorded_verdicts_are_reproduced_exactly_over_edits_verbs_and_kill_9() {
    let v1 = Origin::answering(Reply::rich());
    let v2 = Origin::start(Behaviour::Answer(Reply::rich()));
    let mut proxy = World::new().v1(&v1).v2(&v2).rollout(ENFORCED).start().await;
    proxy.burst(0..1500).await;
    proxy.until("a promotion", |metrics| metrics.percent("effective") > Some(0.0)).await;
    proxy.verb("pause").await;
    proxy.burst(0..50).await;
    proxy.kill9().await;
    proxy.restart().await;
    proxy.verb("resume").await;
    v2.behave(Behaviour::Answer(Reply::fallback()));
    proxy.burst(0..200).await;
    proxy.until("a rollback", is_rolled_back).await;
    v2.behave(Behaviour::Answer(Reply::rich()));
    proxy.apply(&ENFORCED.replace("percent = 50", "percent = 60")).await;
    proxy.burst(0..100).await;
    // A stop writes what is left.
    proxy.signal("TERM");
    proxy.exit().await;
    proxy.restart().await;

    let same = backtest(&proxy, &[]).await;
    assert_eq!((&same["differing"], &same["is_whole"]), (&Value::from(0), &Value::from(true)), "{same:#}");
    assert!(same["verdicts"].as_u64() > Some(2), "{same:#}");
    assert_eq!(same["replayed"], same["recorded"]);
    for kind in ["promote", "pause", "resume", "rollback", "edit"] {
        assert!(events(&same["replayed"]).contains(&kind.to_owned()), "{kind} is not in {same:#}");
    }

    proxy.write_file(
        "new.toml",
        &format!("[recs]\n{}\n", ENFORCED.replace("0.95", "0.2").replace("percent = 50", "percent = 70")),
    );
    let other = backtest(&proxy, &["--rollout", "new.toml"]).await;
    assert_eq!(other["recorded"], same["recorded"]);
    assert_ne!(other["replayed"], same["replayed"], "an SLO of 20 % is another judge");
    proxy.write_file("wrong.toml", "[nobody]\nstage = \"off\"\n");
    let wrong = proxy.command(&["backtest", "--ledger", "data", "--rollout", "wrong.toml"]).await;
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test]
async fn the_same_rollout_file_reproduces_what_was_recorded() {
    let v1 = Origin::answering(Reply::rich());
    let v2 = Origin::start(Behaviour::Answer(Reply::rich()));
    let mut proxy = World::new().v1(&v1).v2(&v2).rollout(ENFORCED).start().await;
    proxy.burst(0..200).await;
    v2.behave(Behaviour::Answer(Reply::fallback()));
    proxy.burst(0..200).await;
    proxy.until("a rollback", is_rolled_back).await;
    proxy.signal("TERM");
    proxy.exit().await;
    proxy.restart().await;
    let same = backtest(&proxy, &["--rollout", "rollout.toml"]).await;
    assert_eq!(same["differing"], 0, "{same:#}");
    assert_eq!(same["replayed"], same["recorded"]);
}
