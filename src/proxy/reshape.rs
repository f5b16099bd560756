//! V2's answers on their way to V1's consumers, where a mapping makes V1's shape of them.
//!
//! Such an answer is read to its end, mapped, and served whole or not at all: what cannot be mapped is a failure of the
//! backend like any other, before the consumer has seen a byte of it. Everything that is not mapped is streamed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
};
use http::{HeaderMap, Response, StatusCode, response};
use http_body::Frame;
use http_body_util::BodyExt;

use super::entity_tag::Suffix;
use super::rescue::Held;
use super::scoring::Complete;
use super::tee::LegBody;
use super::worker::Worker;
use crate::cap::Cap;
use crate::score::{Mapping, MappingFault};
use crate::telemetry::Reshaped;
use crate::upstream::{AnswerBody, UpstreamError};

/// What is true of the content as the backend sent it, and of no other (RFC 9110; RFC 9530; RFC 3230; RFC 1864).
const OF_THE_CONTENT: [HeaderName; 8] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    ACCEPT_RANGES,
    LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The codings that can be undone.
const READABLE: [&str; 6] = ["gzip", "x-gzip", "br", "zstd", "deflate", "identity"];

/// Makes a consumer's request one whose answer can be mapped: whole, in a coding that can be undone, and with conditions that
/// the backend knows.
pub(super) fn ask(headers: &mut HeaderMap, mapping: &Mapping) {
    Suffix::of(mapping.hash()).take(headers);
    if headers.contains_key(ACCEPT_ENCODING) {
        let readable: Vec<&str> = headers.get_all(ACCEPT_ENCODING).iter().flat_map(readable).collect();
        // An empty list asks for no coding at all (RFC 9110, section 12.5.3).
        let list = HeaderValue::try_from(readable.join(", ")).unwrap_or(HeaderValue::from_static(""));
        headers.insert(ACCEPT_ENCODING, list);
    }
}

fn readable(list: &HeaderValue) -> impl Iterator<Item = &str> {
    let items = list.to_str().unwrap_or_default().split(',').map(str::trim);
    items.filter(|item| {
        let coding = item.split(';').next().unwrap_or_default().trim();
        READABLE.iter().any(|readable| readable.eq_ignore_ascii_case(coding))
    })
}

/// An answer that goes on as it is. Its head may still speak of content that would have been mapped.
pub(super) fn pass(response: &mut Response<AnswerBody<LegBody>>, complete: &Complete, mapping: &Mapping) {
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED || Mapping::describes(status, response.headers()) {
        forget_content(response.headers_mut());
    }
    Suffix::of(mapping.hash()).put(response.headers_mut());
    complete.pair.route().tally().reshaped(Reshaped::Passed);
}

fn forget_content(headers: &mut HeaderMap) {
    super::head::retain(headers, |name| !OF_THE_CONTENT.contains(name));
}

/// Reads an answer and maps it; what is left to score is what the consumer gets. `due` bounds the time, where it is bounded.
///
/// # Errors
/// When the answer breaks off, is larger than `score_body`, cannot be mapped, or there is no room in `map_memory`.
pub(super) async fn read(
    response: Response<AnswerBody<LegBody>>,
    complete: Complete,
    worker: &Worker,
    due: Option<Instant>,
) -> Result<(Held, Complete), UpstreamError> {
    let route = std::rc::Rc::clone(complete.pair.route());
    let read = match due {
        None => whole(response, complete, worker).await,
        Some(due) => {
            let whole = whole(response, complete, worker);
            tokio::time::timeout_at(due.into(), whole).await.unwrap_or(Err(UpstreamError::Timeout))
        }
    };
    let result = match &read {
        Ok(_) => Reshaped::Mapped,
        Err(UpstreamError::Unmappable(MappingFault::TooLarge)) => Reshaped::TooLarge,
        Err(UpstreamError::Unmappable(_)) => Reshaped::Failed,
        Err(UpstreamError::Crowded) => Reshaped::NoRoom,
        Err(UpstreamError::Late) => Reshaped::Late,
        // Whatever became of it, it was not the mapping.
        Err(_) => return read,
    };
    route.tally().reshaped(result);
    read
}

async fn whole(
    response: Response<AnswerBody<LegBody>>,
    mut complete: Complete,
    worker: &Worker,
) -> Result<(Held, Complete), UpstreamError> {
    let cap = complete.pair.limits().score_body;
    let (head, mut body) = response.into_parts();
    let spelling = body.spelling();
    let (pieces, trailers, room) = collect(body, cap, Room::new(worker.map_memory())).await?;
    let scorer = Arc::clone(complete.pair.route().scorer(complete.backend));
    let mapping = scorer.mapping().expect("only answers of a backend with a mapping are unmapped");
    let mapped = if mapping.has_program() {
        in_the_lane(worker, &complete, &head.headers, pieces).await?
    } else {
        mapping.answer(&head.headers, &pieces, cap)
    };
    let mapped = mapped.map_err(UpstreamError::Unmappable)?;
    drop(room);
    let content = Room::new(worker.map_memory()).keep(mapped)?;
    complete.head.headers.remove(CONTENT_ENCODING);
    complete.head.unmapped = false;
    let frames = std::iter::once(Frame::data(content)).chain(trailers.map(Frame::trailers));
    let content: VecDeque<_> = frames.collect();
    for frame in &content {
        complete.capture.frame(frame);
    }
    let head = dress(head, &content, mapping);
    Ok((Held { head, spelling, content, rest: None }, complete))
}

/// Maps the content of an answer that is only to be scored, where a program does it: scoring itself moves values, and no more.
///
/// # Errors
/// When it cannot be mapped, or not in time.
pub(super) async fn settle(worker: &Worker, complete: &mut Complete) -> Result<(), UpstreamError> {
    let scorer = complete.pair.route().scorer(complete.backend);
    let has_program = scorer.mapping().is_some_and(|mapping| mapping.has_program());
    // What was too large to keep is too large to map, and scoring says so.
    let Some(pieces) = complete.capture.pieces().filter(|_| complete.head.unmapped && has_program) else {
        return Ok(());
    };
    let pieces = pieces.to_vec();
    let mapped = in_the_lane(worker, complete, &complete.head.headers, pieces).await?;
    complete.capture.replace(&Bytes::from(mapped.map_err(UpstreamError::Unmappable)?));
    complete.head.headers.remove(CONTENT_ENCODING);
    complete.head.unmapped = false;
    Ok(())
}

/// Maps where it may take a while.
async fn in_the_lane(
    worker: &Worker,
    complete: &Complete,
    headers: &HeaderMap,
    pieces: Vec<Bytes>,
) -> Result<Result<Vec<u8>, MappingFault>, UpstreamError> {
    let (route, limits) = (complete.pair.route(), complete.pair.limits());
    let (scorer, headers, cap) = (Arc::clone(route.scorer(complete.backend)), headers.clone(), limits.score_body);
    let version = scorer.mapping().map_or(0, |mapping| mapping.hash());
    let rule = route.mapping_rule(complete.backend, worker.shared.lane.counts(), &format!("{version:x}"));
    let job = move || scorer.mapping().map_or(Ok(Vec::new()), |mapping| mapping.answer(&headers, &pieces, cap));
    worker.shared.lane.run(&rule, limits.rule_timeout, job).await.map_err(|_| UpstreamError::Late)
}

type Collected = (Vec<Bytes>, Option<HeaderMap>, Room);

async fn collect(mut body: AnswerBody<LegBody>, cap: usize, mut room: Room) -> Result<Collected, UpstreamError> {
    let (mut pieces, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(piece) => {
                room.take(piece.len())?;
                if room.taken > cap {
                    return Err(UpstreamError::Unmappable(MappingFault::TooLarge));
                }
                pieces.push(piece);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    if let Some(trailers) = &mut trailers {
        forget_content(trailers);
        trailers.remove(ETAG);
    }
    Ok((pieces, trailers, room))
}

fn dress(mut head: response::Parts, content: &VecDeque<Frame<Bytes>>, mapping: &Mapping) -> response::Parts {
    forget_content(&mut head.headers);
    Suffix::of(mapping.hash()).put(&mut head.headers);
    let size: usize = content.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    head
}

/// A place in `map_memory`.
pub(super) struct Room {
    memory: Arc<Cap>,
    taken: usize,
}

impl Room {
    pub(super) const fn new(memory: Arc<Cap>) -> Self {
        Self { memory, taken: 0 }
    }

    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn take(&mut self, size: usize) -> Result<(), UpstreamError> {
        if !self.memory.try_take(size) {
            return Err(UpstreamError::Crowded);
        }
        self.taken += size;
        Ok(())
    }

    /// What was mapped, with its place in `map_memory` until whoever it is for has it.
    pub(super) fn keep(mut self, mapped: Vec<u8>) -> Result<Bytes, UpstreamError> {
        struct Kept(Vec<u8>, #[expect(dead_code, reason = "gives the room back when it is dropped")] Room);
        impl AsRef<[u8]> for Kept {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        self.take(mapped.len())?;
        Ok(Bytes::from_owner(Kept(mapped, self)))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.give(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codings_that_can_be_undone_are_asked_for() {
        let table = [
            ("gzip, br;q=0.5, zstd", "gzip, br;q=0.5, zstd"),
            ("GZIP;q=1 , compress, *;q=0.1", "GZIP;q=1"),
            ("*", ""),
            ("dcb, identity;q=0", "identity;q=0"),
        ];
        let mapping = Mapping::default();
        for (sent, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(sent));
            ask(&mut headers, &mapping);
            assert_eq!(headers[ACCEPT_ENCODING], expected, "{sent}");
        }
        let mut none = HeaderMap::new();
        ask(&mut none, &mapping);
        assert!(none.is_empty());
    }
}
