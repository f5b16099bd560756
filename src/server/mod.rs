//! Towards consumers: listen, accept, limits, drain.

mod accept;
mod connection;
mod connections;
mod http2;
mod listen;
mod scan;
mod stream;

pub use accept::{Port, SecurityNow, accept};
pub use connection::{Error, HeadLimits, Security, serve};
pub use connections::{Connections, Patience, SWEEP};
pub use listen::{BindError, Listeners, bind};
