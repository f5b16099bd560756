//! A secret in every place that a request or an answer has appears in none of those where crossfade writes.

use std::path::Path;

use crate::world::{Behaviour, Origin, Proxy, Reply, Request, World};

const CANARY: &str = "canary-s3cret";
const ROUTES: &str = r#"
[[dependency.recs.route]]
name = "list"
match = { path = "/recommendations/{user}" }
score = { required = ["/items", "/name"], non_empty = ["/items"], rich = ".name != null", matches = ["items"] }
"#;

/// An answer with the secret in its headers and its content; V2's lacks what the rules want.
fn answer(items: &str) -> Reply {
    let body = format!(r#"{{"{items}":["{CANARY}"],"token":"{CANARY}","nested":{{"deep":["{CANARY}"]}}}}"#);
    Reply::new(200, body)
        .header("content-type", "application/json")
        .header("set-cookie", CANARY)
        .header("x-secret", CANARY)
        .header("etag", &format!("\"{CANARY}\""))
}

/// Whether a file holds the secret, in UTF-8 or in UTF-16 as some stores write text.
fn holds(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn said(proxy: &Proxy, args: &[&str]) -> String {
    let output = proxy.command(args).await;
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_secret_in_requests_and_answers_is_written_nowhere() {
    let (v1, v2) = (Origin::answering(answer("items")), Origin::answering(answer("entries")));
    let mut proxy = World::new()
        .v1(&v1)
        .v2(&v2)
        .v2_with("request = { set = { x-api-key = { file = \"v2.key\" } } }\nretry = { attempts = 2 }")
        .file("v2.key", CANARY)
        .routes(ROUTES)
        .diff("noise = 100")
        .top("study = { pairs = 1000, cpu = 50 }")
        .rollout("stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]")
        .start()
        .await;
    proxy.restart_logging("trace").await;
    let request = |method: &str, body: &str| {
        Request {
            body: (!body.is_empty()).then(|| body.into()),
            ..Request::new(method, &format!("/recommendations/{CANARY}?q={CANARY}"))
        }
        .header("authorization", format!("Bearer {CANARY}"))
        .header("cookie", format!("session={CANARY}"))
        .header("x-user-id", CANARY)
        .header("x-other", CANARY)
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    };
    for round in 0..6 {
        match round {
            3 => v2.behave(Behaviour::Garbage(format!("HTTP/1.1 {CANARY}\r\n\r\n").into_bytes())),
            4 => v2.behave(Behaviour::Answer(Reply::new(401, CANARY).header("www-authenticate", CANARY))),
            5 => v2.behave(Behaviour::Truncated(answer("items"))),
            _ => {}
        }
        proxy.send(&request("GET", "")).await;
        proxy.send(&request("POST", &format!("{{\"password\":\"{CANARY}\"}}"))).await;
    }
    // What is refused has been read as well.
    proxy.send(&request("GET", "").header("crossfade-backend", "v2").header("crossfade-token", CANARY)).await;
    proxy.until("both scored", |metrics| metrics.outcomes("v2").iter().sum::<u64>() == 12).await;
    proxy.at_rest().await;
    proxy
        .command(&["probe", "recs", "--path", &format!("/recommendations/{CANARY}"), "-H", &format!("x-a: {CANARY}")])
        .await;
    proxy.verb("pause").await;

    let mut told = vec![("metrics".to_owned(), proxy.admin_get("/metrics").await.text().to_owned())];
    let all = ["", "/why", "/history", "/lift", "/diff", "/samples", "/report"];
    for path in all.map(|path| format!("/api/v1/dependencies/recs{path}")).into_iter().chain(["/".to_owned()]) {
        let answer = proxy.admin_get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        told.push((path, answer.text().to_owned()));
    }
    told.push(("events".to_owned(), proxy.listen("last-event-id: 0\r\n", "event: pause").await));
    let commands: [&[&str]; 7] = [
        &["status"],
        &["lift", "recs"],
        &["diff", "recs"],
        &["diff", "recs", "--suggest"],
        &["samples", "recs"],
        &["report", "recs"],
        &["history", "recs"],
    ];
    for args in commands {
        told.push((args.join(" "), said(&proxy, args).await));
    }
    let samples = told.iter().find(|(place, _)| place.ends_with("/samples")).map(|(_, text)| text.as_str());
    assert!(samples.is_some_and(|text| text.contains("\"token\"")), "there is something to find: {samples:?}");
    told.push(("log".to_owned(), proxy.log()));
    assert!(told.last().is_some_and(|(_, log)| log.contains("DEBUG")), "everything is logged");
    proxy.signal("TERM");
    proxy.exit().await;
    for (place, text) in &told {
        let at = text.find(CANARY).map(|at| &text[at.saturating_sub(200)..(at + 100).min(text.len())]);
        assert_eq!(at, None, "the secret is in {place}");
    }
    let data = std::path::PathBuf::from(proxy.path("data"));
    let written = files(&data);
    assert!(written.len() >= 2, "{written:?}");
    assert_eq!(written.iter().filter(|path| holds(path)).collect::<Vec<_>>(), Vec::<&std::path::PathBuf>::new());
}
