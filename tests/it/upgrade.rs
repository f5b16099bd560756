//! What leaves HTTP is carried between the consumer and the primary, and nobody else hears of it.

use crate::world::{Metrics, Origin, Proxy, Raw, Reply, Script, World, soon};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";
const ASK: &str = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

async fn scripted(world: World) -> (Proxy, Script, Origin) {
    let (script, v2) = (Script::start().await, Origin::answering(Reply::rich()));
    let proxy = world.v1_at(script.address()).v2(&v2).rollout(SHADOW).start().await;
    (proxy, script, v2)
}

/// Both ends of a tunnel, with the first words behind the heads.
async fn tunnel(proxy: &Proxy, script: &Script) -> (Raw, Raw) {
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write(ASK).await;
    let mut backend = script.accept().await;
    let asked = backend.read_head().await;
    for line in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-version: 13\r\n"] {
        assert!(asked.to_lowercase().contains(line), "{asked}");
    }
    backend.write([AGREE, "first"].concat()).await;
    let agreed = consumer.read_head().await;
    assert!(agreed.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{agreed}");
    for line in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-accept: "] {
        assert!(agreed.to_lowercase().contains(line), "{agreed}");
    }
    assert_eq!(consumer.read_exactly(5).await, "first");
    (consumer, backend)
}

#[tokio::test]
async fn a_websocket_is_carried_to_the_primary_alone_and_counted() {
    let (proxy, script, v2) = scripted(World::new()).await;
    let (mut consumer, mut backend) = tunnel(&proxy, &script).await;
    consumer.write("GET / HTTP/9\n\0").await;
    assert_eq!(backend.read_exactly(14).await, "GET / HTTP/9\n\0", "what it looks like is of no meaning");
    backend.write("pong").await;
    assert_eq!(consumer.read_exactly(4).await, "pong");
    consumer.end().await;
    assert!(backend.is_ended().await, "half of it ends");
    backend.write("bye").await;
    drop(backend);
    assert_eq!(consumer.read_to_end().await, b"bye");
    let counted = |it: &Metrics| it.count("crossfade_requests_total", &[("code", "1xx"), ("served_by", "v1")]) == 1;
    let metrics = proxy.until("the end of the tunnel", counted).await;
    let bytes = |direction| metrics.count("crossfade_tunnelled_bytes_total", &[("direction", direction)]);
    assert_eq!((bytes("to_backend"), bytes("to_consumer")), (14, 12));
    assert_eq!(metrics.count("crossfade_shadow_skipped_total", &[("reason", "not_mirrorable")]), 1);
    assert_eq!((metrics.outcomes("v1"), metrics.outcomes("v2"), v2.count()), ([0, 0, 1], [0, 0, 0], 0));
    proxy.at_rest().await;
}

#[tokio::test]
async fn what_is_sent_early_is_not_lost() {
    let (proxy, script, _v2) = scripted(World::new()).await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write([ASK, "early"].concat()).await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    backend.write(AGREE).await;
    assert_eq!(backend.read_exactly(5).await, "early");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let (proxy, script, _v2) = scripted(World::new()).await;
    let mut consumer = Raw::connect(proxy.address()).await;
    consumer.write(ASK).await;
    let mut backend = script.accept().await;
    backend.read_head().await;
    backend.write("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno").await;
    assert!(consumer.read_head().await.starts_with("HTTP/1.1 403 "));
    assert_eq!(consumer.read_exactly(2).await, "no");
    consumer.write("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(backend.read_head().await.starts_with("GET /next HTTP/1.1\r\n"), "both connections go on");
}

#[tokio::test]
async fn a_silent_tunnel_ends_after_the_idle_timeout() {
    let (proxy, script, _v2) = scripted(World::new().limits("idle_timeout = \"300ms\"")).await;
    let (mut consumer, mut backend) = tunnel(&proxy, &script).await;
    assert!(consumer.is_ended().await && backend.is_ended().await);
    proxy.at_rest().await;
}

#[tokio::test]
async fn a_drain_ends_tunnels_at_once() {
    let (mut proxy, script, _v2) = scripted(World::new()).await;
    let (mut consumer, mut backend) = tunnel(&proxy, &script).await;
    proxy.signal("TERM");
    assert!(consumer.is_ended().await && backend.is_ended().await);
    assert!(soon("the end of the process", proxy.exit()).await.success());
}
