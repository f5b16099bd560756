//! The fault of a drill, in the midst of a call of V2.

use std::time::Instant;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{Response, StatusCode};

use super::tee::LegBody;
use crate::config::Fault;
use crate::upstream::{AnswerBody, UpstreamError};

/// Before the call: waits as long as the fault says, but never beyond the deadline.
pub(super) async fn before(fault: Option<Fault>, due: Instant) -> Result<(), UpstreamError> {
    let until = match fault {
        Some(Fault::Latency(by)) => due.min(Instant::now() + by),
        Some(Fault::Hang) => due,
        _ => return Ok(()),
    };
    tokio::time::sleep_until(until.into()).await;
    if until == due { Err(UpstreamError::Timeout) } else { Ok(()) }
}

/// After the call: spoils the answer.
pub(super) fn after(fault: Option<Fault>, mut answer: Response<AnswerBody<LegBody>>) -> Response<AnswerBody<LegBody>> {
    match fault {
        Some(Fault::Errors(_)) => *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        Some(Fault::Empty) => {
            answer.headers_mut().remove(CONTENT_LENGTH);
            answer.headers_mut().remove(CONTENT_ENCODING);
            answer.body_mut().forget();
        }
        _ => {}
    }
    answer
}
