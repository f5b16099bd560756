//! What stands in the body: jq, text, lines of JSON, and every kind of content that rules may meet.

use proptest::prelude::*;

use super::super::super::jq::{Program, STACK};
use super::super::super::rules::AnswerHeader;
use super::super::super::text::{Pattern, TextRules};
use super::*;

fn jq(text: &str) -> Rules {
    Rules { rich: Some(Program::compile(text).expect("a program")), ..Rules::default() }
}

fn kind(content_type: &'static str, body: &[u8]) -> Given {
    let mut given = given(200, body);
    given.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    given
}

fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, work).expect("a thread").join().expect("no panic")
    })
}

#[test]
fn jq_has_the_last_word() {
    let both = |required: &str| Rules { required: pointers(&[required]), ..jq(".items | length > 0") };
    let cubes = "[.[] as $a | .[] as $b | .[] as $c | .[] as $d | .[] as $e | 1] | length > 0";
    let many = format!("[{}1]", "1,".repeat(40));
    with_stack(|| {
        check(vec![
            ("true", jq(".items | length == 1"), given(200, ITEMS), RICH),
            ("false", jq(".items | length > 1"), given(200, ITEMS), fallback(Cause::Rule)),
            ("null", jq(".x"), given(200, ITEMS), fallback(Cause::Rule)),
            ("fails", jq(".items.x"), given(200, ITEMS), fallback(Cause::Rule)),
            ("no output", jq("empty"), given(200, ITEMS), fallback(Cause::Rule)),
            ("two outputs", jq("true, true"), given(200, ITEMS), fallback(Cause::Rule)),
            ("not JSON", jq("true"), given(200, b"<html>"), fallback(Cause::Decode)),
            ("nothing", jq("true"), given(200, b""), fallback(Cause::Empty)),
            ("out of fuel", jq(cubes), given(200, many.as_bytes()), Score::Excluded(Cause::Rule)),
            ("missing comes first", both("/x"), given(200, ITEMS), fallback(Cause::Missing)),
            ("both hold", both("/items"), given(200, ITEMS), RICH),
            ("decoded", jq(".items[0] == 1"), given(200, &gzip(ITEMS)).coded("gzip"), RICH),
            ("HEAD", jq("false"), given(200, b"").head(), RICH),
            ("another status", jq("true"), given(500, b"{}"), fallback(Cause::Status)),
        ]);
        let slow = Rules { min_bytes: Some(1000), ..jq(cubes) };
        assert_eq!(given(200, many.as_bytes()).score(slow, CAP), fallback(Cause::Empty), "known flaws stay");
    });
}

#[test]
fn text_and_headers_judge_what_is_no_json() {
    let page = b"<html><product id=\"1\"><price>12</price></product></html>";
    let text = |text| Rules { text, ..Rules::default() };
    let some = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let pattern = |text| vec![Pattern::parse(text).expect("a pattern")];
    let html = |wanted: &str| Rules {
        headers: vec![AnswerHeader { name: header::CONTENT_TYPE, values: vec![wanted.to_owned()] }],
        ..Rules::default()
    };
    let contains = || text(TextRules { contains: some(&["<product"]), ..TextRules::default() });
    check(vec![
        ("contains", contains(), kind("text/html", page), RICH),
        ("contains, compressed", contains(), kind("text/html", &gzip(page)).coded("gzip"), RICH),
        ("contains no more", contains(), kind("text/html", b"<html>Sorry"), fallback(Cause::Rule)),
        ("contains, empty", contains(), kind("text/html", b""), fallback(Cause::Empty)),
        (
            "lacks",
            text(TextRules { lacks: some(&["Sorry"]), ..TextRules::default() }),
            kind("text/html", b"Sorry"),
            fallback(Cause::Rule),
        ),
        (
            "matches",
            text(TextRules { matches: pattern("<price>[0-9]+<"), ..TextRules::default() }),
            kind("application/xml", page),
            RICH,
        ),
        (
            "mismatches",
            text(TextRules { mismatches: pattern("(?i)<PRICE>"), ..TextRules::default() }),
            kind("application/xml", page),
            fallback(Cause::Rule),
        ),
        ("header", html("text/html*"), kind("text/html; charset=utf-8", page), RICH),
        ("header of another kind", html("text/html*"), kind("application/json", b"{}"), fallback(Cause::Rule)),
        ("no header", html("*"), given(200, page), fallback(Cause::Rule)),
        ("header of HEAD", html("*"), given(200, b"").head(), fallback(Cause::Rule)),
        ("no header in a 304", html("*"), given(304, b"").conditional(), RICH),
    ]);
}

/// Each row is stated in the README, under "Content".
#[test]
fn every_kind_of_content_has_its_treatment() {
    let place = || rules(&[], &["/a"], &[]);
    let filled = || rules(&[], &[], &["/a"]);
    let big = format!("{{\"a\":{}}}", "7".repeat(300));
    let huge = format!("{{\"a\":{}}}", "7".repeat(400));
    let deep =
        |before: &str, levels: usize| format!("{before}{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
    let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let lines = |body: &[u8]| kind("application/x-ndjson", body);
    let decode = || fallback(Cause::Decode);
    let missing = || fallback(Cause::Missing);
    with_stack(|| {
        check(vec![
            ("byte order mark", place(), given(200, b"\xef\xbb\xbf{\"a\":1}"), RICH),
            ("byte order mark, jq", jq(".a == 1"), given(200, b"\xef\xbb\xbf{\"a\":1}"), RICH),
            ("UTF-16", place(), given(200, &utf16), decode()),
            ("UTF-16, jq", jq("true"), given(200, &utf16), decode()),
            ("the last of two keys", filled(), given(200, br#"{"a":1,"a":""}"#), fallback(Cause::Empty)),
            ("the last of two keys, jq", jq(".a == 2"), given(200, br#"{"a":1,"a":2}"#), RICH),
            ("300 digits", filled(), given(200, big.as_bytes()), RICH),
            ("300 digits, jq", jq(".a > 1"), given(200, big.as_bytes()), RICH),
            ("400 digits", filled(), given(200, huge.as_bytes()), decode()),
            ("400 digits, jq", jq("true"), given(200, huge.as_bytes()), decode()),
            ("1e999", filled(), given(200, br#"{"a":1e999}"#), decode()),
            ("1e999 elsewhere", filled(), given(200, br#"{"a":1,"b":1e999}"#), RICH),
            ("1e999 elsewhere, jq", jq("true"), given(200, br#"{"a":1,"b":1e999}"#), decode()),
            ("1e-999", filled(), given(200, br#"{"a":1e-999}"#), RICH),
            ("deep below a place", place(), given(200, &deep(r#"{"a":"#, 100_000)), RICH),
            ("deep elsewhere", place(), given(200, &deep(r#"{"a":1,"b":"#, 100_000)), RICH),
            ("deep, jq", jq("true"), given(200, &deep(r#"{"a":"#, 100_000)), decode()),
            ("120 levels, jq", jq(".a"), given(200, &deep(r#"{"a":"#, 120)), RICH),
            ("invalid UTF-8", place(), given(200, b"{\"a\":1,\"b\":\"\xff\"}"), decode()),
            ("invalid UTF-8, jq", jq("true"), given(200, b"{\"a\":1,\"b\":\"\xff\"}"), decode()),
            ("a lone surrogate", place(), given(200, br#"{"a":"\ud800"}"#), decode()),
            ("NaN", place(), given(200, br#"{"a":NaN}"#), decode()),
            ("two documents", place(), given(200, b"{\"a\":1}{\"a\":1}"), decode()),
            ("HTML", place(), kind("text/html", b"<html>"), decode()),
            ("JSON by another name", place(), kind("text/html", br#"{"a":1}"#), RICH),
            ("lines", place(), lines(b"{\"a\":1}\n{\"a\":2}\r\n\n"), RICH),
            ("one line without it", place(), lines(b"{\"a\":1}\n{\"b\":2}\n"), missing()),
            ("one line broken", place(), lines(b"{\"a\":1}\n{\"a\":\n"), decode()),
            ("no line", place(), lines(b"\n \r\n"), fallback(Cause::Empty)),
            ("lines, jq", jq("length == 2 and all(.[]; .a)"), lines(b"{\"a\":1}\n{\"a\":2}\n"), RICH),
            ("a line of two, jq", jq("true"), lines(b"{\"a\":1},{\"a\":2}\n"), decode()),
            ("lines that are not said to be", place(), given(200, b"{\"a\":1}\n{\"a\":2}\n"), decode()),
        ]);
    });
}

#[test]
fn jq_and_much_to_decode_are_slow_and_the_rest_is_not() {
    let slow = |rules, status, coded: bool, size: u64| {
        let given = given(status, &vec![b' '; usize::try_from(size).expect("small")]);
        let given = if coded { given.coded("gzip") } else { given };
        Scorer::new(rules).is_slow(&given.answer(Body::Kept(&given.pieces)))
    };
    let place = || rules(&[], &["/a"], &[]);
    assert!(slow(jq("true"), 200, false, 1));
    assert!(!slow(jq("true"), 200, false, 0), "nothing to read");
    assert!(!slow(jq("true"), 500, false, 1), "not even read");
    assert!(!slow(place(), 200, false, MOST_READ) && slow(place(), 200, false, MOST_READ + 1));
    assert!(!slow(place(), 200, true, MOST_CODED) && slow(place(), 200, true, MOST_CODED + 1));
    assert!(!slow(Rules::default(), 200, true, 1 << 20), "not looked into");
    let large = given(200, b"");
    assert!(!Scorer::new(place()).is_slow(&large.answer(Body::Counted(1 << 30))), "not kept");
}

/// Rules that read everything there is.
fn curious() -> Scorer {
    Scorer::new(Rules {
        required: pointers(&["/a", "/a/0/b"]),
        non_empty: pointers(&["/items"]),
        min_bytes: Some(1),
        text: TextRules {
            lacks: vec!["x".to_owned()],
            matches: vec![Pattern::parse("a+b").expect("a pattern")],
            ..TextRules::default()
        },
        ..jq("[..] | length > 3 and (.items | map(.a?) | add) != null")
    })
}

/// Bytes as they may come: anything, and JSON with something wrong.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\u",
        "\\ud83d",
        "\"a\"",
        "\"items\"",
        "1",
        "-",
        "e9",
        "1e999",
        "null",
        "true",
        "\n",
        " ",
        "\u{feff}",
        "é",
        "99999999999999999999",
    ]);
    let json = prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat().into_bytes());
    let nested = (0..2000_usize)
        .prop_map(|levels| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), json, nested]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_body_panics_or_takes_the_stack(body in bodies(), coding in 0..6_usize, lines: bool) {
        let scorer = curious();
        let mut given = kind(if lines { "application/x-ndjson" } else { "application/json" }, &body);
        if let Some(coding) = [None, Some("gzip"), Some("br"), Some("zstd"), Some("deflate"), Some("gzip, br")][coding] {
            given = given.coded(coding);
        }
        with_stack(|| given.finding(&scorer, CAP));
    }
}
