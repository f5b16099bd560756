//! What is wrong where a request gets no answer in HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use super::exchange::Broken;
use super::look::{self, Spoken};
use super::place::Place;
use super::report::{Found, Wrong};
use crate::outcome::Cause;

/// By what came, and by a second look at what the port speaks.
pub(super) async fn diagnose(
    place: &Place,
    (address, is_http2): (SocketAddr, bool),
    broken: &Broken,
    waited: Duration,
) -> Found {
    let spoken = look::at(address).await;
    let is_encrypted = place.endpoint.tls.is_some();
    match spoken {
        Spoken::Tls if !is_encrypted => speaks_tls(place),
        Spoken::Http2 if !is_encrypted && !is_http2 => Found::failed(
            Wrong::Protocol,
            "the port speaks HTTP/2 only, and was asked in HTTP/1.1",
            format!("write {} = \"http2\"", place.key("protocol")),
        ),
        Spoken::Http1 if !is_encrypted && is_http2 => Found::failed(
            Wrong::Protocol,
            "the port speaks HTTP/1, and was asked in HTTP/2",
            format!("take {} = \"http2\" out", place.key("protocol")),
        ),
        Spoken::Unknown if !is_encrypted => no_http(place, broken, waited),
        // It speaks what it should, but not this time.
        _ => unanswered(place, broken, waited),
    }
    .because(broken.cause)
}

/// A cleartext request on a TLS port.
pub(super) fn speaks_tls(place: &Place) -> Found {
    Found::failed(
        Wrong::Protocol,
        "the port speaks TLS, and was asked in cleartext",
        format!("write https:// in {}, or the port for cleartext", place.url()),
    )
}

fn no_http(place: &Place, broken: &Broken, waited: Duration) -> Found {
    let finding = match broken.cause {
        Cause::Timeout => {
            format!("connections are accepted, and nothing is answered within {waited:.0?}, not even to a bare OPTIONS")
        }
        Cause::Decode => "what comes back is no HTTP".to_owned(),
        _ => format!("the connection is closed without an answer ({})", broken.text),
    };
    let remedy =
        format!("is an HTTP server behind that port, and is it well? Correct host and port in {}", place.url());
    Found::failed(Wrong::Protocol, finding, remedy)
}

/// The port speaks HTTP; this request was not answered, or not to its end.
pub(super) fn unanswered(place: &Place, broken: &Broken, waited: Duration) -> Found {
    match broken.cause {
        Cause::Timeout => Found::failed(
            Wrong::Schema,
            format!("too slow: no whole answer within {waited:.0?}"),
            format!("make the backend faster for this path, or raise {}", place.key("timeout")),
        ),
        Cause::Decode => Found::failed(
            Wrong::Protocol,
            format!("the answer is no valid HTTP: {}", broken.text),
            "see what stands between crossfade and the backend, and the backend's own log",
        ),
        _ => Found::failed(
            Wrong::Protocol,
            format!("the connection broke before the answer was complete: {}", broken.text),
            "see the backend's log for this moment: it closed the connection, or ended",
        ),
    }
    .because(broken.cause)
}
