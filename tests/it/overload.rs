//! Too much of everything: copies go first, consumers last, and every limit in time ends what it is there for.

use crate::world::{Behaviour, Metrics, Origin, Reply, Request, Response, World, soon};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";

#[tokio::test]
async fn shadows_are_shed_before_requests_are_refused() {
    let (v1, v2) = (Origin::start(Behaviour::SlowHead(Reply::rich())), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).limits("max_in_flight = 10").rollout(SHADOW).start().await;
    let request = Request::get("/recommendations/user-1");
    let mut clients = Vec::new();
    for n in 1..=10 {
        let mut client = proxy.connect().await;
        client.start(&request).await.expect("the proxy reads");
        v1.until_received(n).await;
        clients.push(client);
    }
    let overload = [("reason", "overload"), ("dependency", "recs")];
    let shed = |metrics: &Metrics| metrics.count("crossfade_shadow_skipped_total", &overload) == 2;
    proxy.until("two shadows shed: those beyond 80 %", shed).await;
    v2.until_received(8).await;

    let refused = proxy.send(&request).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(v1.count(), 10, "nobody hears of a refused request");

    v1.release(10);
    for client in &mut clients {
        assert_eq!(soon("an answer", client.finish(&request)).await.expect("an answer").status, 200);
    }
    let metrics = proxy.at_rest().await;
    assert_eq!((v2.count(), metrics.outcomes("v2")), (8, [8, 0, 0]));
    assert_eq!(metrics.count("crossfade_requests_total", &[("served_by", "none"), ("code", "5xx")]), 1);
    v1.behave(Behaviour::Answer(Reply::rich()));
    proxy.send(&request).await;
    proxy.until("shadows are back", |metrics| metrics.outcomes("v2") == [9, 0, 0]).await;
}

/// The one answer of a V2 that serves with these settings, and the cause that is counted.
async fn served_by(v2: &str, cause: &str) -> Response {
    let v1 = Origin::answering(Reply::rich());
    let proxy = World::new().v1(&v1).v2_with(v2).rollout("stage = \"complete\"").start().await;
    let answer = proxy.get("/recommendations/user-1").await;
    proxy.until(cause, |metrics| metrics.fallbacks("v2", cause) == 1).await;
    proxy.at_rest().await;
    answer
}

fn at(origin: &Origin, more: &str) -> String {
    format!("url = \"http://{}\"\n{more}", origin.address())
}

#[tokio::test]
async fn a_connection_that_is_never_accepted_ends_with_the_connect_timeout() {
    // A queue for one connection that nobody takes out, and it is taken: the kernel answers no other one.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("loopback has a free port");
    full.listen(0).expect("it is bound");
    let address = full.local_addr().expect("it is bound").as_socket().expect("an IP address");
    let _taken = tokio::net::TcpStream::connect(address).await.expect("there is room for one");
    let answer = served_by(&format!("url = \"http://{address}\"\nconnect_timeout = \"100ms\""), "connect").await;
    assert_eq!((answer.status, answer.header("proxy-status")), (504, Some("crossfade; error=connection_timeout")));
}

#[tokio::test]
async fn an_answer_that_never_begins_ends_with_the_timeout() {
    let v2 = Origin::start(Behaviour::Hang);
    let answer = served_by(&at(&v2, "timeout = \"300ms\""), "timeout").await;
    assert_eq!((answer.status, answer.header("proxy-status")), (504, Some("crossfade; error=http_response_timeout")));
}

#[tokio::test]
async fn a_body_that_stops_ends_with_the_idle_timeout() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::StallInBody));
    let world = World::new().v1(&v1).v2_with(&at(&v2, "idle_timeout = \"200ms\"")).rollout("stage = \"complete\"");
    let proxy = world.start().await;
    let mut client = proxy.connect().await;
    let request = Request::get("/recommendations/user-1");
    let cut = soon("the end of half an answer", client.send(&request)).await;
    assert!(cut.is_err(), "what was cut does not look whole");
    proxy.until("a timeout", |metrics| metrics.fallbacks("v2", "timeout") == 1).await;
    let metrics = proxy.at_rest().await;
    assert_eq!(metrics.count("crossfade_requests_total", &[("served_by", "v2"), ("code", "aborted")]), 1);
}

#[tokio::test]
async fn a_whole_shadow_is_due_at_the_timeout() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::StallInBody));
    let world = World::new().v1(&v1).v2(&v2).v2_with("timeout = \"300ms\"\nidle_timeout = \"1h\"");
    let proxy = world.rollout(SHADOW).start().await;
    assert_eq!(proxy.get("/recommendations/user-1").await.status, 200);
    let metrics = proxy.until("a timeout", |metrics| metrics.fallbacks("v2", "timeout") == 1).await;
    assert_eq!(metrics.outcomes("v1"), [1, 0, 0]);
    proxy.at_rest().await;
}
