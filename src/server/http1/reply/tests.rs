use http::Request;

use super::*;

fn asked(method: Method, version: Version, lines: &[(&'static str, &'static str)], persistent: bool) -> Asked {
    let mut request = Request::builder().method(method).version(version);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).expect("valid").into_parts();
    Asked::of(&Parsed { head, framing: Framing::Empty, spelling: Spelling::default(), persistent })
}

fn get() -> Asked {
    asked(Method::GET, Version::HTTP_11, &[], true)
}

/// The head of an answer with these lines, without its last, empty one; and what it says of the rest.
fn reply(asked: Asked, status: u16, lines: &[(&'static str, &'static str)], size: Option<u64>) -> (String, Reply) {
    let mut answer = http::Response::builder().status(status).header("date", "now");
    for (name, value) in lines {
        answer = answer.header(*name, *value);
    }
    let (mut head, ()) = answer.body(()).expect("valid").into_parts();
    let reply = Reply::new(asked, &mut head, size, false);
    let mut out = BytesMut::new();
    reply.write(&mut out, asked, &head, None);
    let text = String::from_utf8(out.to_vec()).expect("text").replace("date: now\r\n", "").replace("\r\n", "|");
    (text.strip_suffix("||").unwrap_or(&text).to_owned(), reply)
}

#[test]
fn content_is_framed_by_its_length_or_in_chunks_or_by_the_end() {
    let old = asked(Method::GET, Version::HTTP_10, &[("connection", "keep-alive")], true);
    let head = asked(Method::HEAD, Version::HTTP_11, &[], true);
    let length = [("content-length", "5")];
    for (asked, status, lines, size, text, framing) in [
        (get(), 200, &length[..], Some(5), "HTTP/1.1 200 OK|content-length: 5", Framing::Length(5)),
        (get(), 200, &[], Some(5), "HTTP/1.1 200 OK|content-length: 5", Framing::Length(5)),
        (get(), 200, &[], Some(0), "HTTP/1.1 200 OK|content-length: 0", Framing::Length(0)),
        (get(), 200, &[], None, "HTTP/1.1 200 OK|transfer-encoding: chunked", Framing::Chunked),
        (get(), 200, &[("transfer-encoding", "x")], Some(1), "HTTP/1.1 200 OK|content-length: 1", Framing::Length(1)),
        (old, 200, &[], None, "HTTP/1.0 200 OK", Framing::UntilClose),
        (old, 200, &[], Some(5), "HTTP/1.0 200 OK|content-length: 5|connection: keep-alive", Framing::Length(5)),
        (head, 200, &length, Some(0), "HTTP/1.1 200 OK|content-length: 5", Framing::Empty),
        (head, 200, &[], Some(9), "HTTP/1.1 200 OK", Framing::Empty),
        (get(), 204, &length, Some(0), "HTTP/1.1 204 No Content", Framing::Empty),
        (get(), 304, &length, Some(0), "HTTP/1.1 304 Not Modified|content-length: 5", Framing::Empty),
        (
            get(),
            101,
            &[("connection", "upgrade")],
            None,
            "HTTP/1.1 101 Switching Protocols|connection: upgrade",
            Framing::Empty,
        ),
    ] {
        let (written, reply) = reply(asked, status, lines, size);
        assert_eq!((written.as_str(), reply.framing), (text, framing), "{asked:?} {status} {lines:?} {size:?}");
    }
}

#[test]
fn the_connection_ends_where_either_side_says_so_and_the_consumer_is_told() {
    let last = asked(Method::GET, Version::HTTP_11, &[], false);
    let (written, answered) = reply(last, 200, &[], Some(0));
    assert_eq!(
        (written.as_str(), answered.after),
        ("HTTP/1.1 200 OK|content-length: 0|connection: close", After::Nothing)
    );
    let (written, answered) = reply(get(), 400, &[("connection", "x, Close")], Some(0));
    let text = "HTTP/1.1 400 Bad Request|connection: x, Close|content-length: 0";
    assert_eq!((written.as_str(), answered.after), (text, After::Nothing));
    let old = asked(Method::GET, Version::HTTP_10, &[], false);
    assert_eq!(reply(old, 200, &[], Some(0)).0, "HTTP/1.0 200 OK|content-length: 0");
    let mut head = http::Response::new(()).into_parts().0;
    let drained = Reply::new(get(), &mut head, Some(0), true);
    assert_eq!((drained.connection, drained.after), (Some("close"), After::Nothing));
}

#[test]
fn an_answer_without_a_date_gets_one() {
    let mut head = http::Response::new(()).into_parts().0;
    let mut out = BytesMut::new();
    Reply::new(get(), &mut head, Some(0), false).write(&mut out, get(), &head, None);
    let text = String::from_utf8(out.to_vec()).expect("text");
    assert!(text.contains("\r\ndate: ") && text.ends_with(" GMT\r\n\r\n"), "{text}");
}

#[test]
fn trailers_and_expectations_are_of_http_1_1() {
    let lines = [("te", "gzip, Trailers"), ("expect", "100-Continue")];
    let new = asked(Method::POST, Version::HTTP_11, &lines, true);
    let old = asked(Method::POST, Version::HTTP_10, &lines, true);
    assert_eq!((new.trailers, new.expects, old.trailers, old.expects), (true, true, false, false));
}
