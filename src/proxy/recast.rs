//! Requests whose content a backend wants in another shape: read whole, mapped by jq in the lane, and sent with its length.
//!
//! Only JSON is mapped; everything else streams as it came. The primary's consumer sends no faster than before, and the copy
//! of a shadow is read while the primary takes its own; whoever is not mapped waits for nothing.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::BodyExt;

use super::leg::Leg;
use super::reshape::Room;
use super::tee::{BodyError, LegBody};
use super::worker::Worker;
use crate::config::retain_headers;
use crate::score::{MappingFault, Program, is_json, map_request};
use crate::upstream::UpstreamError;

/// What is true of the content as the consumer sent it, and of no other. The expectation was met when it was read.
const OF_THE_CONTENT: [HeaderName; 9] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    TRANSFER_ENCODING,
    TRAILER,
    EXPECT,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The program for a request's content, where it has one that is mapped.
pub(super) fn program<'a>(program: Option<&'a Program>, headers: &HeaderMap, body: &LegBody) -> Option<&'a Program> {
    program.filter(|_| !body.is_end_stream() && is_json(headers))
}

/// Makes the content of a request what its backend wants, by `due`. A request whose content cannot be mapped has none left.
///
/// # Errors
/// When the content breaks off or is larger than `score_body`, when the program fails on it, or when there is no room in
/// `map_memory`, or no thread in time.
pub(super) async fn recast(
    worker: &Worker,
    leg: &Leg,
    request: &mut Request<LegBody>,
    due: Instant,
) -> Result<(), UpstreamError> {
    let wanted = program(leg.program.as_ref(), request.headers(), request.body());
    let Some(program) = wanted.cloned() else { return Ok(()) };
    // In a box, so that whoever maps nothing does not carry its state.
    let mapping = Box::pin(map(worker, leg, request, program));
    tokio::time::timeout_at(due.into(), mapping).await.unwrap_or(Err(UpstreamError::Timeout))
}

async fn map(
    worker: &Worker,
    leg: &Leg,
    request: &mut Request<LegBody>,
    program: Program,
) -> Result<(), UpstreamError> {
    let limits = leg.pair.limits();
    let body = std::mem::take(request.body_mut());
    let cap = limits.score_body;
    let (pieces, room) = collect(body, cap, Room::new(worker.map_memory())).await?;
    if pieces.is_empty() {
        *request.body_mut() = LegBody::Whole(Bytes::new());
        return Ok(());
    }
    let rule = leg.pair.route().mapping_rule(leg.backend, worker.shared.lane.counts(), program.text());
    let headers = request.headers().clone();
    let mapped = worker.shared.lane.run(&rule, limits.rule_timeout, move || {
        let mapped = map_request(&program, &headers, &pieces, cap);
        drop(room);
        mapped
    });
    let mapped = mapped.await.map_err(|_| UpstreamError::Late)?.map_err(UpstreamError::Unfit)?;
    let content = Room::new(worker.map_memory()).keep(mapped)?;
    retain_headers(request.headers_mut(), |name| !OF_THE_CONTENT.contains(name));
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    *request.body_mut() = LegBody::Whole(content);
    Ok(())
}

/// The content, read to its end even where it is too large: the other backend gets its copy while it is read.
async fn collect(mut body: LegBody, cap: usize, mut room: Room) -> Result<(Arc<[Bytes]>, Room), UpstreamError> {
    let (mut pieces, mut lost) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            BodyError::Consumer(error) => UpstreamError::Unsent(error.into()),
            _ => UpstreamError::Cut,
        })?;
        let Some(piece) = frame.into_data().ok().filter(|_| lost.is_none()) else { continue };
        lost = room.take(piece.len()).err();
        if room.taken() > cap {
            lost = Some(UpstreamError::Unfit(MappingFault::TooLarge));
        }
        pieces.push(piece);
        if lost.is_some() {
            pieces.clear();
        }
    }
    match lost {
        None => Ok((pieces.into(), room)),
        Some(lost) => Err(lost),
    }
}
