//! The listening sockets of a process: where they come from, and what is bound where none are given.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::StartError;
use super::hand_over::Predecessor;
use crate::config::Deployment;
use crate::server::{self, BindError, Inherited, Listeners, Socket, Use};

/// Where the listening sockets come from; what is not there is bound.
#[derive(Debug)]
pub enum SocketsFrom {
    /// systemd, or whoever speaks its protocol; none where there is no supervisor.
    Supervisor,
    /// The process that uses the same data directory, which ends once this one serves; as [`Supervisor`](Self::Supervisor)
    /// where there is none.
    Predecessor,
    /// This process, which had them in use before.
    Process(Vec<Socket>),
}

/// Sockets, and whose place is taken.
pub(super) async fn inherit(
    from: SocketsFrom,
    data_dir: &Path,
) -> Result<(Inherited, Option<Predecessor>), StartError> {
    if let SocketsFrom::Process(sockets) = from {
        return Ok((sockets.into(), None));
    }
    if matches!(from, SocketsFrom::Predecessor) {
        if let Some((predecessor, sockets)) = Predecessor::ask(data_dir).await.map_err(StartError::TakeOver)? {
            return Ok((sockets.into(), Some(predecessor)));
        }
        tracing::info!("there is no process to take over from");
    }
    Ok((Inherited::from_supervisor()?, None))
}

/// Every listening socket.
pub(super) struct Ports {
    /// For each worker.
    pub(super) listeners: Vec<Listeners>,
    pub(super) admin: TcpListener,
}

impl Ports {
    /// Takes or binds them. Sockets of a predecessor that the configuration does not name any more are closed; those of a
    /// supervisor have to be named.
    pub(super) fn open(deployment: &Deployment, workers: usize, inherited: &mut Inherited) -> Result<Self, StartError> {
        let listeners = server::bind(&deployment.listen, &deployment.listen_tls, workers, inherited)?;
        let admin = admin(deployment.admin, inherited)?;
        let unnamed = inherited.unnamed();
        if unnamed.is_empty() { Ok(Self { listeners, admin }) } else { Err(StartError::Unnamed(unnamed)) }
    }

    /// Without TLS, with TLS, and of the admin port; of any worker, since all of them share their ports.
    pub(super) fn addresses(&self) -> std::io::Result<(Vec<SocketAddr>, Vec<SocketAddr>, SocketAddr)> {
        let addresses = |kind: fn(&Listeners) -> &Vec<TcpListener>| {
            let first = self.listeners.first().into_iter().flat_map(kind);
            let addresses = first.map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>();
            addresses.map(|mut addresses| {
                addresses.dedup();
                addresses
            })
        };
        Ok((addresses(|it| &it.cleartext)?, addresses(|it| &it.tls)?, self.admin.local_addr()?))
    }

    /// All of them once more, to be passed on.
    pub(super) fn copies(&self) -> std::io::Result<Vec<Socket>> {
        let mut copies = vec![Socket { listener: self.admin.try_clone()?, used: Some(Use::Admin) }];
        for set in &self.listeners {
            copies.extend(set.copies()?);
        }
        Ok(copies)
    }
}

fn admin(address: SocketAddr, inherited: &mut Inherited) -> Result<TcpListener, BindError> {
    let bound = inherited.take(Use::Admin, address).and_then(|taken| match taken.into_iter().next() {
        Some(listener) => Ok(listener),
        None => server::bind_alone(address),
    });
    bound.map_err(|source| BindError { address, source })
}
