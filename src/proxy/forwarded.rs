//! Who the consumer is, and what backends are told of it: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! Anybody can write these headers. Of a peer that is no trusted proxy, all of them are replaced by what the connection
//! itself says; of one that is, they are continued.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::head;
use crate::config::{Forwarded, ForwardedStyle};
use crate::server::Peer;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Every header that tells of the consumer.
const ALL: [HeaderName; 5] = [FORWARDED, FOR, PROTO, X_HOST, HeaderName::from_static("x-forwarded-port")];

/// Writes down where the request came from, and returns the address of the consumer as far as it can be believed.
pub(super) fn record(headers: &mut HeaderMap, rule: &Forwarded, peer: &Peer) -> IpAddr {
    let address = peer.address.ip().to_canonical();
    let trusted = rule.trusts(address);
    let client = if trusted { client(headers, rule, address) } else { address };
    if rule.style == ForwardedStyle::Off {
        return client;
    }
    if !trusted {
        head::retain(headers, |name| !ALL.contains(name));
    }
    let proto = HeaderValue::from_static(if peer.is_secure { "https" } else { "http" });
    if rule.style != ForwardedStyle::Forwarded {
        set_x_forwarded(headers, &peer.name, &proto);
    }
    if rule.style != ForwardedStyle::XForwarded {
        append_forwarded(headers, address, &proto);
    }
    client
}

/// The last address of the chain that is not a trusted proxy's; a chain that cannot be read ends where it cannot.
fn client(headers: &HeaderMap, rule: &Forwarded, peer: IpAddr) -> IpAddr {
    let mut client = peer;
    for address in chain(headers, rule.style).into_iter().rev() {
        let Some(address) = address else { break };
        client = address;
        if !rule.trusts(address) {
            break;
        }
    }
    client
}

/// The addresses that proxies wrote down, the consumer first; `None` for what is no address.
fn chain(headers: &HeaderMap, style: ForwardedStyle) -> Vec<Option<IpAddr>> {
    let name = if style == ForwardedStyle::Forwarded { FORWARDED } else { FOR };
    let values = headers.get_all(&name).into_iter().filter_map(|value| value.to_str().ok());
    let elements = values.flat_map(|value| value.split(','));
    elements.map(|element| if name == FORWARDED { forwarded_for(element) } else { address(element) }).collect()
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    address(found.next()?.1.trim_matches('"'))
}

/// An address, with or without a port, and with or without the brackets of IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = plain.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

fn set_x_forwarded(headers: &mut HeaderMap, peer: &HeaderValue, proto: &HeaderValue) {
    if head::has(headers, &FOR) {
        let chain: Vec<_> = headers.get_all(FOR).iter().chain([peer]).map(HeaderValue::as_bytes).collect();
        // Valid values one behind the other are a valid value.
        if let Ok(chain) = HeaderValue::from_bytes(&chain.join(&b", "[..])) {
            headers.insert(FOR, chain);
        }
    } else {
        headers.append(FOR, peer.clone());
    }
    if !head::has(headers, &PROTO) {
        headers.append(PROTO, proto.clone());
    }
    if !head::has(headers, &X_HOST) {
        let host = headers.get(HOST).cloned();
        headers.extend(host.map(|host| (X_HOST, host)));
    }
}

fn append_forwarded(headers: &mut HeaderMap, peer: IpAddr, proto: &HeaderValue) {
    let mut element = if peer.is_ipv6() { format!("for=\"[{peer}]\"") } else { format!("for={peer}") };
    if let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) {
        // A host holds neither quotes nor backslashes. Writing to a string cannot fail.
        let _ = write!(element, ";host=\"{host}\"");
    }
    let _ = write!(element, ";proto={}", proto.to_str().unwrap_or_default());
    if let Ok(element) = HeaderValue::try_from(element) {
        headers.append(FORWARDED, element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(trust: &[&str], style: ForwardedStyle) -> Forwarded {
        Forwarded { trust: trust.iter().map(|network| network.parse().expect("a network")).collect(), style }
    }

    fn recorded(rule: &Forwarded, peer: &str, lines: &[(&'static str, &'static str)]) -> (String, Vec<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let peer: IpAddr = peer.parse().expect("an address");
        let client = record(&mut headers, rule, &Peer::new((peer, 0).into(), false));
        let lines = headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().expect("text")));
        (client.to_string(), lines.collect())
    }

    #[test]
    fn strangers_are_not_believed() {
        let lines =
            [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("host", "a"), ("x-forwarded-host", "b")];
        let (client, headers) = recorded(&rule(&["10.0.0.0/8"], ForwardedStyle::XForwarded), "7.7.7.7", &lines);
        assert_eq!(client, "7.7.7.7");
        assert_eq!(headers, ["host=a", "x-forwarded-for=7.7.7.7", "x-forwarded-proto=http", "x-forwarded-host=a"]);
    }

    #[test]
    fn trusted_proxies_are_continued() {
        let lines = [
            ("host", "a"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "10.1.1.1"),
        ];
        let (client, headers) = recorded(&rule(&["10.0.0.0/8"], ForwardedStyle::XForwarded), "10.2.2.2", &lines);
        assert_eq!(client, "2.2.2.2", "what a stranger says of itself is not believed");
        let chain = "x-forwarded-for=1.1.1.1, 2.2.2.2, 10.1.1.1, 10.2.2.2";
        assert_eq!(headers, ["host=a", chain, "x-forwarded-proto=https", "x-forwarded-host=a"]);
    }

    #[test]
    fn the_standard_header_has_an_element_for_each_hop() {
        let lines = [("host", "a:1"), ("forwarded", "for=\"[2001:db8::1]:4711\";proto=https, for=_hidden")];
        let style = rule(&["::1"], ForwardedStyle::Forwarded);
        let (client, headers) = recorded(&style, "::1", &lines);
        assert_eq!(client, "::1", "who hides is not known");
        assert_eq!(headers[2], "forwarded=for=\"[::1]\";host=\"a:1\";proto=http");
        let (client, _) = recorded(&style, "::1", &[("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]:4711\"")]);
        assert_eq!(client, "2001:db8::1");
    }

    #[test]
    fn nothing_is_touched_when_it_is_off() {
        let lines = [("x-forwarded-for", "1.1.1.1")];
        let (client, headers) = recorded(&rule(&["10.0.0.0/8"], ForwardedStyle::Off), "10.0.0.1", &lines);
        assert_eq!((client.as_str(), headers), ("1.1.1.1", vec!["x-forwarded-for=1.1.1.1".to_owned()]));
    }
}
