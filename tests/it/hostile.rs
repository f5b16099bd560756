//! Requests with more than one reading are refused and their connection is closed; what is forwarded has one reading, the
//! same to both backends (RFC 9112, sections 2, 3, 5 to 7 and 11).
//!
//! In the tables a line break stands for CR LF, `␊` for a bare LF, `␍` for a bare CR, and `␀` for NUL.

use crate::world::{Behaviour, Origin, Proxy, Raw, Received, Reply, World, soon};

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";

struct Place {
    v1: Origin,
    v2: Origin,
    proxy: Proxy,
}

async fn place() -> Place {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Answer(Reply::fallback())));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(SHADOW).start().await;
    Place { v1, v2, proxy }
}

fn bytes(text: &str) -> Vec<u8> {
    let wire = text.replace('\n', "\r\n").replace('␊', "\n").replace('␍', "\r").replace('␀', "\0");
    // `\u{80}` to `\u{ff}` stand for single bytes.
    wire.chars().flat_map(|c| if (c as u32) < 256 { vec![c as u8] } else { c.to_string().into_bytes() }).collect()
}

impl Place {
    /// The request gets one answer with one of these statuses, the connection ends, and no backend hears of it.
    async fn refuses(&self, text: &str, statuses: &[u16]) {
        let before = (self.v1.count(), self.v2.count());
        let mut raw = Raw::connect(self.proxy.address()).await;
        raw.write(&bytes(text)).await;
        let answers = soon(&format!("the end of the connection after {text:.300?}"), raw.read_to_end()).await;
        let first = answers.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        assert!(statuses.contains(&status), "{text:.300?} was answered with {first:?} instead of one of {statuses:?}");
        assert_eq!(count(&answers, b"HTTP/1."), 1, "{text:.300?} got more than one answer");
        assert_eq!((self.v1.count(), self.v2.count()), before, "{text:.300?} was forwarded");
    }

    /// The request is answered by V1, and both backends got the same one; returns it.
    async fn forwards(&self, text: &str) -> Received {
        let before = (self.v1.count(), self.v2.count());
        let mut raw = Raw::connect(self.proxy.address()).await;
        raw.write(&bytes(text)).await;
        let line = soon(&format!("an answer to {text:.300?}"), raw.read_line()).await;
        assert!(line.starts_with("HTTP/1.") && line.contains(" 200 "), "{text:.300?} was answered with {line:?}");
        self.v1.until_received(before.0 + 1).await;
        self.v2.until_received(before.1 + 1).await;
        assert_eq!((self.v1.count(), self.v2.count()), (before.0 + 1, before.1 + 1), "{text:.300?}");
        let [ours, theirs] = [&self.v1, &self.v2].map(|it| it.received().pop().expect("it was counted"));
        assert_same(&ours, &theirs, text);
        ours
    }
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).filter(|window| *window == what).count()
}

/// But for the host and the role, both backends got the same bytes.
fn assert_same(ours: &Received, theirs: &Received, text: &str) {
    let rest = |it: &Received| {
        let own = |name: &[u8]| name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"crossfade-role");
        it.headers.iter().filter(|(name, _)| !own(name)).cloned().collect::<Vec<_>>()
    };
    assert_eq!((&ours.method, &ours.target), (&theirs.method, &theirs.target), "{text:.300?}");
    assert_eq!(rest(ours), rest(theirs), "{text:.300?}");
    assert_eq!((ours.body_length, ours.body_hash), (theirs.body_length, theirs.body_hash), "{text:.300?}");
}

#[tokio::test]
async fn ambiguous_lengths_are_refused() {
    let place = place().await;
    for length in [
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5;",
        "Content-Length: 5.0",
        "Content-Length: five",
        "Content-Length:",
        "Content-Length: 5e0",
        "Content-Length: \"5\"",
        "Content-Length: \u{b}5",
        "Content-Length: 5\u{c}",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551616",
        "Content-Length: \u{b2}",
        "Content-Length: 5\nContent-Length: 5",
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: 6\nContent-Length: 5",
        "Content-Length: 5\ncontent-length: 5",
        "Content-Length: 0\nContent-Length: 5",
        "Content-Length: 5\nContent-Length:",
        "Content-Length: 5\n Content-Length: 6",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Content-Length: 5\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 5",
        "Transfer-Encoding: chunked\nContent-Length: 0",
        "Content-Length: 5\nTransfer-Encoding: identity",
        "Content_Length: 5\nContent-Length: 5\nContent-Length: 7",
        "Content-Length: 5␀",
        "Content-Length: ,5",
    ] {
        place.refuses(&format!("POST / HTTP/1.1\nHost: a\n{length}\n\nhello"), &[400, 413, 431]).await;
    }
}

#[tokio::test]
async fn transfer_codings_other_than_chunked_are_refused() {
    let place = place().await;
    for coding in [
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding: , chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chun ked",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked␀",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nTransfer-Encoding: gzip",
        "Transfer-Encoding: chunked\nTransfer-Encoding: identity",
        "Transfer-Encoding:\n chunked",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding: chunked\u{85}",
        "Transfer-Encoding␀: chunked",
        "X: y␍Transfer-Encoding: chunked",
        "X: y␊Transfer-Encoding: chunked",
    ] {
        place.refuses(&format!("POST / HTTP/1.1\nHost: a\n{coding}\n\n0\n\n"), &[400, 501]).await;
    }
    place.refuses("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n", &[400, 501]).await;
}

#[tokio::test]
async fn heads_with_odd_bytes_and_lines_are_refused() {
    let place = place().await;
    for head in [
        "a: b\n c: d",
        "a: b\n\tc",
        " a: b",
        "\ta: b",
        "a : b",
        "a\t: b",
        ": b",
        "a",
        "a b: c",
        "a␀b: c",
        "a: b␀c",
        "a: b␍c",
        "a: b␊c: d",
        "a: b␍␍\nc: d",
        "a: b\u{1}c",
        "a: b\u{7f}c",
        "a: b\u{8}",
        "a(b): c",
        "a,b: c",
        "a;b: c",
        "a=b: c",
        "a@b: c",
        "a[b]: c",
        "a{b}: c",
        "a\"b: c",
        "a/b: c",
        "a\\b: c",
        "a?b: c",
        "\u{e9}: b",
        "a\u{ad}: b",
        "␍a: b",
        "a: b␍",
        "a: b␊",
        "␊a: b",
        "a:b\n:\nc: d",
        "a: b\u{1b}[0m",
    ] {
        place.refuses(&format!("GET / HTTP/1.1\nHost: a\n{head}\n\n"), &[400]).await;
    }
    place.refuses(" GET / HTTP/1.1\nHost: a\n\n", &[400]).await;
    place.refuses("GET / HTTP/1.1\n Host: a\n\n", &[400]).await;
    place.refuses("GET / HTTP/1.1\n\tx: y\nHost: a\n\n", &[400]).await;
    place.refuses("GET / HTTP/1.1␊Host: a␊␊", &[400]).await;
    place.refuses("GET / HTTP/1.1␊Host: a\n\n", &[400]).await;
    place.refuses("GET / HTTP/1.1\nHost: a␊\n", &[400]).await;
    place.refuses("GET / HTTP/1.1\nHost: a\n␊", &[400]).await;
    place.refuses("␊GET / HTTP/1.1\nHost: a\n\n", &[400]).await;
    place.refuses("GET / HTTP/1.1␍Host: a\n\n", &[400]).await;
}

#[tokio::test]
async fn request_lines_that_are_none_are_refused() {
    let place = place().await;
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1 x",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/2",
        "GET / HTTP/3.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1",
        "GET / HTTP/01.1",
        "GET / HTTP/1.1.1",
        "GET / HTTP/11",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP /1.1",
        "GET / HTTP/1.\u{b9}",
        "GET / XTTP/1.1",
        "GET",
        "/ HTTP/1.1",
        "GE T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\"T / HTTP/1.1",
        "G,T / HTTP/1.1",
        "G:T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET␀ / HTTP/1.1",
        "G{T / HTTP/1.1",
        "[GET] / HTTP/1.1",
        "GET /␀ HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /?a#b HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET # HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /?\u{e9} HTTP/1.1",
        "GET /\u{c3}\u{a9} HTTP/1.1",
        "GET \\a HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /..\\a HTTP/1.1",
        "GET a HTTP/1.1",
        "GET a/b HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET * HTTP/1.1",
        "POST * HTTP/1.1",
        "OPTIONS */ HTTP/1.1",
        "OPTIONS *a HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "OPTIONS a:80 HTTP/1.1",
        "GET ../a HTTP/1.1",
        "GET ./ HTTP/1.1",
        "GET :80 HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:/// HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http:a HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET file:///a HTTP/1.1",
        "GET ws://a/ HTTP/1.1",
        "GET javascript:a HTTP/1.1",
        "GET urn:a HTTP/1.1",
        "GET https://a/ HTTP/1.1",
    ] {
        place.refuses(&format!("{line}\nHost: a\n\n"), &[400, 505]).await;
    }
    for line in ["CONNECT a:80", "CONNECT a", "CONNECT /", "CONNECT a:80/", "CONNECT http://a/", "CONNECT *"] {
        place.refuses(&format!("{line} HTTP/1.1\nHost: a:80\n\n"), &[400, 501]).await;
    }
    place.refuses(&format!("GET /{} HTTP/1.1\nHost: a\n\n", "a".repeat(70_000)), &[414, 431]).await;
    place.refuses("PRI * HTTP/2.0\nHost: a\n\n", &[400, 505]).await;
    place.refuses("\u{16}\u{3}\u{1}\u{2}␀\u{1}␀\u{1}\u{fc}\u{3}\u{3}\n\n", &[400]).await;
    place.refuses("SSH-2.0-OpenSSH_9.2\n\n", &[400]).await;
}

#[tokio::test]
async fn hosts_are_one_and_possible_or_the_request_is_refused() {
    let place = place().await;
    for hosts in [
        "",
        "Host:",
        "Host: ",
        "Host: a\nHost: a",
        "Host: a\nHost: b",
        "Host: a\nhost: b",
        "Host: a, b",
        "Host: a,a",
        "Host: a b",
        "Host: a\tb",
        "Host: user@a",
        "Host: user:pass@a",
        "Host: @a",
        "Host: a@",
        "Host: a:b",
        "Host: a:80:80",
        "Host: a:-1",
        "Host: a:+80",
        "Host: a:65536",
        "Host: a:0",
        "Host: a:80a",
        "Host: a:0x50",
        "Host: a: 80",
        "Host: :80",
        "Host: :",
        "Host: a/",
        "Host: a/b",
        "Host: /a",
        "Host: http://a",
        "Host: a?b",
        "Host: a#b",
        "Host: a\\b",
        "Host: [::1",
        "Host: ::1",
        "Host: [a]",
        "Host: []",
        "Host: [::1]a",
        "Host: [::1]:a",
        "Host: a[::1]",
        "Host: [[::1]]",
        "Host: \u{e9}",
        "Host: a%00b",
        "Host: a%2eb",
        "Host: \"a\"",
        "Host: <a>",
        "Host: a;b",
        "Host: a|b",
        "Host: a`b",
        "Host: a{b}",
        "Host: a^b",
        "Host: a..b",
        "Host: .a",
        "Host: a'b",
        "Host: (a)",
        "Host: a$b",
        "Host: a!b",
        "Host: a&b",
        "Host: a*b",
        "Host: a+b",
        "Host: a=b",
        "Host : a",
        "Host: a\n b",
        "\u{a0}Host: a",
        "Host: a␀",
    ] {
        let lines = if hosts.is_empty() { String::new() } else { format!("{hosts}\n") };
        place.refuses(&format!("GET / HTTP/1.1\n{lines}\n"), &[400]).await;
    }
    for (target, host) in [
        ("http://a/", "b"),
        ("http://a/", "a:80"),
        ("http://a:80/", "a"),
        ("http://a:81/", "a:82"),
        ("http://a/", "a.b"),
        ("http://user@a/", "a"),
        ("http://a@b/", "b"),
        ("http://a@b/", "a"),
        ("http://a\\@b/", "b"),
        ("http://a:b/", "a"),
        ("http://a:/", "a"),
        ("http://a#@b/", "b"),
        ("http://a%00/", "a"),
        ("http://a,b/", "a"),
        ("http://[::1/", "a"),
        ("http://a b/", "a"),
        ("http://a?@b/", "b"),
        ("http:\\\\a/", "a"),
        ("HTTP://b/", "a"),
        ("http://a/", ""),
    ] {
        place.refuses(&format!("GET {target} HTTP/1.1\nHost: {host}\n\n"), &[400]).await;
    }
    place.refuses("GET http://a/ HTTP/1.1\n\n", &[400]).await;
    place.refuses("GET http://a/ HTTP/1.1\nHost: a\nHost: a\n\n", &[400]).await;
    place.refuses("GET / HTTP/1.0\nHost: a\nHost: b\n\n", &[400]).await;
}

#[tokio::test]
async fn chunks_that_are_none_are_refused() {
    let place = place().await;
    for content in [
        "x\n",
        "\n",
        " 5\nhello\n0\n\n",
        "+5\nhello\n0\n\n",
        "-5\nhello\n0\n\n",
        "0x5\nhello\n0\n\n",
        "5h\nhello\n0\n\n",
        "g\nhello\n0\n\n",
        "10000000000000000\nhello\n",
        "ffffffffffffffff1\nhello\n",
        "5\nhelloX\n0\n\n",
        "5\nhell\n0\n\n",
        "5\nhello0\n\n",
        "5\nhello␊0\n\n",
        "5␊hello\n0\n\n",
        "5␍hello\n0\n\n",
        "5 5\nhello\n0\n\n",
        "5;a␊b\nhello\n0\n\n",
        "5;a␍b\nhello\n0\n\n",
        "5,5\nhello\n0\n\n",
        ";a\nhello\n",
        "5\nhello\n0\na b: c\n\n",
        "5\nhello\n0\n: c\n\n",
        "5\nhello\n0\na\n\n",
        "5\nhello\n0\na: b␀\n\n",
        "5\nhello\n0\n a: b\n\n",
        "5\nhello\n0\na: b␊\n\n",
        "\"5\"\nhello\n0\n\n",
        "5.\nhello\n0\n\n",
        "５\nhello\n0\n\n",
        "5\u{b}\nhello\n0\n\n",
        "␀5\nhello\n0\n\n",
        "5␀\nhello\n0\n\n",
    ] {
        place.refuses(&format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n{content}"), &[400]).await;
    }
    let flood = format!("5;{}\nhello\n0\n\n", "e".repeat(20_000));
    place.refuses(&format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n{flood}"), &[400, 413, 431]).await;
    let trailers = "t: u\n".repeat(10_000);
    let flood = format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0\n{trailers}\n");
    place.refuses(&flood, &[400, 413, 431]).await;
}

#[tokio::test]
async fn connection_cannot_take_out_what_others_rely_on() {
    let place = place().await;
    for name in [
        "content-length",
        "Transfer-Encoding",
        "host",
        "cookie",
        "authorization",
        "close, Host",
        "keep-alive,content-length",
        "content-type",
        "Expect",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "forwarded",
        "via",
        "traceparent",
        "connection",
        "cache-control",
        "max-forwards",
        "crossfade-role",
        "content-encoding",
        "a b",
        "\"close\"",
        "a:b",
        "close;x",
        "\u{e9}",
    ] {
        let head = format!("POST / HTTP/1.1\nHost: a\nConnection: {name}\nContent-Length: 5\n\nhello");
        place.refuses(&head, &[400]).await;
    }
    place.refuses("GET / HTTP/1.1\nHost: a\nConnection: close\nConnection: host\n\n", &[400]).await;
}

#[tokio::test]
async fn expectations_upgrades_and_traces_that_cannot_be_met_are_refused() {
    let place = place().await;
    for value in ["101-switch", "100-continue, x", "x", "", "100-continue=1", "200-ok", "100 continue"] {
        let head = format!("POST / HTTP/1.1\nHost: a\nExpect: {value}\nContent-Length: 5\n\nhello");
        place.refuses(&head, &[417]).await;
    }
    let upgrade = "Connection: Upgrade\nUpgrade: websocket";
    place.refuses(&format!("GET / HTTP/1.1\nHost: a\n{upgrade}\nContent-Length: 5\n\nhello"), &[400]).await;
    place.refuses(&format!("POST / HTTP/1.1\nHost: a\n{upgrade}\nTransfer-Encoding: chunked\n\n0\n\n"), &[400]).await;
    place.refuses("TRACE / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello", &[400, 405, 501]).await;
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let place = place().await;
    let flood = |count: usize, size: usize| {
        format!("GET / HTTP/1.1\nHost: a\n{}\n", format!("x: {}\n", "y".repeat(size)).repeat(count))
    };
    place.refuses(&flood(1, 100_000), &[431]).await;
    place.refuses(&flood(101, 1), &[431]).await;
    place.refuses(&flood(5000, 1), &[431]).await;
    place.refuses(&format!("GET / HTTP/1.1\nHost: a\n{}: y\n\n", "x".repeat(70_000)), &[400, 431]).await;
}

#[tokio::test]
async fn what_is_forwarded_has_one_reading_the_same_to_both() {
    let place = place().await;
    let chunked = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n";
    for (text, expected) in [
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), "GET / 0"),
        ("\n\nGET / HTTP/1.1\nHost: a\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost:a\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: \t a \t\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.0\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: a:8080\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: [::1]:8080\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: 127.0.0.1\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: A.b-c_d.example.\n\n".to_owned(), "GET / 0"),
        ("GET http://a/x?y HTTP/1.1\nHost: a\n\n".to_owned(), "GET /x?y 0"),
        ("GET http://A/x HTTP/1.1\nHost: a\n\n".to_owned(), "GET /x 0"),
        ("GET http://a HTTP/1.1\nHost: a\n\n".to_owned(), "GET / 0"),
        ("GET http://a?x HTTP/1.1\nHost: a\n\n".to_owned(), "GET /?x 0"),
        ("GET //b/c HTTP/1.1\nHost: a\n\n".to_owned(), "GET //b/c 0"),
        ("GET /a/../b/./c//d HTTP/1.1\nHost: a\n\n".to_owned(), "GET /a/../b/./c//d 0"),
        ("GET /%2e%2E/%00%0d%0a?%2F&a=b;c HTTP/1.1\nHost: a\n\n".to_owned(), "GET /%2e%2E/%00%0d%0a?%2F&a=b;c 0"),
        ("GET /a%zz?{b:[1]}|^\\` HTTP/1.1\nHost: a\n\n".to_owned(), "GET /a%zz?{b:[1]}|^\\` 0"),
        ("GET /?? HTTP/1.1\nHost: a\n\n".to_owned(), "GET /?? 0"),
        ("GET /? HTTP/1.1\nHost: a\n\n".to_owned(), "GET /? 0"),
        ("GET /a@b:c HTTP/1.1\nHost: a\n\n".to_owned(), "GET /a@b:c 0"),
        ("OPTIONS * HTTP/1.1\nHost: a\n\n".to_owned(), "OPTIONS * 0"),
        ("get / HTTP/1.1\nHost: a\n\n".to_owned(), "get / 0"),
        ("PURGE / HTTP/1.1\nHost: a\n\n".to_owned(), "PURGE / 0"),
        ("M-SEARCH! / HTTP/1.1\nHost: a\n\n".to_owned(), "M-SEARCH! / 0"),
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello".to_owned(), "POST / 5"),
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 0005\n\nhello".to_owned(), "POST / 5"),
        ("POST / HTTP/1.1\nHost: a\nContent-Length:   5  \n\nhello".to_owned(), "POST / 5"),
        ("POST / HTTP/1.0\nHost: a\nContent-Length: 5\n\nhello".to_owned(), "POST / 5"),
        ("GET / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello".to_owned(), "GET / 5"),
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n".to_owned(), "POST / 0"),
        (format!("{chunked}5\nhello\n0\n\n"), "POST / 5"),
        (format!("{chunked}0005\nhello\n000\n\n"), "POST / 5"),
        (format!("{chunked}5;a=b;c=\"d\"\nhello\n0;e\n\n"), "POST / 5"),
        (format!("{chunked}2\nhe\n3\nllo\n0\n\n"), "POST / 5"),
        (format!("{chunked}A\n0123456789\n0\n\n"), "POST / 10"),
        (format!("{chunked}0\n\n"), "POST / 0"),
        (format!("{chunked}5\nhello\n0\nx: y\n\n"), "POST / 5"),
        (format!("{chunked}5\nhello\n0\nContent-Length: 9\nHost: b\nTransfer-Encoding: x\n\n"), "POST / 5"),
        (chunked.replace("POST", "GET").replace("chunked", "Chunked") + "5\nhello\n0\n\n", "GET / 5"),
        (chunked.replace("POST", "DELETE").replace(": chunked", ":\tCHUNKED \t") + "5\nhello\n0\n\n", "DELETE / 5"),
        ("POST / HTTP/1.1\nHost: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AA\nContent-Length: 5\n\nhello".to_owned(), "POST / 5"),
        ("GET / HTTP/1.0\nExpect: x\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: a\nConnection: close, , x-hop\nX-Hop: 1\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: a\na:\nb: \n\u{21}#$%&'*+-.^_`|~: x\n\n".to_owned(), "GET / 0"),
        ("GET / HTTP/1.1\nHost: a\na: \u{e9}\u{ff} x\ty\n\n".to_owned(), "GET / 0"),
    ] {
        let got = place.forwards(&text).await;
        assert_eq!(format!("{} {} {}", got.method, got.target, got.body_length), expected, "{text:.300?}");
        let said = ["content-length", "transfer-encoding"].map(|name| got.all(name).len());
        assert!(said.iter().sum::<usize>() <= 1, "{text:.300?} has {said:?}");
        assert_eq!(got.all("host").len(), 1, "{text:.300?}");
        for name in ["upgrade", "http2-settings", "x-hop", "te", "keep-alive", "connection"] {
            assert!(got.all(name).is_empty(), "{text:.300?} passes on {name}");
        }
    }
    place.proxy.at_rest().await;
}

#[tokio::test]
async fn what_follows_a_request_is_the_next_one_or_refused() {
    let place = place().await;
    let mut raw = Raw::connect(place.proxy.address()).await;
    let request = "GET /1 HTTP/1.1\nHost: a\n\nPOST /2 HTTP/1.1\nHost: a\nContent-Length: 3\n\nabcGET /3 HTTP/1.1\nHost: a\n\nxyz\n\n";
    raw.write(&bytes(request)).await;
    let answers = soon("the end", raw.read_to_end()).await;
    assert_eq!((count(&answers, b"HTTP/1.1 200"), count(&answers, b"HTTP/1.1 400")), (3, 1));
    place.v2.until_received(3).await;
    let targets: Vec<_> = place.v1.received().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/1", "/2", "/3"]);
    // Whatever comes behind a refused request is lost with its connection.
    let smuggled = "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\n\nGET /smuggled HTTP/1.1\nHost: a\n\n";
    place.refuses(smuggled, &[400]).await;
    place.refuses("GET / HTTP/1.1\nHost: a\nHost: b\n\nGET /smuggled HTTP/1.1\nHost: a\n\n", &[400]).await;
}

#[tokio::test]
async fn each_refusal_is_counted_by_its_reason() {
    let place = place().await;
    let post = "POST / HTTP/1.1\nHost: a\n";
    let cases = [
        ("x\n\n", "syntax"),
        ("GET / HTTP/1.1␊Host: a\n\n", "line_end"),
        ("GET / HTTP/1.1\nHost: a\na: b\n c\n\n", "obs_fold"),
        (&format!("{post}Content-Length: 1\nContent-Length: 1\n\nx"), "framing"),
        (&format!("{post}Transfer-Encoding: gzip\n\n"), "transfer_coding"),
        (&format!("{post}Transfer-Encoding: chunked\n\nx\n"), "chunk"),
        ("GET /#a HTTP/1.1\nHost: a\n\n", "target"),
        ("GET / HTTP/1.1\n\n", "authority"),
        ("GET / HTTP/1.1\nHost: a\nConnection: host\n\n", "nominated"),
        (&format!("{post}Expect: x\n\n"), "expectation"),
        (&format!("{post}Upgrade: x\nContent-Length: 1\n\nx"), "upgrade"),
        ("CONNECT a:1 HTTP/1.1\nHost: a:1\n\n", "method"),
        (&format!("{post}a: {}\n\n", "b".repeat(100_000)), "head_size"),
    ];
    let all: Vec<u16> = (400..600).collect();
    for (text, _) in cases {
        place.refuses(text, &all).await;
    }
    for (text, reason) in cases {
        let counted = |it: &crate::world::Metrics| it.count("crossfade_refused_total", &[("reason", reason)]) == 1;
        place.proxy.until(&format!("{reason} for {text:.60?}"), counted).await;
    }
    place.proxy.at_rest().await;
}
