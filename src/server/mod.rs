//! Towards consumers: listen, accept, limits, drain.

mod accept;
mod connection;
mod connections;
mod content;
mod date;
mod http1;
mod http2;
mod inherited;
mod line;
mod listen;
mod stream;

pub use accept::{Port, TermsNow, accept};
pub use connection::{Error, HeadLimits, Peer, Security, serve};
pub use connections::{Connections, Patience, SWEEP};
pub use content::{Content, ContentError};
pub use inherited::{Inherited, Socket, Use, pass, receive};
pub use line::{Duplex, Interim, Line, Tunnel};
pub use listen::{BindError, Listeners, bind, bind_alone};
