//! Towards V1 and V2: connections, balancing, deadlines.

mod backend;
mod body;
mod endpoint;
mod error;
mod retry;

pub use backend::Upstream;
pub use body::AnswerBody;
pub use error::UpstreamError;
pub use retry::{Resend, Retrying};
