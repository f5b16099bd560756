//! The test world's own parts: an origin does what its behaviour says, as seen without a proxy in between.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::world::{Behaviour, Client, Origin, Reply, Request, Response, ask, soon};

async fn ask_one(behaviour: Behaviour) -> io::Result<Response> {
    let origin = Origin::start(behaviour);
    ask(origin.address(), &Request::get("/")).await
}

#[tokio::test]
async fn good_behaviours_give_whole_answers() {
    let rich = Reply::rich();
    let pieces = vec![rich.body[..3].to_vec(), rich.body[3..].to_vec()];
    for behaviour in [
        Behaviour::Answer(rich.clone()),
        Behaviour::HitRate(100),
        Behaviour::Chunked(pieces),
        Behaviour::CloseDelimited(rich.clone()),
        Behaviour::InformationalFirst(rich.clone()),
        Behaviour::Trickle(rich.clone(), Duration::ZERO),
        Behaviour::HugeHead(100_000),
    ] {
        let what = format!("{behaviour:?}");
        let answer = ask_one(behaviour).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((answer.status, answer.body), (200, rich.body.clone()), "{what}");
    }
}

#[tokio::test]
async fn bad_behaviours_give_none() {
    let rich = Reply::rich;
    for (behaviour, expected) in [
        (Behaviour::Refuse, ErrorKind::ConnectionRefused),
        (Behaviour::ResetBeforeHead, ErrorKind::ConnectionReset),
        (Behaviour::ResetInHead, ErrorKind::ConnectionReset),
        (Behaviour::ResetInBody, ErrorKind::ConnectionReset),
        (Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), ErrorKind::UnexpectedEof),
        (Behaviour::Truncated(rich()), ErrorKind::UnexpectedEof),
    ] {
        let what = format!("{behaviour:?}");
        let error = ask_one(behaviour).await.expect_err(&what);
        assert_eq!(error.kind(), expected, "{what}");
    }
}

#[tokio::test]
async fn hit_rates_are_exact_and_switched_while_running() {
    let origin = Origin::start(Behaviour::HitRate(30));
    let mut client = Client::connect(origin.address()).await.expect("it listens");
    let request = Request::get("/");
    let mut rich = 0;
    for _ in 0..100 {
        let answer = client.send(&request).await.expect("an answer");
        rich += usize::from(answer.body == Reply::rich().body);
    }
    assert_eq!(rich, 30);
    origin.behave(Behaviour::Refuse);
    assert!(client.send(&request).await.is_err(), "open connections end as well");
    assert!(Client::connect(origin.address()).await.is_err());
    origin.behave(Behaviour::Answer(Reply::new(204, "")));
    assert_eq!(ask(origin.address(), &request).await.expect("open again").status, 204);
    assert_eq!(origin.count(), 101);
}

#[tokio::test]
async fn requests_are_recorded_and_echoed() {
    let origin = Origin::start(Behaviour::Echo);
    let request = Request::post("/a?b", "content").header("X-Case", "Kept");
    let answer = ask(origin.address(), &request).await.expect("an answer");
    assert!(answer.text().starts_with("POST /a?b\ncontent-length: 7\nx-case: Kept\n"), "{}", answer.text());
    let received = &origin.received()[0];
    assert_eq!((received.method.as_str(), received.target.as_str(), received.body_length), ("POST", "/a?b", 7));
    assert_eq!(received.headers[1], (b"X-Case".to_vec(), b"Kept".to_vec()));
}

#[tokio::test]
async fn slow_answers_wait_for_their_release_and_head_has_no_body() {
    let origin = Origin::start(Behaviour::SlowHead(Reply::rich()));
    let request = Request::new("HEAD", "/");
    let mut client = Client::connect(origin.address()).await.expect("it listens");
    client.start(&request).await.expect("it reads");
    origin.until_received(1).await;
    origin.release(1);
    let answer = soon("the answer", client.finish(&request)).await.expect("an answer");
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("17"), 0));
}
