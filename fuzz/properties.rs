//! What has to hold for any bytes whatever: shared by the fuzz targets and by the test that runs the committed corpus.
//!
//! An input is cut into parts at each 0xFF byte, which no UTF-8 text holds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use crossfade::outcome::Cause;
use crossfade::score::diff::{Comparer, Content, Options};
use crossfade::score::{Answer, Body, JQ_STACK, Mapping, Place, Pointer, Program, Rules, Score, Scorer};
use crossfade::wire::{Decoded, Decoder, Fault, Framing, take_answer, take_request};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// Decoded content is never larger than this.
const CAP: usize = 64 << 10;

/// The next part of an input, and the rest.
fn part(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == 0xff).unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

fn answer<'a>(headers: &'a HeaderMap, pieces: &'a [Bytes]) -> Answer<'a> {
    Answer {
        method: &Method::GET,
        conditional: false,
        status: StatusCode::OK,
        headers,
        trailers: None,
        body: Body::Kept(pieces),
        head_latency: Duration::ZERO,
        unmapped: false,
    }
}

/// A pointer, and a body: what the pass without a tree says of the place is what the tree says.
pub(crate) fn score(data: &[u8]) {
    let (place, body) = part(data);
    let Some(place) = std::str::from_utf8(place).ok().and_then(|text| Pointer::parse(text).ok()) else { return };
    let scorer =
        Scorer::new(Rules { required: vec![place.clone()], non_empty: vec![place.clone()], ..Rules::default() });
    let (headers, pieces) = (HeaderMap::new(), [Bytes::copy_from_slice(body)]);
    let found = scorer.score(&answer(&headers, &pieces), CAP).score;
    // The tree gives up on numbers beyond f64 and below 128 levels; the pass need not look at either.
    let Ok(tree) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    let expected = match tree.pointer(&place.to_string()) {
        None | Some(serde_json::Value::Null) => Score::Fallback(Cause::Missing),
        Some(value) if is_empty(value) => Score::Fallback(Cause::Empty),
        Some(_) => Score::Rich,
    };
    assert_eq!(found, expected, "{place} in {}", String::from_utf8_lossy(body));
}

fn is_empty(value: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object, String};
    matches!(value, String(text) if text.is_empty())
        || matches!(value, Array(items) if items.is_empty())
        || matches!(value, Object(members) if members.is_empty())
}

/// Codings, and content under them: whatever it is, decoding ends, and within the cap.
pub(crate) fn decode(data: &[u8]) {
    let (codings, content) = part(data);
    let Ok(codings) = HeaderValue::from_bytes(codings) else { return };
    let headers = HeaderMap::from_iter([(http::header::CONTENT_ENCODING, codings)]);
    let scorer = Scorer::new(Rules { min_bytes: Some(CAP as u64 + 1), ..Rules::default() });
    let whole = [Bytes::copy_from_slice(content)];
    let found = scorer.score(&answer(&headers, &whole), CAP).score;
    assert_ne!(found, Score::Rich, "more content than the cap allows");
    // In pieces it is the same content.
    let pieces: Vec<_> = content.chunks(7).map(Bytes::copy_from_slice).collect();
    assert_eq!(scorer.score(&answer(&headers, &pieces), CAP).score, found);
}

/// Two places, and a body: what is mapped is JSON again, and it holds at V1's place what stood at V2's.
pub(crate) fn map(data: &[u8]) {
    let ((to, rest), place) =
        (part(data), |text| std::str::from_utf8(text).ok().and_then(|text| Place::parse(text).ok()));
    let (from, body) = part(rest);
    let (Some(v1), Some(v2)) = (place(to), place(from)) else { return };
    let Ok(mapping) = Mapping::new(&[(v1, v2)]) else { return };
    let Ok(mapped) = mapping.apply(body) else { return };
    let (Ok(before), Ok(after)) = (parse(body), parse(&mapped)) else { return };
    let (to, from) = (String::from_utf8_lossy(to), String::from_utf8_lossy(from));
    // Places that are JSON Pointers as well, which those with elements and with a key `*` are not.
    let is_pointer = |place: &str| !place.contains('*') && !place.contains("~2");
    let moved = before.pointer(&from).filter(|_| !from.is_empty() && is_pointer(&to) && is_pointer(&from));
    if let Some(moved) = moved {
        assert_eq!(after.pointer(&to), Some(moved), "{}", String::from_utf8_lossy(&mapped));
    }
}

fn parse(body: &[u8]) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_slice(body)
}

/// Two bodies: neither differs from itself, and both ways they differ or not.
pub(crate) fn diff(data: &[u8]) {
    let (one, other) = part(data);
    let (Content::Json(one), Content::Json(other)) = (Content::read(one), Content::read(other)) else { return };
    let comparer = Comparer::new(Options::default());
    assert_eq!(comparer.compare(&one, &one), [], "{one}");
    let (there, back) = (comparer.compare(&one, &other), comparer.compare(&other, &one));
    assert_eq!(there.is_empty(), back.is_empty(), "{one} and {other}");
}

/// A program, and a body: whatever both are, it ends, within the stack that a lane has.
pub(crate) fn jq(data: &[u8]) {
    let (text, body) = part(data);
    let Some(program) = std::str::from_utf8(text).ok().and_then(|text| Program::compile(text).ok()) else { return };
    let body = body.to_vec();
    let run = move || program.is_true_of(&body).is_ok_and(|is_true| is_true);
    let thread = std::thread::Builder::new().stack_size(JQ_STACK).spawn(run);
    thread.expect("a thread").join().expect("no panic");
}

/// What a peer sends: its requests, or answers, with their content and what is wrong with them are the same whether it comes
/// at once, byte by byte, or in pieces.
pub(crate) fn wire(data: &[u8]) {
    for pieces in [1, 2, 7] {
        assert_eq!(messages(data, pieces, request), messages(data, data.len(), request), "requests by {pieces}");
        assert_eq!(messages(data, pieces, reply), messages(data, data.len(), reply), "answers by {pieces}");
    }
}

/// Takes a head off: what it says, and how its content is framed.
type Take = fn(&mut BytesMut, &mut usize) -> Result<Option<(String, Framing)>, Fault>;

fn request(buffer: &mut BytesMut, seen: &mut usize) -> Result<Option<(String, Framing)>, Fault> {
    let parsed = take_request(buffer, seen, CAP)?;
    Ok(parsed.map(|parsed| (format!("{:?} {}", parsed.head, parsed.persistent), parsed.framing)))
}

fn reply(buffer: &mut BytesMut, seen: &mut usize) -> Result<Option<(String, Framing)>, Fault> {
    let parsed = take_answer(buffer, seen, CAP, &Method::GET)?;
    Ok(parsed.map(|parsed| (format!("{:?} {}", parsed.head, parsed.persistent), parsed.framing)))
}

/// A head, and its content.
type Message = (String, Vec<u8>);

/// What is found up to the first fault.
fn messages(data: &[u8], pieces: usize, take: Take) -> (Vec<Message>, Result<(), Fault>) {
    let (mut buffer, mut seen, mut found) = (BytesMut::new(), 0, Vec::new());
    let mut decoder = Decoder::new(Framing::Empty);
    let mut next = |buffer: &mut BytesMut, found: &mut Vec<Message>| -> Result<bool, Fault> {
        if decoder.is_over() {
            let Some((head, framing)) = take(buffer, &mut seen)? else { return Ok(false) };
            decoder = Decoder::new(framing);
            found.push((head, Vec::new()));
            return Ok(true);
        }
        let (_, content) = found.last_mut().expect("content has a head");
        match decoder.decode(buffer)? {
            Decoded::Data(piece) => content.extend_from_slice(&piece),
            Decoded::Trailers(trailers) => content.extend_from_slice(format!("{trailers:?}").as_bytes()),
            Decoded::Over => {}
            Decoded::More => return Ok(false),
        }
        Ok(true)
    };
    for piece in data.chunks(pieces.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match next(&mut buffer, &mut found) {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => return (found, Err(fault)),
            }
        }
    }
    (found, Ok(()))
}
