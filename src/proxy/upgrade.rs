//! Requests that want to leave HTTP (RFC 9110, section 7.8): the primary alone is asked, and what follows a 101 is carried
//! between it and the consumer unseen. `h2c` is never taken up, for it would hide requests from us (RFC 9113 removed it).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Version, request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until};

use super::head;
use super::view::RouteView;
use crate::server::Duplex;
use crate::telemetry::Direction;
use crate::upstream::Switched;

/// Bytes that one direction of a tunnel holds.
const BUFFER: usize = 8 << 10;

/// Whether the request offers a protocol that could be taken up.
pub(super) fn is_offered(headers: &HeaderMap) -> bool {
    head::has(headers, &UPGRADE) && protocols(headers).next().is_some()
}

/// Whether it offers one to us, and not to some connection before ours.
pub(super) fn is_asked_for(head: &request::Parts) -> bool {
    let names_upgrade = |value: &HeaderValue| elements(value).any(|name| name.eq_ignore_ascii_case(b"upgrade"));
    head.version == Version::HTTP_11
        && is_offered(&head.headers)
        && head.headers.get_all(CONNECTION).iter().any(names_upgrade)
}

/// What is offered, but for `h2c`, as one value.
pub(super) fn offer(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered: Vec<_> = protocols(headers).collect();
    HeaderValue::from_bytes(&offered.join(&b", "[..])).ok()
}

/// Asks for, or agrees to, another protocol on the connection that the headers go out on.
pub(super) fn name(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// What a 101 switches to, if that was offered.
pub(super) fn chosen(answer: &HeaderMap, offer: &HeaderValue) -> Option<HeaderValue> {
    let chosen = answer.get(UPGRADE)?;
    elements(offer).any(|offered| offered.eq_ignore_ascii_case(chosen.as_bytes())).then(|| chosen.clone())
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let all = headers.get_all(UPGRADE).into_iter().flat_map(elements);
    all.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"h2c"))
}

fn elements(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Carries bytes both ways until both ends have said all, or nothing has come from either for `idle`.
pub(super) async fn carry(consumer: Box<dyn Duplex>, backend: Switched, idle: Duration, route: Rc<RouteView>) {
    let (from_backend, to_backend) = split(backend);
    let (from_consumer, to_consumer) = split(consumer);
    let seen = Cell::new(Instant::now());
    let count = |direction| {
        let (route, seen) = (&route, &seen);
        move |bytes| {
            seen.set(Instant::now());
            route.tally().tunnelled(direction, bytes);
        }
    };
    let there = pump(from_consumer, to_backend, count(Direction::ToBackend));
    let back = pump(from_backend, to_consumer, count(Direction::ToConsumer));
    tokio::select! {
        // An end that breaks breaks the other one too.
        _ = async { tokio::try_join!(there, back) } => {}
        () = silence(&seen, idle) => tracing::debug!("a tunnel ended: nothing came for idle_timeout"),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: impl Fn(u64),
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            length => {
                to.write_all(&buffer[..length]).await?;
                to.flush().await?;
                count(length as u64);
            }
        }
    }
}

async fn silence(seen: &Cell<Instant>, idle: Duration) {
    while seen.get() + idle > Instant::now() {
        sleep_until(seen.get() + idle).await;
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(upgrade: &[&'static str], connection: &'static str) -> request::Parts {
        let (mut head, ()) = Request::builder().header(CONNECTION, connection).body(()).expect("valid").into_parts();
        for value in upgrade {
            head.headers.append(UPGRADE, HeaderValue::from_static(value));
        }
        head
    }

    #[test]
    fn an_upgrade_is_asked_for_on_this_connection_and_never_h2c() {
        assert!(is_asked_for(&head(&["websocket"], "keep-alive, Upgrade")));
        assert!(!is_asked_for(&head(&["websocket"], "keep-alive")));
        assert!(!is_asked_for(&head(&["h2c"], "upgrade")));
        let several = head(&["h2c, websocket", "irc/6.9"], "upgrade");
        assert_eq!(offer(&several.headers).expect("a value"), "websocket, irc/6.9");
    }

    #[test]
    fn only_what_was_offered_can_be_chosen() {
        let offer = HeaderValue::from_static("websocket, irc/6.9");
        let chosen = |value: &'static str| chosen(&head(&[value], "upgrade").headers, &offer);
        assert_eq!(chosen("WebSocket"), Some(HeaderValue::from_static("WebSocket")));
        assert_eq!(chosen("h2c"), None);
    }
}
