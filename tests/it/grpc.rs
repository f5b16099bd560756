//! gRPC as it is on the wire: unary calls, errors without content, streams in both directions.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::BodyExt;

use crate::world::{Answered, Consumer, Content, Metrics, Peer, Proxy, Speaks, World, content, soon, stream};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";
/// An empty message: not compressed, no bytes.
const EMPTY: &[u8] = &[0; 5];

async fn world(rollout: &str) -> (Proxy, Peer, Peer) {
    let (one, two) = (Peer::start(Speaks::Http2), Peer::start(Speaks::Http2));
    let url = |peer: &Peer| peer.url(&Speaks::Http2);
    let world = World::new().v1_with(&url(&one)).v2_with(&url(&two)).v2_with("timeout = \"2s\"").rollout(rollout);
    (world.start().await, one, two)
}

fn call(proxy: &Proxy, path: &str, messages: Content) -> Request<Content> {
    let request = Request::post(format!("http://{}{path}", proxy.address()));
    request.header("te", "trailers").header("content-type", "application/grpc").body(messages).expect("valid")
}

async fn unary(consumer: &mut Consumer, proxy: &Proxy, path: &str) -> Answered {
    consumer.send(call(proxy, path, content(EMPTY, &[]))).await
}

#[tokio::test]
async fn a_call_is_scored_by_its_status_wherever_that_stands() {
    let (proxy, _v1, _v2) = world(SHADOW).await;
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    for (path, data) in
        [("/grpc/0", EMPTY), ("/grpc/14", EMPTY), ("/only/7", &[]), ("/only/5", &[]), ("/grpc/1", EMPTY)]
    {
        let answer = unary(&mut consumer, &proxy, path).await;
        let status = path.rsplit('/').next();
        let head = answer.head.headers.get("grpc-status").and_then(|status| status.to_str().ok());
        assert_eq!(answer.trailer("grpc-status").or(head), status, "{path}");
        assert_eq!(answer.data, data, "{path}");
    }
    // Either may be scored first.
    let all = |metrics: &Metrics| ["v1", "v2"].map(|backend| metrics.outcomes(backend)) == [[1, 2, 2]; 2];
    let metrics = proxy.until("five answers of each", all).await;
    assert_eq!((metrics.fallbacks("v2", "status"), metrics.fallbacks("v2", "auth")), (1, 1));
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_stream_in_both_directions_flows_while_it_is_mirrored() {
    for rollout in [
        SHADOW,
        "stage = \"cutover\"\npercent = 100\nslo = 0.9\nmode = \"observe\"\nrescue = true\nshadow_methods = [\"*\"]",
    ] {
        let (proxy, _v1, v2) = world(rollout).await;
        let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
        let (mut sender, messages) = stream();
        let answer = soon("the head", consumer.start(call(&proxy, "/bidi", messages))).await.expect("an answer");
        let mut body = answer.into_body();
        for n in 0..5u8 {
            let message = Bytes::from(vec![0, 0, 0, 0, 1, n]);
            sender.send_data(message.clone()).await.expect("it is read");
            let frame = soon("an echo", body.frame()).await.expect("more").expect("a frame");
            assert_eq!(frame.into_data().expect("data"), message);
        }
        drop(sender);
        let end = soon("the end", body.collect()).await.expect("a whole answer");
        assert_eq!(end.trailers().expect("trailers")["grpc-status"], "0");
        assert_eq!(v2.requests(), 1);
        proxy
            .until("a pair", |metrics| (metrics.outcomes("v1"), metrics.outcomes("v2")) == ([1, 0, 0], [1, 0, 0]))
            .await;
    }
}

#[tokio::test]
async fn a_stream_that_outlives_the_deadline_of_a_shadow_is_no_evidence_against_it() {
    let (proxy, _v1, _v2) = world(SHADOW).await;
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    let (mut sender, messages) = stream();
    let answer = soon("the head", consumer.start(call(&proxy, "/bidi", messages))).await.expect("an answer");
    sender.send_data(Bytes::from_static(EMPTY)).await.expect("it is read");
    let skipped =
        |metrics: &Metrics| metrics.count("crossfade_shadow_skipped_total", &[("reason", "not_mirrorable")]) == 1;
    let metrics = proxy.until("the end of the shadow", skipped).await;
    assert_eq!(metrics.outcomes("v2"), [0, 0, 0]);
    drop(sender);
    let end = soon("the end", answer.into_body().collect()).await.expect("a whole answer");
    assert_eq!(end.trailers().expect("trailers")["grpc-status"], "0");
    proxy.at_rest().await;
}

#[tokio::test]
async fn an_error_of_v2_is_rescued_when_it_comes_without_content() {
    let (one, two) = (Peer::start(Speaks::Http2), Peer::start(Speaks::Http2));
    let v2 = format!("{}\nrequest.path = \"/only/14\"", two.url(&Speaks::Http2));
    let rollout = "stage = \"complete\"\nrescue = true".replace("complete", "cutover")
        + "\npercent = 100\nslo = 0.9\nmode = \"observe\"\nshadow_methods = [\"*\"]";
    let proxy = World::new().v1_with(&one.url(&Speaks::Http2)).v2_with(&v2).rollout(&rollout).start().await;
    let mut consumer = Consumer::connect(proxy.address(), Version::HTTP_2).await;
    let answer = unary(&mut consumer, &proxy, "/grpc/0").await;
    assert_eq!(answer.trailer("grpc-status"), Some("0"), "{answer:?}");
    assert_eq!(answer.head.headers["crossfade-rescued"], "status");
    assert_eq!(answer.data, EMPTY);
}
