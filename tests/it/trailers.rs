//! What one version of HTTP says, said in the other: trailers, authority, cookies. All four combinations.

use http::{Request, Version};

use crate::world::{Answered, Authority, Consumer, Content, Peer, Proxy, Speaks, World, content};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";

async fn between(v1: &Speaks, v2: &Speaks) -> (Proxy, Peer, Peer) {
    let (one, two) = (Peer::start(v1.clone()), Peer::start(v2.clone()));
    let world = World::new().v1_with(&one.url(v1)).v2_with(&two.url(v2)).rollout(SHADOW);
    (world.start().await, one, two)
}

fn post(proxy: &Proxy, version: Version, trailers: &[(&'static str, &str)]) -> Request<Content> {
    let host = proxy.address();
    let mut request =
        Request::post(if version == Version::HTTP_2 { format!("http://{host}/a?b") } else { "/a?b".into() })
            .header("te", "trailers")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
    if version == Version::HTTP_11 {
        request = request.header("host", host.to_string()).header("connection", "te");
    }
    if !trailers.is_empty() {
        request = request.header("trailer", "x-sum");
    }
    request.body(content("some content", trailers)).expect("valid")
}

#[tokio::test]
async fn trailers_pass_both_ways_in_all_four_combinations() {
    for upstream in [Speaks::Http1, Speaks::Http2] {
        let (proxy, _v1, v2) = between(&upstream, &upstream).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let what = format!("{version:?} to {upstream:?}");
            let mut consumer = Consumer::connect(proxy.address(), version).await;
            for _ in 0..3 {
                let answer = consumer.send(post(&proxy, version, &[("x-sum", "12")])).await;
                assert!(answer.is_ok(), "{what}: {answer:?}");
                assert_eq!(answer.trailer("x-length"), Some("12"), "{what}");
                let told = answer.json();
                assert_eq!(told["sum"], "12", "{what}");
                assert_eq!(told["te"], "trailers", "{what}");
                assert_eq!((&told["target"], &told["length"]), (&"/a?b".into(), &12.into()), "{what}");
            }
        }
        proxy.until("six shadows", |metrics| metrics.outcomes("v2") == [6, 0, 0]).await;
        assert_eq!(v2.requests(), 6, "{upstream:?}");
    }
}

#[tokio::test]
async fn the_same_request_in_both_versions_reads_the_same_to_the_backend() {
    let authority = Authority::new("test");
    let speaks = Speaks::Tls(authority.issue(), None);
    let (one, two) = (Peer::start(speaks.clone()), Peer::start(Speaks::Http1));
    let world = World::new()
        .v1_with(&format!("{}\nhost = \"preserve\"\ntls.ca = \"ca.pem\"", one.url(&speaks)))
        .v2_with(&two.url(&Speaks::Http1))
        .file("ca.pem", authority.pem())
        .rollout(SHADOW);
    let proxy = world.start().await;
    let mut told = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut consumer = Consumer::connect(proxy.address(), version).await;
        let answer: Answered = consumer.send(post(&proxy, version, &[])).await;
        told.push(answer.json());
    }
    assert_eq!(told[0]["version"], "2", "by ALPN");
    assert_eq!(told[0]["host"], proxy.address().to_string());
    assert_eq!(told[1]["cookie"], "a=1; b=2", "in one line");
    told[0]["cookie"] = told[1]["cookie"].clone();
    assert_eq!(told[0], told[1]);
}
