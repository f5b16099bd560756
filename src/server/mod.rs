//! Towards consumers: listen, accept, limits, drain.

mod accept;
mod connection;
mod connections;
mod listen;
mod scan;

pub use accept::accept;
pub use connection::{HeadLimits, serve};
pub use connections::{Connections, Patience, SWEEP};
pub use listen::{BindError, bind};
