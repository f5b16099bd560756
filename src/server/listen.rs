//! Listening sockets: one per worker and address, sharing the port, so that the kernel spreads connections and no worker
//! wakes for another's.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds for us before they are accepted.
const BACKLOG: i32 = 4096;

/// Binds every address once per worker; port 0 becomes the same free port for all of them.
///
/// The outer list has one element per worker, the inner one an element per address.
///
/// # Errors
/// With the address that could not be bound.
pub fn bind(addresses: &[SocketAddr], workers: usize) -> Result<Vec<Vec<TcpListener>>, BindError> {
    let mut sets: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for address in addresses {
        let mut address = *address;
        for set in &mut sets {
            let listener = bind_one(address).map_err(|source| BindError { address, source })?;
            address = listener.local_addr().map_err(|source| BindError { address, source })?;
            set.push(listener);
        }
    }
    Ok(sets)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address}")]
pub struct BindError {
    /// Which one.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_share_the_port_that_was_free() {
        let sets = bind(&["127.0.0.1:0".parse().expect("an address")], 3).expect("loopback can be bound");
        let ports: Vec<u16> = sets.iter().map(|set| set[0].local_addr().expect("bound").port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }
}
