//! HTTP/1.1 towards one endpoint: connections that are values. Whoever calls takes one, and the answer's content brings it
//! back; nothing runs beside them.

mod call;
mod connection;
mod early;
mod sending;
mod stream;
mod switched;
#[cfg(test)]
mod tests;

pub(super) use call::{Call, Reading};
pub(super) use connection::Connection;
pub(super) use early::Early;
pub(super) use sending::{Line, Sending};
pub(super) use stream::Stream;
pub use switched::Switched;
