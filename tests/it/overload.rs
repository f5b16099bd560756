//! Too much of everything: copies go first, consumers last, and every limit in time ends what it is there for.

use crate::world::{Behaviour, Metrics, Origin, Reply, Request, World, soon};

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
