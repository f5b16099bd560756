use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use super::super::answer::Body;
use super::super::pointer::Pointer;
use super::super::rules::Exclude;
use super::*;

mod content;

const RICH: Score = Score::Rich;
const CAP: usize = 1 << 20;
const ITEMS: &[u8] = br#"{"items":[1],"none":[],"null":null}"#;

const fn fallback(cause: Cause) -> Score {
    Score::Fallback(cause)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a status")
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect()
}

/// Rules of statuses, required and non-empty places.
fn rules(statuses: &[u16], required: &[&str], non_empty: &[&str]) -> Rules {
    Rules {
        status: statuses.iter().copied().map(status).collect(),
        required: pointers(required),
        non_empty: pointers(non_empty),
        ..Rules::default()
    }
}

fn min_bytes(min: u64) -> Rules {
    Rules { min_bytes: Some(min), ..Rules::default() }
}

/// An answer in the making; by default `GET`, 200 after 10 ms, no headers.
#[derive(Clone)]
struct Given {
    method: Method,
    conditional: bool,
    status: u16,
    headers: HeaderMap,
    trailers: Option<HeaderMap>,
    pieces: Vec<Bytes>,
    latency_ms: u64,
}

fn given(status: u16, body: &[u8]) -> Given {
    Given {
        method: Method::GET,
        conditional: false,
        status,
        headers: HeaderMap::new(),
        trailers: None,
        pieces: body.chunks(7).map(Bytes::copy_from_slice).collect(),
        latency_ms: 10,
    }
}

impl Given {
    fn head(self) -> Self {
        Self { method: Method::HEAD, pieces: Vec::new(), ..self }
    }

    fn conditional(self) -> Self {
        Self { conditional: true, ..self }
    }

    fn after_ms(self, latency_ms: u64) -> Self {
        Self { latency_ms, ..self }
    }

    fn coded(mut self, coding: &'static str) -> Self {
        self.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        self
    }

    fn grpc(mut self, status: &'static str) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let status = (crate::score::GRPC_STATUS, HeaderValue::from_static(status));
        Self { trailers: Some(HeaderMap::from_iter([status])), ..self }
    }

    fn score(&self, rules: Rules, cap: usize) -> Score {
        self.score_body(rules, Body::Kept(&self.pieces), cap)
    }

    fn score_body(&self, rules: Rules, body: Body<'_>, cap: usize) -> Score {
        self.find(&Scorer::new(rules), body, cap).score
    }

    fn finding(&self, scorer: &Scorer, cap: usize) -> Finding {
        self.find(scorer, Body::Kept(&self.pieces), cap)
    }

    fn find(&self, scorer: &Scorer, body: Body<'_>, cap: usize) -> Finding {
        scorer.score(&self.answer(body), cap)
    }

    fn answer<'a>(&'a self, body: Body<'a>) -> Answer<'a> {
        Answer {
            method: &self.method,
            conditional: self.conditional,
            status: status(self.status),
            headers: &self.headers,
            trailers: self.trailers.as_ref(),
            body,
            head_latency: Duration::from_millis(self.latency_ms),
            unmapped: true,
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn check(table: Vec<(&str, Rules, Given, Score)>) {
    for (what, rules, given, expected) in table {
        assert_eq!(given.score(rules, CAP), expected, "{what}");
    }
}

#[test]
fn without_rules_a_2xx_with_a_body_is_rich() {
    let none = Rules::default;
    check(vec![
        ("200 with a body", none(), given(200, b"x"), RICH),
        ("201 with a body", none(), given(201, b"x"), RICH),
        ("206 with a body", none(), given(206, b"x"), RICH),
        ("200 without", none(), given(200, b""), fallback(Cause::Empty)),
        ("204", none(), given(204, b""), fallback(Cause::Empty)),
        ("HEAD 200", none(), given(200, b"").head(), RICH),
        ("HEAD 204", none(), given(204, b"").head(), RICH),
        ("HEAD 500", none(), given(500, b"").head(), fallback(Cause::Status)),
        ("302", none(), given(302, b"x"), fallback(Cause::Status)),
        ("304 to a condition", none(), given(304, b"").conditional(), RICH),
        ("304 to none", none(), given(304, b""), fallback(Cause::Status)),
        ("401", none(), given(401, b"x"), fallback(Cause::Auth)),
        ("403", none(), given(403, b"x"), fallback(Cause::Auth)),
        ("402", none(), given(402, b"x"), fallback(Cause::Status)),
        ("418", none(), given(418, b"x"), fallback(Cause::Status)),
        ("500", none(), given(500, b"x"), fallback(Cause::Status)),
        ("503", none(), given(503, b""), fallback(Cause::Status)),
        ("gzip of nothing", none(), given(200, &gzip(b"")).coded("gzip"), fallback(Cause::Empty)),
        ("gzip of something", none(), given(200, &gzip(b"x")).coded("gzip"), RICH),
        ("small and not gzip", none(), given(200, b"x").coded("gzip"), fallback(Cause::Decode)),
        ("large, not looked into", none(), given(200, &[b'x'; 100]).coded("gzip"), RICH),
    ]);
}

#[test]
fn exactly_the_documented_client_errors_are_provisional() {
    let client_errors: Vec<u16> = (400..500)
        .filter(|&code| given(code, b"x").score(Rules::default(), CAP) == Score::ClientError(status(code)))
        .collect();
    assert_eq!(client_errors, [400, 404, 405, 409, 410, 412, 413, 414, 415, 416, 417, 422, 429]);
}

#[test]
fn listed_statuses_and_only_those_may_be_rich() {
    let empty_ok = Rules { status: vec![status(204), status(200)], min_bytes: Some(0), ..Rules::default() };
    check(vec![
        ("listed", rules(&[200], &[], &[]), given(200, b"x"), RICH),
        ("2xx not listed", rules(&[200], &[], &[]), given(201, b"x"), fallback(Cause::Status)),
        ("404 not listed", rules(&[200], &[], &[]), given(404, b"x"), Score::ClientError(status(404))),
        ("404 listed", rules(&[200, 404], &[], &[]), given(404, b"x"), RICH),
        ("404 listed, without a body", rules(&[200, 404], &[], &[]), given(404, b""), fallback(Cause::Empty)),
        ("401 listed", rules(&[401], &[], &[]), given(401, b"x"), RICH),
        ("503 listed", rules(&[503], &[], &[]), given(503, b"x"), RICH),
        ("204 listed", rules(&[204], &[], &[]), given(204, b""), RICH),
        ("204 listed, a place required", rules(&[204], &["/a"], &[]), given(204, b""), fallback(Cause::Empty)),
        ("204 and min_bytes 0", empty_ok.clone(), given(204, b""), RICH),
        ("200 and min_bytes 0", empty_ok, given(200, b""), RICH),
        ("302 listed, without a body", rules(&[302], &[], &[]), given(302, b""), fallback(Cause::Empty)),
        ("304 to a condition", rules(&[200], &["/items"], &[]), given(304, b"").conditional(), RICH),
        ("304 listed", rules(&[200, 304], &["/items"], &[]), given(304, b""), RICH),
    ]);
}

#[test]
fn places_and_sizes_make_an_answer_rich() {
    check(vec![
        ("required", rules(&[], &["/items"], &[]), given(200, ITEMS), RICH),
        ("required, empty is enough", rules(&[], &["/none"], &[]), given(200, ITEMS), RICH),
        ("required, null", rules(&[], &["/null"], &[]), given(200, ITEMS), fallback(Cause::Missing)),
        ("required, absent", rules(&[], &["/x"], &[]), given(200, ITEMS), fallback(Cause::Missing)),
        ("non_empty", rules(&[], &[], &["/items/0"]), given(200, ITEMS), RICH),
        ("non_empty, empty", rules(&[], &[], &["/none"]), given(200, ITEMS), fallback(Cause::Empty)),
        ("non_empty, absent", rules(&[], &[], &["/x"]), given(200, ITEMS), fallback(Cause::Missing)),
        ("missing before empty", rules(&[], &[], &["/none", "/x"]), given(200, ITEMS), fallback(Cause::Missing)),
        ("both on one place", rules(&[], &["/none"], &["/none"]), given(200, ITEMS), fallback(Cause::Empty)),
        ("not JSON", rules(&[], &["/x"], &[]), given(200, b"<html>"), fallback(Cause::Decode)),
        ("broken off", rules(&[], &["/items"], &[]), given(200, &ITEMS[..30]), fallback(Cause::Decode)),
        ("nothing at all", rules(&[], &["/items"], &[]), given(200, b""), fallback(Cause::Empty)),
        ("HEAD has no places", rules(&[], &["/items"], &[]), given(200, b"").head(), RICH),
        ("min_bytes met", min_bytes(3), given(200, b"abc"), RICH),
        ("min_bytes missed", min_bytes(4), given(200, b"abc"), fallback(Cause::Empty)),
        ("not JSON, but nobody asked for it", min_bytes(3), given(200, b"<html>"), RICH),
    ]);
}

#[test]
fn rules_see_the_decoded_body() {
    let (long, items) = (gzip(&[b'x'; 500]), gzip(ITEMS));
    let cut = &items[..items.len() - 1];
    check(vec![
        ("gzip", rules(&[], &["/items"], &[]), given(200, &items).coded("gzip"), RICH),
        ("cut gzip", rules(&[], &["/items"], &[]), given(200, cut).coded("gzip"), fallback(Cause::Decode)),
        ("unknown", rules(&[], &["/items"], &[]), given(200, ITEMS).coded("rot13"), fallback(Cause::Decode)),
        ("decoded size counts", min_bytes(500), given(200, &long).coded("gzip"), RICH),
        ("decoded size is short", min_bytes(501), given(200, &long).coded("gzip"), fallback(Cause::Empty)),
    ]);
}

#[test]
fn too_large_is_excluded_only_where_the_body_matters() {
    let too_large = Score::Excluded(Cause::TooLarge);
    let (plain, coded) = (given(200, ITEMS), given(200, &gzip(&[b' '; 5_000])).coded("gzip"));
    let requiring = || rules(&[], &["/items"], &[]);
    assert_eq!(plain.score(requiring(), ITEMS.len()), RICH);
    assert_eq!(plain.score(requiring(), ITEMS.len() - 1), too_large);
    assert_eq!(coded.score(requiring(), 4_999), too_large);
    assert_eq!(plain.score_body(requiring(), Body::Counted(1 << 30), CAP), too_large);
    assert_eq!(plain.score_body(Rules::default(), Body::Counted(1 << 30), CAP), RICH);
    assert_eq!(plain.score_body(Rules::default(), Body::Counted(0), CAP), fallback(Cause::Empty));
    assert_eq!(plain.score_body(min_bytes(0), Body::Counted(0), CAP), RICH);
    assert_eq!(given(500, b"").score_body(requiring(), Body::Counted(1 << 30), CAP), fallback(Cause::Status));
}

#[test]
fn the_first_cause_in_order_counts() {
    let strict = Rules {
        max_latency: Some(Duration::from_millis(100)),
        exclude: Exclude { status: vec![status(404), status(503)], ..Exclude::default() },
        ..rules(&[200], &["/x"], &["/none"])
    };
    check(vec![
        ("excluded before status", strict.clone(), given(503, b"").after_ms(200), Score::Excluded(Cause::Rule)),
        ("excluded, not a client error", strict.clone(), given(404, b""), Score::Excluded(Cause::Rule)),
        ("auth before slow", strict.clone(), given(401, b"").after_ms(200), fallback(Cause::Auth)),
        ("status before slow", strict.clone(), given(500, b"").after_ms(200), fallback(Cause::Status)),
        ("client error before slow", strict.clone(), given(410, b"").after_ms(200), Score::ClientError(status(410))),
        ("slow before decode", strict.clone(), given(200, b"{").after_ms(101), fallback(Cause::Slow)),
        ("not slower than the limit", strict.clone(), given(200, b"{").after_ms(100), fallback(Cause::Decode)),
        ("missing before empty", strict.clone(), given(200, ITEMS), fallback(Cause::Missing)),
        ("slow HEAD", strict.clone(), given(200, b"").head().after_ms(101), fallback(Cause::Slow)),
        ("slow 304", strict, given(304, b"").conditional().after_ms(101), fallback(Cause::Slow)),
    ]);
}

#[test]
fn only_answers_that_could_be_rich_need_their_body() {
    let plain = HeaderMap::new();
    let coded = given(200, b"").coded("br").headers;
    let needs = |rules, code, headers| Scorer::new(rules).needs_body(status(code), headers);
    assert!(!needs(Rules::default(), 200, &plain));
    assert!(needs(Rules::default(), 200, &coded));
    assert!(!needs(Rules::default(), 500, &coded));
    assert!(!needs(min_bytes(0), 200, &coded));
    assert!(needs(min_bytes(1), 200, &plain));
    assert!(needs(rules(&[], &["/a"], &[]), 200, &plain));
    assert!(!needs(rules(&[200], &["/a"], &[]), 201, &plain));
}

#[test]
fn grpc_is_scored_by_its_status_and_not_by_its_content() {
    let rules =
        || Rules { required: pointers(&["/items"]), max_latency: Some(Duration::from_secs(1)), ..Rules::default() };
    let least = || Rules { min_bytes: Some(6), ..Rules::default() };
    check(vec![
        ("ok", rules(), given(200, b"\0\0\0\0\0").grpc("0"), Score::Rich),
        ("ok and empty", Rules::default(), given(200, b"").grpc("0"), Score::Rich),
        ("ok and short", least(), given(200, b"\0\0\0\0\0").grpc("0"), Score::Fallback(Cause::Empty)),
        ("ok and slow", rules(), given(200, b"").grpc("0").after_ms(2000), Score::Fallback(Cause::Slow)),
        ("unavailable", rules(), given(200, b"").grpc("14"), Score::Fallback(Cause::Status)),
        ("not even HTTP's", rules(), given(503, b"").grpc("0"), Score::Fallback(Cause::Status)),
    ]);
}

/// The flaws of an answer, as text.
fn flaws_of(given: &Given, rules: Rules) -> Vec<String> {
    let scorer = Scorer::new(rules);
    let finding = given.finding(&scorer, CAP);
    let flaw = |number| scorer.catalogue().flaw(number).expect("in the catalogue");
    let text = |flaw: super::super::Flaw| match flaw.place {
        Some(place) => format!("{} {place}", flaw.cause),
        None => flaw.cause.to_string(),
    };
    finding.flaws.numbers().map(flaw).map(text).collect()
}

#[test]
fn names_every_rule_that_fails_and_not_only_the_first() {
    let late = |body| Given { latency_ms: 20, ..given(200, body) };
    let demanding = || Rules {
        max_latency: Some(Duration::from_millis(15)),
        min_bytes: Some(1000),
        ..rules(&[], &["/items", "/gone"], &["/gone", "/none"])
    };
    assert_eq!(flaws_of(&late(ITEMS), demanding()), ["empty", "slow", "missing /gone", "empty /none"]);
    assert_eq!(flaws_of(&late(b"{"), demanding()), ["decode", "empty", "slow"]);
    assert_eq!(flaws_of(&given(500, b"{}"), demanding()), ["status"]);
    assert_eq!(flaws_of(&given(200, ITEMS), rules(&[], &["/items"], &["/items"])), [""; 0]);
}
