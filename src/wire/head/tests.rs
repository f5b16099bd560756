use proptest::prelude::*;

use super::*;

const MOST: usize = 4 << 10;

fn request(bytes: &[u8]) -> Result<Option<Parsed<request::Parts>>, Fault> {
    take_request(&mut BytesMut::from(bytes), &mut 0, MOST)
}

fn answer(bytes: &str, asked: &Method) -> Result<Option<Parsed<response::Parts>>, Fault> {
    take_answer(&mut BytesMut::from(bytes.as_bytes()), &mut 0, MOST, asked)
}

fn framing(lines: &str) -> Result<Framing, Fault> {
    let parsed = request(format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes())?;
    Ok(parsed.expect("whole").framing)
}

#[test]
fn a_head_is_read_as_it_came_and_what_follows_is_left() {
    let mut buffer =
        BytesMut::from(&b"\r\n\r\nGET /a/../b?%zz HTTP/1.1\r\nHOST:  x \r\nb:1\r\na: \r\nB: 2\r\n\r\nrest"[..]);
    let parsed = take_request(&mut buffer, &mut 0, MOST).expect("good").expect("whole");
    assert_eq!((&parsed.head.method, parsed.head.uri.to_string().as_str()), (&Method::GET, "/a/../b?%zz"));
    let lines: Vec<_> = parsed.head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(lines, [("host", &b"x"[..]), ("b", b"1"), ("b", b"2"), ("a", b"")]);
    assert_eq!((parsed.framing, parsed.persistent, &buffer[..]), (Framing::Empty, true, &b"rest"[..]));
}

#[test]
fn requests_with_two_readings_are_refused() {
    for (lines, reason) in [
        ("Content-Length: 1\r\nContent-Length: 1\r\n", Fault::Framing),
        ("Content-Length: 1, 1\r\n", Fault::Framing),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Fault::Framing),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", Fault::Framing),
        ("Content-Length: +1\r\n", Fault::Framing),
        ("Content-Length: \r\n", Fault::Framing),
        ("Content-Length: 1 1\r\n", Fault::Framing),
        ("Content-Length: 99999999999999999999\r\n", Fault::Framing),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Fault::Framing),
        ("Transfer-Encoding: chunked, chunked\r\n", Fault::Framing),
        ("Transfer-Encoding: \r\n", Fault::Framing),
        ("Transfer-Encoding: gzip, chunked\r\n", Fault::TransferCoding),
        ("Transfer-Encoding: xchunked\r\n", Fault::TransferCoding),
        ("Transfer-Encoding: identity\r\n", Fault::TransferCoding),
        ("a: b\r\n c\r\n", Fault::ObsFold),
        (" a: b\r\n", Fault::ObsFold),
        ("a: b\nc: d\r\n", Fault::LineEnd),
        ("a: b\rc: d\r\n", Fault::LineEnd),
        ("a : b\r\n", Fault::Syntax),
        (": b\r\n", Fault::Syntax),
        ("a\r\n", Fault::Syntax),
        ("a: \0\r\n", Fault::Syntax),
    ] {
        assert_eq!(framing(lines), Err(reason), "{lines:?}");
    }
    assert_eq!(framing("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
    assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    let of_1_0 = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(of_1_0).err(), Some(Fault::Framing));
}

#[test]
fn request_lines_that_are_none_are_refused() {
    for (line, reason) in [
        ("GET /#a HTTP/1.1", Fault::Target),
        ("GET  / HTTP/1.1", Fault::Syntax),
        ("GET / HTTP/1.1 ", Fault::Syntax),
        ("GET /", Fault::Syntax),
        ("GET / HTTP/1.2", Fault::Syntax),
        ("GET / HTTP/2.0", Fault::Syntax),
        ("G(T / HTTP/1.1", Fault::Syntax),
        ("GET /\u{1} HTTP/1.1", Fault::Syntax),
    ] {
        assert_eq!(request(format!("{line}\r\n\r\n").as_bytes()).err(), Some(reason), "{line:?}");
    }
}

#[test]
fn a_bare_lf_is_found_before_the_head_is_whole() {
    let mut buffer = BytesMut::from(&b"GET / HTTP/1.1\n"[..]);
    let mut seen = 0;
    for _ in 0..2 {
        assert_eq!(take_request(&mut buffer, &mut seen, MOST).err(), Some(Fault::LineEnd));
    }
}

#[test]
fn heads_are_bounded_in_bytes_and_in_lines() {
    let long = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(MOST));
    assert_eq!(request(long.as_bytes()).err(), Some(Fault::HeadSize));
    assert_eq!(request(format!("{long}\r\n\r\n").as_bytes()).err(), Some(Fault::HeadSize));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_LINES + 1));
    assert_eq!(request(many.as_bytes()).err(), Some(Fault::HeadSize));
}

#[test]
fn connections_last_as_their_version_and_options_say() {
    for (head, persistent) in [
        ("GET / HTTP/1.1\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nConnection: a, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false),
    ] {
        let parsed = request(head.as_bytes()).expect("good").expect("whole");
        assert_eq!(parsed.persistent, persistent, "{head:?}");
    }
}

#[test]
fn the_length_of_an_answer_follows_the_rules_in_their_order() {
    let of = |head: &str, asked| answer(head, &asked).map(|parsed| parsed.expect("whole").framing);
    for (head, framing) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(Framing::UntilClose)),
        ("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", Ok(Framing::Length(3))),
        ("HTTP/1.1 200 \r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\n", Ok(Framing::Length(3))),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", Err(Fault::Framing)),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Err(Fault::Framing)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Ok(Framing::Chunked)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", Ok(Framing::UntilClose)),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Fault::Framing)),
        ("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", Ok(Framing::Empty)),
        ("HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", Ok(Framing::Empty)),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", Ok(Framing::Empty)),
        ("HTTP/1.1 200 OK\r\nName : value\r\n\r\n", Ok(Framing::UntilClose)),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Err(Fault::ObsFold)),
        ("HTTP/1.1 20 OK\r\n\r\n", Err(Fault::Syntax)),
        ("HTTP/1.1 099 OK\r\n\r\n", Err(Fault::Syntax)),
        ("ICY 200 OK\r\n\r\n", Err(Fault::Syntax)),
        ("SSH-2.0-OpenSSH_9.2\r\n", Err(Fault::Syntax)),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc\n\n", Ok(Framing::Length(3))),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\r\nabc", Ok(Framing::Length(3))),
        ("\r\n\r\nHTTP/1.1 204 No\r\n\r\n", Ok(Framing::Empty)),
    ] {
        assert_eq!(of(head, Method::GET), framing, "{head:?}");
    }
    assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Method::HEAD), Ok(Framing::Empty));
}

/// What a reader learns from bytes that come in pieces.
fn pieced(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, Option<Fault>) {
    let (mut buffer, mut seen, mut heads) = (BytesMut::new(), 0, Vec::new());
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        buffer.extend_from_slice(&bytes[from..to]);
        from = to;
        loop {
            match take_request(&mut buffer, &mut seen, MOST) {
                Ok(Some(parsed)) => heads.push(format!("{:?} {:?}", parsed.head, parsed.framing)),
                Ok(None) => break,
                Err(fault) => return (heads, Some(fault)),
            }
        }
    }
    (heads, None)
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_heads_are_the_same(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "a: b\r\n", "\r\n", "\n", "\r", " ", "Content-Length: 1\r\n", "x", ":", "\0",
            ]),
            0..12,
        ),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = parts.concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(pieced(&bytes, &cuts), pieced(&bytes, &[]));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes);
        let _ = take_answer(&mut BytesMut::from(&bytes[..]), &mut 0, MOST, &Method::GET);
    }
}
