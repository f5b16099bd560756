//! HTTP/2 written frame by frame: what RFC 9113 calls malformed or an error is refused, reaches no backend, and harms
//! nobody else.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Behaviour, Origin, Proxy, World, soon};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Header fields in HPACK: literals without indexing, without Huffman coding (RFC 7541, section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        // One byte for each character, so that any byte can be written.
        let bytes: Vec<u8> = text.chars().map(|it| u8::try_from(u32::from(it)).expect("Latin-1")).collect();
        let mut length = vec![u8::try_from(bytes.len().min(127)).expect("at most 127")];
        if bytes.len() >= 127 {
            let mut rest = bytes.len() - 127;
            while rest >= 128 {
                length.push(u8::try_from(rest % 128 + 128).expect("a byte"));
                rest /= 128;
            }
            length.push(u8::try_from(rest).expect("a byte"));
        }
        [length, bytes].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A request that is right, with fields added or, by an empty value, pseudo-header fields taken out.
fn fields<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/x")];
    for &(name, value) in changes {
        match all.iter_mut().find(|(known, _)| name.starts_with(':') && *known == name) {
            Some(known) => known.1 = value,
            None => all.push((name, value)),
        }
    }
    all.retain(|(name, value)| !(name.starts_with(':') && *value == "-"));
    all
}

fn request(changes: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields(changes)))
}

/// A request with content to come.
fn begun(changes: &[(&str, &str)]) -> Vec<u8> {
    let changes = [&[(":method", "POST")], changes].concat();
    frame(HEADERS, END_HEADERS, 1, &block(&fields(&changes)))
}

/// What came back for stream 1, or for the connection.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A status below 400.
    Answered,
    /// A status of 400 and above.
    Status,
    Reset,
    GoAway,
    Closed,
}

struct Place {
    proxy: Proxy,
    v1: Origin,
    v2: Origin,
}

async fn place(limits: &str) -> Place {
    let (v1, v2) = (Origin::start(Behaviour::Echo), Origin::start(Behaviour::Echo));
    let rollout = "stage = \"shadow\"\nslo = 0.95\nshadow_methods = [\"*\"]";
    let proxy = World::new().v1(&v1).v2(&v2).limits(limits).rollout(rollout).start().await;
    Place { proxy, v1, v2 }
}

impl Place {
    async fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.proxy.address()).await.expect("it listens");
        stream.write_all(PREFACE).await.expect("it reads");
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("it reads");
        stream
    }

    /// What these frames lead to on a connection of their own.
    async fn see(&self, frames: &[u8]) -> Seen {
        let mut stream = self.connect().await;
        // A peer that closes early may make this fail, which is one of the things to see.
        let _ = stream.write_all(frames).await;
        soon("a verdict on frames", verdict(&mut stream)).await
    }

    /// The frames are refused, and no backend hears of them.
    async fn refuses(&self, what: &str, frames: &[u8]) {
        assert_eq!(self.fault(frames).await, None, "{what}");
    }

    /// What is wrong with how frames are treated that have to be refused.
    async fn fault(&self, frames: &[u8]) -> Option<String> {
        let before = (self.v1.count(), self.v2.count());
        let seen = self.see(frames).await;
        let reached = (self.v1.count(), self.v2.count()) != before;
        (seen == Seen::Answered || reached).then(|| format!("{seen:?}, reached a backend: {reached}"))
    }

    async fn answers(&self, what: &str, frames: &[u8]) {
        assert_eq!(self.see(frames).await, Seen::Answered, "{what}");
        // The shadow of it has arrived as well, and is not taken for a later one.
        self.v2.until_received(self.v1.count()).await;
    }
}

async fn verdict(stream: &mut TcpStream) -> Seen {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Seen::Closed;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return Seen::Closed;
        }
        match head[3] {
            // The status is the first field: from the static table (RFC 7541, appendix A), or a literal.
            HEADERS => return if matches!(payload[0], 0x88..=0x8a) { Seen::Answered } else { Seen::Status },
            RST_STREAM => return Seen::Reset,
            GOAWAY => return Seen::GoAway,
            _ => {}
        }
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let place = place("").await;
    place.answers("a request", &request(&[])).await;
    let mut faults = Vec::new();
    for changes in [
        // RFC 9113, section 8.2.1: names and values.
        &[("X-Upper", "1")][..],
        &[("x y", "1")],
        &[("x:y", "1")],
        &[("", "1")],
        &[("x\0", "1")],
        &[("x\r\ny", "1")],
        &[("x\u{80}", "1")],
        &[("x\u{7f}", "1")],
        &[("x(", "1")],
        &[("x", "1\r\ny: 2")],
        &[("x", "1\ny")],
        &[("x", "1\ry")],
        &[("x", "\0")],
        &[("x", "a\0b")],
        &[("x", " a")],
        &[("x", "a ")],
        &[("x", "\ta")],
        &[("x", "a\t")],
        &[("x", "\u{1}")],
        &[("x", "\u{7f}")],
        // Section 8.2.2: fields of a connection.
        &[("connection", "close")],
        &[("connection", "x")],
        &[("connection", "keep-alive")],
        &[("keep-alive", "timeout=5")],
        &[("proxy-connection", "keep-alive")],
        &[("transfer-encoding", "chunked")],
        &[("transfer-encoding", "identity")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("upgrade", "websocket")],
        &[("upgrade", "h2c")],
        &[("te", "gzip")],
        &[("te", "trailers, gzip")],
        // Section 8.3: pseudo-header fields.
        &[(":method", "-")],
        &[(":scheme", "-")],
        &[(":path", "-")],
        &[(":path", "")],
        &[(":method", "")],
        &[(":status", "200")],
        &[(":unknown", "1")],
        &[(":protocol", "websocket")],
        &[(":method", "GE T")],
        &[(":method", "GET\r\nx: y")],
        &[(":method", "GET /a HTTP/1.1\r\nx:")],
        &[(":method", "G\0T")],
        &[(":path", "/a b")],
        &[(":path", "/a HTTP/1.1\r\nx: y")],
        &[(":path", "/a\r\n")],
        &[(":path", "/\0")],
        &[(":path", "x")],
        &[(":path", "?a")],
        &[(":path", "//\u{7f}")],
        &[(":path", "*")],
        &[(":path", "http://b/x")],
        &[(":scheme", "ht tp")],
        &[(":scheme", "http\r\nx: y")],
        &[(":scheme", "https://b/?")],
        &[(":authority", "")],
        &[(":authority", "a b")],
        &[(":authority", "a/b")],
        &[(":authority", "a\r\nx: y")],
        &[(":authority", "user@a")],
        &[(":authority", "a?b")],
        &[(":authority", "a#b")],
        &[(":authority", "a:b")],
        &[(":authority", "a:99999")],
        &[(":authority", "a,b")],
        &[(":authority", "[::1")],
        &[("host", "b")],
        &[("host", "a"), ("host", "b")],
        &[("host", "a"), ("host", "a")],
        &[(":authority", "-")],
        &[(":authority", "-"), ("host", "a"), ("host", "a")],
        &[(":authority", "-"), ("host", "a/b")],
        &[(":authority", "-"), ("host", "")],
        // Section 8.1.1: lengths.
        &[("content-length", "5")],
        &[("content-length", "x")],
        &[("content-length", "-1")],
        &[("content-length", "0"), ("content-length", "1")],
        &[("content-length", "0, 0")],
        &[("content-length", "99999999999999999999999")],
        // Section 8.5: CONNECT has neither scheme nor path, and nobody here is a tunnel to anywhere.
        &[(":method", "CONNECT")],
        &[(":method", "CONNECT"), (":scheme", "-"), (":path", "-"), (":authority", "127.0.0.1:80")],
        &[(":method", "CONNECT"), (":protocol", "websocket")],
    ] {
        faults.extend(place.fault(&request(changes)).await.map(|fault| format!("{changes:?}: {fault}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    place.answers("a request after all of them", &request(&[])).await;
}

#[tokio::test]
async fn fields_in_the_wrong_order_or_twice_are_refused() {
    let place = place("").await;
    let of = |fields: &[(&str, &str)]| frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields));
    let right = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/x")];
    for twice in right {
        place.refuses(&format!("{twice:?} twice"), &of(&[&right[..], &[twice]].concat())).await;
    }
    place.refuses("a pseudo-header field after others", &of(&[&right[..3], &[("x", "1")], &right[3..]].concat())).await;
    place.refuses("no fields", &of(&[])).await;
    place.answers("a host that says the same", &of(&[&right[..], &[("host", "a")]].concat())).await;
}

#[tokio::test]
async fn fields_that_only_look_odd_pass() {
    let place = place("").await;
    for changes in [
        &[("te", "trailers")][..],
        &[("x", "")],
        &[("x", "a b\tc")],
        &[("x", "caf\u{e9}")],
        &[("cookie", "a=1"), ("cookie", "b=2")],
        &[(":path", "/%00?x=%0d%0a&y={}|^")],
        &[(":authority", "a:80")],
        &[(":authority", "-"), ("host", "a")],
        &[("content-length", "0")],
        &[(":method", "REPORT")],
        // These two are not seen by us; the backends get neither the fragment nor a scheme.
        &[(":path", "/x#fragment")],
        &[(":scheme", "")],
    ] {
        place.answers(&format!("{changes:?}"), &request(changes)).await;
    }
}

#[tokio::test]
async fn content_of_another_length_than_declared_is_refused() {
    let place = place("").await;
    let posted = |length: &str, content: &[&[u8]]| {
        let mut frames = begun(&[("content-length", length)]);
        for (at, piece) in content.iter().enumerate() {
            let flags = if at + 1 == content.len() { END_STREAM } else { 0 };
            frames.extend(frame(DATA, flags, 1, piece));
        }
        frames
    };
    place.answers("as declared", &posted("5", &[b"he", b"llo"])).await;
    for (length, content) in [("4", &[&b"hello"[..]][..]), ("6", &[b"hello"]), ("0", &[b"x"]), ("5", &[b"hel", b"loo"])]
    {
        let seen = place.see(&posted(length, content)).await;
        assert_ne!(seen, Seen::Answered, "{length}: {content:?}");
    }
    let trailers = |fields: &[(&str, &str)], flags| {
        [begun(&[]), frame(DATA, 0, 1, b"x"), frame(HEADERS, flags, 1, &block(fields))].concat()
    };
    let end = END_STREAM | END_HEADERS;
    place.answers("trailers", &trailers(&[("x-sum", "1")], end)).await;
    for fields in [("X", "1"), ("x y", "1"), ("x", "1\r\ny: 2"), ("x", "\0")] {
        let seen = place.see(&trailers(&[fields], end)).await;
        assert_ne!(seen, Seen::Answered, "{fields:?} in trailers");
    }
    let seen = place.see(&trailers(&[("x", "1")], END_HEADERS)).await;
    assert_ne!(seen, Seen::Answered, "trailers that do not end the stream");
}

#[tokio::test]
async fn frames_in_the_wrong_place_or_of_the_wrong_size_end_the_connection() {
    let place = place("").await;
    let head = block(&fields(&[]));
    let first = |kind, flags, stream, payload: &[u8]| frame(kind, flags, stream, payload);
    for (what, frames) in [
        ("DATA on stream 0", first(DATA, 0, 0, b"x")),
        ("DATA on an idle stream", first(DATA, 0, 1, b"x")),
        ("HEADERS on stream 0", first(HEADERS, END_HEADERS | END_STREAM, 0, &head)),
        ("HEADERS on an even stream", first(HEADERS, END_HEADERS | END_STREAM, 2, &head)),
        ("HEADERS with more padding than content", first(HEADERS, END_HEADERS | PADDED, 1, &[200, 0, 0])),
        (
            "HEADERS that are not HPACK",
            first(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("an index beyond the tables", first(HEADERS, END_HEADERS | END_STREAM, 1, &[0xfe])),
        ("index 0", first(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80])),
        ("a table of 4 GiB", first(HEADERS, END_HEADERS | END_STREAM, 1, &[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x0f])),
        (
            "Huffman code without end",
            first(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]),
        ),
        ("PRIORITY of 4 bytes", first(PRIORITY, 0, 1, &[0; 4])),
        ("RST_STREAM on stream 0", first(RST_STREAM, 0, 0, &[0; 4])),
        ("RST_STREAM on an idle stream", first(RST_STREAM, 0, 1, &[0; 4])),
        ("RST_STREAM of 3 bytes", first(RST_STREAM, 0, 1, &[0; 3])),
        ("SETTINGS on a stream", first(SETTINGS, 0, 1, &[])),
        ("SETTINGS of 5 bytes", first(SETTINGS, 0, 0, &[0; 5])),
        ("SETTINGS, acknowledged with content", first(SETTINGS, ACK, 0, &[0; 6])),
        ("a window of 2^31", first(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])),
        ("frames of 1 byte", first(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1])),
        ("ENABLE_PUSH of 2", first(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])),
        ("PUSH_PROMISE of a client", first(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &head].concat())),
        ("PING on a stream", first(PING, 0, 1, &[0; 8])),
        ("PING of 7 bytes", first(PING, 0, 0, &[0; 7])),
        ("GOAWAY on a stream", first(GOAWAY, 0, 1, &[0; 8])),
        ("GOAWAY of 7 bytes", first(GOAWAY, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE of 0", first(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("WINDOW_UPDATE beyond 2^31", first(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("WINDOW_UPDATE on an idle stream", first(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("WINDOW_UPDATE of 3 bytes", first(WINDOW_UPDATE, 0, 0, &[0; 3])),
        ("CONTINUATION of nothing", first(CONTINUATION, END_HEADERS, 1, &head)),
        ("a frame of 1 MiB", first(DATA, 0, 1, &vec![0; 1 << 20])),
        ("another frame within a head", [first(HEADERS, 0, 1, &head), first(PING, 0, 0, &[0; 8])].concat()),
        (
            "another stream within a head",
            [first(HEADERS, 0, 1, &head), first(CONTINUATION, END_HEADERS, 3, &[])].concat(),
        ),
        ("a stream below the last one", {
            let later = frame(HEADERS, END_HEADERS, 5, &head);
            [later, frame(HEADERS, END_HEADERS | END_STREAM, 3, &head)].concat()
        }),
        ("a stream that depends on itself", {
            let priority = [&[0, 0, 0, 1, 16][..], &head].concat();
            first(HEADERS, END_HEADERS | END_STREAM | 0x20, 1, &priority)
        }),
        ("DATA after the end of the stream", [request(&[]), frame(DATA, 0, 1, b"x"), frame(DATA, 0, 1, b"x")].concat()),
    ] {
        if what.starts_with("DATA after") {
            // The request itself was right, and may be answered before the rest is seen.
            place.see(&frames).await;
        } else {
            place.refuses(what, &frames).await;
        }
    }
    place.answers("a frame of an unknown type", &[frame(0x77, 0, 0, b"x"), request(&[])].concat()).await;
    place.answers("an unknown setting", &[frame(SETTINGS, 0, 0, &[0x77, 0, 0, 0, 0, 1]), request(&[])].concat()).await;
    place
        .answers("a head in two frames", &{
            let (a, b) = head.split_at(9);
            [frame(HEADERS, END_STREAM, 1, a), frame(CONTINUATION, END_HEADERS, 1, b)].concat()
        })
        .await;
}

#[tokio::test]
async fn prefaces_that_are_not_quite_one_are_refused() {
    let place = place("header_timeout = \"500ms\"").await;
    for sent in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
        b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"pri * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(place.proxy.address()).await.expect("it listens");
        stream.write_all(sent).await.expect("it reads");
        let mut read = Vec::new();
        let _ = soon("an end", stream.read_to_end(&mut read)).await;
        assert!(!read.windows(4).any(|it| it == b" 200"), "{}", String::from_utf8_lossy(&read));
    }
    // The preface without SETTINGS after it.
    let mut stream = TcpStream::connect(place.proxy.address()).await.expect("it listens");
    stream.write_all(&[PREFACE, &request(&[])].concat()).await.expect("it reads");
    assert_ne!(soon("a verdict", verdict(&mut stream)).await, Seen::Answered, "the first frame is SETTINGS");
    assert_eq!((place.v1.count(), place.v2.count()), (0, 0));
}

#[tokio::test]
async fn floods_end_their_connection_and_nobody_elses() {
    let place = place("").await;
    let (small, head) = (frame(SETTINGS, 0, 0, &[]), block(&fields(&[])));
    let many = |times: usize, frames: &dyn Fn(u32) -> Vec<u8>| -> Vec<u8> {
        (0..times).flat_map(|at| frames(u32::try_from(at).expect("few") * 2 + 1)).collect()
    };
    let floods = [
        (
            "CONTINUATION without end",
            [frame(HEADERS, 0, 1, &head), many(20_000, &|_| frame(CONTINUATION, 0, 1, &[0x40]))].concat(),
        ),
        (
            "empty CONTINUATION",
            [frame(HEADERS, 0, 1, &head), many(100_000, &|_| frame(CONTINUATION, 0, 1, &[]))].concat(),
        ),
        ("rapid reset", {
            let reset = |stream| {
                [frame(HEADERS, END_HEADERS | END_STREAM, stream, &head), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
            };
            many(20_000, &|stream| reset(stream).concat())
        }),
        ("a head of 1 MiB", {
            let long = "x".repeat(16_000);
            let field = block(&[("x", &long)]);
            [frame(HEADERS, 0, 1, &head), many(70, &|_| frame(CONTINUATION, 0, 1, &field))].concat()
        }),
        ("a head that unpacks to 100 MiB", {
            // One long field into the table, then as references to it (RFC 7541, section 6.1).
            let long = "y".repeat(3900);
            let mut entry = block(&[("z", &long)]);
            entry[0] = 0x40;
            let bomb = [block(&fields(&[])), entry, vec![0xbe; 8000]].concat();
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)
        }),
    ];
    for (what, flood) in floods {
        place.refuses_in_the_end(what, &flood).await;
        place.answers(&format!("somebody else after {what}"), &request(&[])).await;
    }
    // These are answered one by one, so whoever reads them may go on; who does not is held up by its own backlog.
    for (what, flood) in [
        ("SETTINGS", many(20_000, &|_| small.clone())),
        ("PING", many(20_000, &|_| frame(PING, 0, 0, &[0; 8]))),
        ("empty DATA", [begun(&[]), many(20_000, &|_| frame(DATA, 0, 1, &[]))].concat()),
    ] {
        let mut stream = place.connect().await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), stream.write_all(&flood)).await;
        place.answers(&format!("somebody else during {what}"), &request(&[])).await;
    }
    place.proxy.until("nothing under way", |metrics| metrics.value("crossfade_in_flight", &[]) <= Some(1.0)).await;
}

impl Place {
    /// The connection is closed before it has taken all of this, or its last word is a refusal.
    async fn refuses_in_the_end(&self, what: &str, frames: &[u8]) {
        let mut stream = self.connect().await;
        let (mut reader, mut writer) = stream.split();
        let write = async {
            let _ = writer.write_all(frames).await;
        };
        let mut last = Seen::Answered;
        let read = async {
            loop {
                let mut head = [0; 9];
                if reader.read_exact(&mut head).await.is_err() {
                    last = Seen::Closed;
                    return;
                }
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                if reader.read_exact(&mut payload).await.is_err() || head[3] == GOAWAY {
                    last = Seen::GoAway;
                    return;
                }
                let refused = head[3] == HEADERS && !matches!(payload[0], 0x88..=0x8a);
                if refused || head[3] == RST_STREAM && frames.len() < 100_000 {
                    last = Seen::Status;
                    return;
                }
            }
        };
        soon(what, async {
            tokio::select! {
                () = read => {}
                () = async { write.await; std::future::pending::<()>().await } => {}
            }
        })
        .await;
        assert_ne!(last, Seen::Answered, "{what}");
    }
}
