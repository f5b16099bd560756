//! Towards V1 and V2: connections, balancing, deadlines.

mod backend;
mod balance;
mod body;
mod endpoint;
mod error;
mod health;
mod http2;
mod resolve;
mod retry;
mod sender;
mod tend;
mod tls;

pub use backend::Upstream;
pub use body::AnswerBody;
pub use error::UpstreamError;
pub use retry::{Resend, Retrying};
