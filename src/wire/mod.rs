//! HTTP/1.1 messages as bytes (RFC 9112): heads, and content in its framing, in both directions.
//!
//! Nothing here knows a socket: bytes go in, heads and pieces of content come out, and the other way round. Whatever has
//! more than one reading is a [`Fault`]. A head is passed on in its sender's [`Spelling`].

mod chunked;
mod content;
mod fault;
mod head;
mod outbox;
mod spelling;
mod trailers;
mod write;

pub use content::{Decoded, Decoder, Encoder, Framing, Mismatch};
pub use fault::Fault;
pub use head::{Parsed, take_answer, take_request};
pub use outbox::Outbox;
pub use spelling::Spelling;
pub use write::{RequestLine, end_head, write_answer, write_line, write_request};
