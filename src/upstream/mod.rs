//! Towards V1 and V2: connections, balancing, deadlines.

mod backend;
mod balance;
mod body;
mod endpoint;
mod error;
mod exchange;
mod health;
mod http1;
mod http2;
mod outgoing;
mod resolve;
mod retry;
mod tend;
mod tls;

pub use backend::Upstream;
pub use body::AnswerBody;
pub use error::{Breakage, UpstreamError};
pub use http1::Switched;
pub use outgoing::{Ear, Outgoing};
pub use retry::{Resend, Retrying};
