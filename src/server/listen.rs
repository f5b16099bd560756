//! Listening sockets: one per worker and address, sharing the port, so that the kernel spreads connections and no worker
//! wakes for another's.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Type};

use super::inherited::{Inherited, Socket, Use};

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

impl Listeners {
    /// The same sockets once more, with their use: to be passed on.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn copies(&self) -> io::Result<Vec<Socket>> {
        let used = [(&self.cleartext, Use::Cleartext), (&self.tls, Use::Tls)];
        let copies = used.into_iter().flat_map(|(listeners, used)| {
            listeners.iter().map(move |it| Ok(Socket { listener: it.try_clone()?, used: Some(used) }))
        });
        copies.collect()
    }
}

/// Takes or binds every address once per worker; port 0 becomes the same free port for all of them. One element per worker.
/// Where sockets of an address were inherited, no others are bound there: workers share them, or have several.
///
/// # Errors
/// With the address that could not be bound.
pub fn bind(
    cleartext: &[SocketAddr],
    tls: &[SocketAddr],
    workers: usize,
    inherited: &mut Inherited,
) -> Result<Vec<Listeners>, BindError> {
    let mut sets: Vec<Listeners> = (0..workers).map(|_| Listeners::default()).collect();
    for address in cleartext {
        let taken = take(inherited, Use::Cleartext, *address)?;
        listen_for_all(*address, taken, &mut sets, |set| &mut set.cleartext)?;
    }
    for address in tls {
        let taken = take(inherited, Use::Tls, *address)?;
        listen_for_all(*address, taken, &mut sets, |set| &mut set.tls)?;
    }
    Ok(sets)
}

fn take(inherited: &mut Inherited, used: Use, address: SocketAddr) -> Result<Vec<TcpListener>, BindError> {
    inherited.take(used, address).map_err(|source| BindError { address, source })
}

fn listen_for_all(
    mut address: SocketAddr,
    taken: Vec<TcpListener>,
    sets: &mut [Listeners],
    kind: impl Fn(&mut Listeners) -> &mut Vec<TcpListener>,
) -> Result<(), BindError> {
    let mut shared = taken.iter().cycle();
    for set in &mut *sets {
        let listener = match shared.next() {
            Some(listener) => listener.try_clone(),
            None => bind_one(address),
        };
        let listener = listener.map_err(|source| BindError { address, source })?;
        address = listener.local_addr().map_err(|source| BindError { address, source })?;
        kind(set).push(listener);
    }
    let count = sets.len();
    // More than there are workers: none may be left without somebody who accepts.
    for (index, listener) in taken.into_iter().enumerate().skip(count) {
        kind(&mut sets[index % count]).push(listener);
    }
    Ok(())
}

/// Binds a port that is not shared: while it is in use, nobody else can.
///
/// # Errors
/// Those of the operating system.
pub fn bind_alone(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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
        let sets = bind(&["127.0.0.1:0".parse().expect("an address")], &[], 3, &mut Inherited::default())
            .expect("loopback can be bound");
        let ports: Vec<u16> = sets.iter().map(|set| set.cleartext[0].local_addr().expect("bound").port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[test]
    fn inherited_sockets_are_shared_out_and_none_is_left_without_a_worker() {
        for (workers, inherited) in [(1, 3), (3, 1), (2, 2), (2, 3)] {
            let any = ["127.0.0.1:0".parse().expect("an address")];
            let old = bind(&any, &[], inherited, &mut Inherited::default()).expect("loopback can be bound");
            let copies = old.iter().flat_map(|set| set.copies().expect("there are descriptors")).collect::<Vec<_>>();
            let address = copies[0].listener.local_addr().expect("bound");
            let mut copies = Inherited::from(copies);
            let sets = bind(&any, &[], workers, &mut copies).expect("nothing has to be bound");
            assert!(copies.unnamed().is_empty());
            assert!(sets.iter().all(|set| !set.cleartext.is_empty()));
            assert_eq!(sets.iter().map(|set| set.cleartext.len()).sum::<usize>(), workers.max(inherited));
            assert!(sets.iter().flat_map(|set| &set.cleartext).all(|it| it.local_addr().expect("bound") == address));
        }
    }
}
