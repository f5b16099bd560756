//! Listening sockets that another process has opened: the supervisor, or the process whose place this one takes.
//!
//! They stay open while processes come and go, so a connection that nobody has accepted yet waits for the next one. A socket
//! that is closed and opened anew would reset it, even beside another one on the same port (`SO_REUSEPORT`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use listenfd::ListenFd;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Sockets that are taken from another process; there is one for each worker and address.
const MOST: usize = 4096;

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Consumers, without TLS.
    Cleartext,
    /// Consumers, with TLS.
    Tls,
    /// People and Prometheus.
    Admin,
}

impl Use {
    const ALL: [Self; 3] = [Self::Cleartext, Self::Tls, Self::Admin];

    const fn letter(self) -> u8 {
        match self {
            Self::Cleartext => b'c',
            Self::Tls => b't',
            Self::Admin => b'a',
        }
    }
}

/// The end of a list of sockets, on its way to another process.
const END: u8 = b'.';

/// A listening socket, and what it was for so far; `None` where only its address can tell.
#[derive(Debug)]
pub struct Socket {
    /// Bound and listening.
    pub listener: TcpListener,
    /// As its last owner used it.
    pub used: Option<Use>,
}

/// Listening sockets that nobody has taken into use yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

impl From<Vec<Socket>> for Inherited {
    fn from(sockets: Vec<Socket>) -> Self {
        Self(sockets)
    }
}

impl Inherited {
    /// Those that systemd has opened for this process (`LISTEN_FDS` and `LISTEN_PID`, `sd_listen_fds(3)`); none without it.
    ///
    /// # Errors
    /// When one of them is no TCP socket.
    pub fn from_supervisor() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::with_capacity(given.len());
        for index in 0..given.len() {
            if let Some(listener) = given.take_tcp_listener(index)? {
                sockets.push(Socket { listener, used: None });
            }
        }
        Ok(Self(sockets))
    }

    /// Takes those of an address into use: all that share its port. Port 0 is any one port that had no other use so far.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn take(&mut self, used: Use, address: SocketAddr) -> io::Result<Vec<TcpListener>> {
        let mut taken: Vec<TcpListener> = Vec::new();
        // Those that had the same use before all others, where any port will do.
        self.0.sort_by_key(|socket| socket.used == Some(used));
        for at in (0..self.0.len()).rev() {
            let local = self.0[at].listener.local_addr()?;
            let same_port = match taken.first() {
                Some(first) => first.local_addr()? == local,
                None => [0, local.port()].contains(&address.port()),
            };
            if same_port && stands_for(local.ip(), address.ip()) && self.0[at].used.is_none_or(|it| it == used) {
                taken.push(self.0.swap_remove(at).listener);
            }
        }
        for listener in &taken {
            listener.set_nonblocking(true)?;
            SockRef::from(listener).set_tcp_nodelay(true)?;
        }
        Ok(taken)
    }

    /// The addresses of those that were not taken, and that nobody has used before.
    pub fn unnamed(&self) -> Vec<SocketAddr> {
        let unused = self.0.iter().filter(|socket| socket.used.is_none());
        unused.filter_map(|socket| socket.listener.local_addr().ok()).collect()
    }
}

/// Whether a socket on one address is what was meant by another: `[::]` takes IPv4 as well, and is what systemd makes of a
/// port alone.
fn stands_for(local: IpAddr, meant: IpAddr) -> bool {
    local == meant || (local == Ipv6Addr::UNSPECIFIED && meant == Ipv4Addr::UNSPECIFIED)
}

/// Gives sockets to the process at the other end, which has them together with this one.
///
/// # Errors
/// Those of the stream.
pub async fn pass(sockets: &[Socket], to: &UnixStream) -> io::Result<()> {
    for socket in sockets {
        let letter = socket.used.map_or(END, Use::letter);
        to.async_io(Interest::WRITABLE, || send(to, letter, Some(&socket.listener))).await?;
    }
    to.async_io(Interest::WRITABLE, || send(to, END, None)).await
}

fn send(to: &UnixStream, letter: u8, socket: Option<&TcpListener>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<_> = socket.into_iter().map(AsFd::as_fd).collect();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(to, &[IoSlice::new(&[letter])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes the sockets that [`pass`] gives.
///
/// # Errors
/// Those of the stream, and whatever does not look like sockets that were passed.
pub async fn receive(from: &UnixStream) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    loop {
        let (letter, socket) = from.async_io(Interest::READABLE, || receive_one(from)).await?;
        let used = Use::ALL.into_iter().find(|used| used.letter() == letter);
        match (used, socket) {
            (Some(_), Some(socket)) if sockets.len() < MOST => {
                sockets.push(Socket { listener: TcpListener::from(socket), used });
            }
            (None, None) if letter == END => return Ok(sockets),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no list of listening sockets")),
        }
    }
}

fn receive_one(from: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut letter = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(from, &mut [IoSliceMut::new(&mut letter)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok((letter[0], sockets.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(used: Option<Use>) -> Socket {
        Socket { listener: TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"), used }
    }

    #[test]
    fn a_socket_is_known_by_its_address_and_keeps_its_use() {
        let sockets = vec![socket(Some(Use::Admin)), socket(Some(Use::Tls)), socket(None), socket(None)];
        let addresses: Vec<_> = sockets.iter().map(|it| it.listener.local_addr().expect("bound")).collect();
        let mut inherited = Inherited::from(sockets);
        let any = "127.0.0.1:0".parse().expect("an address");
        assert_eq!(inherited.take(Use::Cleartext, addresses[1]).expect("possible").len(), 0, "it is for TLS");
        assert_eq!(inherited.take(Use::Cleartext, addresses[2]).expect("possible").len(), 1);
        let taken = inherited.take(Use::Tls, any).expect("possible");
        assert_eq!(taken[0].local_addr().expect("bound"), addresses[1]);
        assert_eq!(inherited.take(Use::Admin, addresses[0]).expect("possible").len(), 1);
        assert_eq!(inherited.unnamed(), [addresses[3]]);
    }

    #[tokio::test]
    async fn sockets_arrive_as_they_were_and_listen_on() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let sockets = [socket(Some(Use::Cleartext)), socket(Some(Use::Admin))];
        let (passed, received) = tokio::join!(pass(&sockets, &ours), receive(&theirs));
        passed.expect("it is received");
        let received = received.expect("it is passed");
        let address = sockets[0].listener.local_addr().expect("bound");
        assert_eq!(received.iter().map(|it| it.used).collect::<Vec<_>>(), [Some(Use::Cleartext), Some(Use::Admin)]);
        assert_eq!(received[0].listener.local_addr().expect("bound"), address);
        let _waiting = std::net::TcpStream::connect(address).expect("it listens");
        drop(sockets);
        assert!(received[0].listener.accept().is_ok(), "the one that waited is still there");
        drop(ours);
        assert!(receive(&theirs).await.is_err());
    }
}
