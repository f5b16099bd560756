//! Listening sockets: one per worker and address, sharing the port, so that the kernel spreads connections and no worker
//! wakes for another's.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds for us before they are accepted.
const BACKLOG: i32 = 4096;

/// The listening sockets of one worker, in the order of their addresses.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Without TLS.
    pub cleartext: Vec<TcpListener>,
    /// With TLS.
    pub tls: Vec<TcpListener>,
}

/// Binds every address once per worker; port 0 becomes the same free port for all of them. One element per worker.
///
/// # Errors
/// With the address that could not be bound.
pub fn bind(cleartext: &[SocketAddr], tls: &[SocketAddr], workers: usize) -> Result<Vec<Listeners>, BindError> {
    let mut sets: Vec<Listeners> = (0..workers).map(|_| Listeners::default()).collect();
    for address in cleartext {
        bind_for_all(*address, &mut sets, |set| &mut set.cleartext)?;
    }
    for address in tls {
        bind_for_all(*address, &mut sets, |set| &mut set.tls)?;
    }
    Ok(sets)
}

fn bind_for_all(
    mut address: SocketAddr,
    sets: &mut [Listeners],
    kind: impl Fn(&mut Listeners) -> &mut Vec<TcpListener>,
) -> Result<(), BindError> {
    for set in sets {
        let listener = bind_one(address).map_err(|source| BindError { address, source })?;
        address = listener.local_addr().map_err(|source| BindError { address, source })?;
        kind(set).push(listener);
    }
    Ok(())
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it: an answer must not wait for the acknowledgement of the one before it.
    socket.set_tcp_nodelay(true)?;
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
        let sets = bind(&["127.0.0.1:0".parse().expect("an address")], &[], 3).expect("loopback can be bound");
        let ports: Vec<u16> = sets.iter().map(|set| set.cleartext[0].local_addr().expect("bound").port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }
}
