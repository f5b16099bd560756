use proptest::prelude::*;

use super::super::{take_answer, take_request};
use super::*;

fn written(head: &str, host: Option<&'static str>, base_path: &str, change: impl Fn(&mut HeaderMap)) -> String {
    let parsed = take_request(&mut BytesMut::from(head.as_bytes()), &mut 0, 4096).expect("good").expect("whole");
    let (mut head, host) = (parsed.head, host.map(HeaderValue::from_static));
    change(&mut head.headers);
    let line = RequestLine { method: &head.method, base_path, uri: &head.uri, host: host.as_ref() };
    let mut out = BytesMut::new();
    write_request(&mut out, line, &head.headers, Some(&parsed.spelling));
    String::from_utf8(out.to_vec()).expect("text")
}

#[test]
fn a_head_goes_out_as_it_came_in() {
    let head = "GET /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nACCEPT: *\r\nuser-Agent: me\r\n\r\n";
    assert_eq!(written(head, None, "", |_| ()), head);
}

#[test]
fn what_was_changed_leaves_the_spelling_of_the_rest() {
    let head = "GET / HTTP/1.1\r\nB: 1\r\nHOST: x\r\nA: 1\r\nb: 2\r\nC: 3\r\n\r\n";
    let out = written(head, None, "", |headers| {
        headers.remove("a");
        headers.append("via", HeaderValue::from_static("me"));
        headers.append("C", HeaderValue::from_static("4"));
    });
    assert_eq!(out, "GET / HTTP/1.1\r\nB: 1\r\nb: 2\r\nHOST: x\r\nC: 3\r\nc: 4\r\nvia: me\r\n\r\n");
}

#[test]
fn host_and_base_path_are_the_backends() {
    let head = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(written(head, Some("y"), "/v2", |_| ()), "GET /v2/a HTTP/1.1\r\nHost: y\r\n\r\n");
    assert_eq!(written("GET /a HTTP/1.1\r\n\r\n", Some("y"), "", |_| ()), "GET /a HTTP/1.1\r\nhost: y\r\n\r\n");
    assert_eq!(written("OPTIONS * HTTP/1.1\r\n\r\n", None, "/v2", |_| ()), "OPTIONS * HTTP/1.1\r\n\r\n");
}

#[test]
fn an_answer_keeps_its_reason_while_its_status_is_the_same() {
    let head = "HTTP/1.1 200 All is well\r\nETag: x\r\n";
    let whole = format!("{head}\r\n");
    let parsed = take_answer(&mut BytesMut::from(whole.as_bytes()), &mut 0, 4096, &Method::GET);
    let parsed = parsed.expect("good").expect("whole");
    let written = |version, status, spelling| {
        let mut out = BytesMut::new();
        write_answer(&mut out, version, status, &parsed.head.headers, spelling);
        String::from_utf8(out.to_vec()).expect("text")
    };
    assert_eq!(written(Version::HTTP_11, StatusCode::OK, Some(&parsed.spelling)), head);
    let other = written(Version::HTTP_10, StatusCode::BAD_GATEWAY, Some(&parsed.spelling));
    assert_eq!(other, "HTTP/1.0 502 Bad Gateway\r\nETag: x\r\n");
    assert_eq!(written(Version::HTTP_11, StatusCode::OK, None), "HTTP/1.1 200 OK\r\netag: x\r\n");
}

proptest! {
    /// The map groups the lines of a name, so that is the order; everything else is as it came, to the letter.
    #[test]
    fn any_head_is_spelled_as_it_came(names in prop::collection::vec("[a-cA-C]{1,2}", 0..12)) {
        let line = |(at, name): (usize, &String)| format!("{name}: {at}\r\n");
        let lines: Vec<String> = names.iter().enumerate().map(line).collect();
        let mut grouped: Vec<&String> = Vec::new();
        let mut seen = Vec::new();
        for name in names.iter().map(|name| name.to_ascii_lowercase()) {
            if !seen.contains(&name) {
                grouped.extend(lines.iter().zip(&names).filter(|(_, it)| it.eq_ignore_ascii_case(&name)).map(|it| it.0));
                seen.push(name);
            }
        }
        let head = |lines: &[&String]| {
            let lines: String = lines.iter().map(|line| line.as_str()).collect();
            format!("GET / HTTP/1.1\r\n{lines}\r\n")
        };
        let came = head(&lines.iter().collect::<Vec<_>>());
        prop_assert_eq!(written(&came, None, "", |_| ()), head(&grouped));
    }
}
