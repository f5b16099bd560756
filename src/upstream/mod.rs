//! Towards V1 and V2: connections, balancing, deadlines.

mod backend;
mod body;
mod endpoint;
mod error;

pub use backend::Upstream;
pub use body::AnswerBody;
pub use error::UpstreamError;
