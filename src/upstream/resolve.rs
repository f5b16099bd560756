//! From a name to a connection: addresses that are asked for again and again, and tried side by side.
//!
//! The system's resolver (`getaddrinfo`) follows `/etc/hosts`, `nsswitch` and search domains as every other program on the
//! machine does, but hands over no TTL. So a name is resolved again after a fixed time, [`FRESH`]: caches on the way
//! observe the TTL, and asking them costs little. A resolver of our own would know the TTL, and would be a second opinion on
//! what a name means. Old addresses serve while new ones are asked for, and when nobody answers.
//!
//! One name is one endpoint, however many addresses it has. Connections are spread over the addresses in turn, and where
//! one does not answer soon, the next one is tried beside it, IPv6 and IPv4 alternating (Happy Eyeballs, RFC 8305).

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::UpstreamError;

/// How long addresses are used before they are asked for again.
const FRESH: Duration = Duration::from_secs(10);
/// Addresses of one name that are used; more bring nothing.
const MOST: usize = 64;
/// The recommended delay between two attempts (RFC 8305, section 5).
const DELAY: Duration = Duration::from_millis(250);
/// The least delay that the RFC allows.
const LEAST_DELAY: Duration = Duration::from_millis(10);

/// The addresses of one endpoint, as one worker knows them. Clones share them.
#[derive(Clone)]
pub(super) struct Addresses(Rc<Name>);

struct Name {
    host: String,
    port: u16,
    /// Where the name is an address.
    fixed: Option<SocketAddr>,
    known: RefCell<Option<Known>>,
    turn: Cell<usize>,
}

struct Known {
    addresses: Rc<[SocketAddr]>,
    fresh_until: Instant,
}

impl Addresses {
    /// Asks nobody yet.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let fixed = host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port));
        Self(Rc::new(Name { host: host.to_owned(), port, fixed, known: RefCell::new(None), turn: Cell::new(0) }))
    }

    /// A connection to one of them; `within` is how long the caller waits.
    pub(super) async fn connect(&self, within: Duration) -> Result<TcpStream, UpstreamError> {
        if let Some(address) = self.0.fixed {
            return TcpStream::connect(address).await.map_err(UpstreamError::Connect);
        }
        let addresses = self.addresses().await.map_err(UpstreamError::Resolve)?;
        let turn = self.0.turn.get();
        self.0.turn.set(turn.wrapping_add(1));
        let delay = DELAY.min(within / u32::try_from(addresses.len()).unwrap_or(u32::MAX)).max(LEAST_DELAY);
        race(in_turn(&addresses, turn), delay, TcpStream::connect).await.map_err(UpstreamError::Connect)
    }

    async fn addresses(&self) -> io::Result<Rc<[SocketAddr]>> {
        let known = self.0.known.borrow().as_ref().map(|known| (Rc::clone(&known.addresses), known.fresh_until));
        let Some((addresses, fresh_until)) = known else { return self.ask().await };
        if Instant::now() >= fresh_until {
            // Whoever connects meanwhile uses the old ones, and does not ask as well.
            self.keep(Rc::clone(&addresses));
            let name = self.clone();
            tokio::task::spawn_local(async move {
                if let Err(error) = name.ask().await {
                    tracing::warn!(name = name.0.host, %error, "a name has no address now: using those it had");
                }
            });
        }
        Ok(addresses)
    }

    async fn ask(&self) -> io::Result<Rc<[SocketAddr]>> {
        let found = tokio::net::lookup_host((self.0.host.as_str(), self.0.port)).await?;
        let addresses: Rc<[SocketAddr]> = found.take(MOST).collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        self.keep(Rc::clone(&addresses));
        Ok(addresses)
    }

    fn keep(&self, addresses: Rc<[SocketAddr]>) {
        *self.0.known.borrow_mut() = Some(Known { addresses, fresh_until: Instant::now() + FRESH });
    }
}

/// The order in which addresses are tried: the family that the resolver puts first (RFC 6724) and the other one by turns,
/// and within each of them another one first each time.
fn in_turn(addresses: &[SocketAddr], turn: usize) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) = addresses.iter().partition(|it| it.is_ipv6() == first_is_v6);
    for family in [&mut one, &mut other] {
        let by = turn.checked_rem(family.len()).unwrap_or(0);
        family.rotate_left(by);
    }
    let longer = one.len().max(other.len());
    (0..longer).flat_map(|n| [one.get(n), other.get(n)]).flatten().copied().collect()
}

/// The first connection of several attempts. The next one begins when the one before failed, or `delay` after it began.
async fn race<T: 'static, F>(
    addresses: Vec<SocketAddr>,
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + 'static,
{
    let mut left = addresses.into_iter();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no address");
    if left.len() == 1
        && let Some(only) = left.next()
    {
        return connect(only).await;
    }
    // Dropped, it ends the attempts that are left.
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = left.next() {
            attempts.spawn_local(connect(address));
        }
        tokio::select! {
            joined = attempts.join_next() => match joined {
                Some(Ok(Ok(connection))) => return Ok(connection),
                Some(Ok(Err(error))) => failure = error,
                Some(Err(error)) => failure = io::Error::other(error),
                None => return Err(failure),
            },
            () = sleep(delay), if left.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn families_alternate_and_every_address_gets_its_turn() {
        let all = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        assert_eq!(in_turn(&all, 0), addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]));
        assert_eq!(in_turn(&all, 1), addresses(&["[::2]:1", "10.0.0.2:1", "[::3]:1", "10.0.0.1:1", "[::1]:1"]));
        assert_eq!(in_turn(&all[3..], 7), addresses(&["10.0.0.2:1", "10.0.0.1:1"]));
        assert_eq!(in_turn(&[], 1), []);
    }

    /// What each address does, and after how long.
    async fn race_of(behaviours: Vec<(Duration, bool)>) -> (io::Result<u16>, Duration) {
        let all: Vec<SocketAddr> = (0..behaviours.len()).map(|port| ([127, 0, 0, 1], port as u16).into()).collect();
        let begun = Instant::now();
        let connect = |address: SocketAddr| {
            let (after, ok) = behaviours[usize::from(address.port())];
            async move {
                sleep(after).await;
                if ok { Ok(address.port()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        };
        let local = tokio::task::LocalSet::new();
        let result = local.run_until(race(all, DELAY, connect)).await;
        (result, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_the_delay_and_a_refusing_one_nothing() {
        const NEVER: Duration = Duration::from_secs(3600);
        let soon = Duration::from_millis(5);
        let (won, after) = race_of(vec![(NEVER, true), (soon, true)]).await;
        assert_eq!((won.expect("connected"), after), (1, DELAY + soon));
        let (won, after) = race_of(vec![(soon, false), (NEVER, true), (soon, true)]).await;
        assert_eq!((won.expect("connected"), after), (2, soon + DELAY + soon));
        let (won, after) = race_of(vec![(DELAY + soon, true), (DELAY, true)]).await;
        assert_eq!((won.expect("connected"), after), (0, DELAY + soon), "the first one goes on meanwhile");
        let (won, _) = race_of(vec![(soon, false), (soon, false)]).await;
        assert_eq!(won.expect_err("nobody").kind(), io::ErrorKind::ConnectionRefused);
        assert!(race_of(vec![]).await.0.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn old_addresses_serve_while_new_ones_are_asked_for() {
        let name = Addresses::new("localhost", 1);
        let local = tokio::task::LocalSet::new();
        let stale: Rc<[SocketAddr]> = addresses(&["192.0.2.1:1"]).into();
        name.keep(Rc::clone(&stale));
        let used = local.run_until(name.addresses()).await.expect("known");
        assert_eq!(used, stale);
        tokio::time::advance(FRESH).await;
        let used = local.run_until(name.addresses()).await.expect("known");
        assert_eq!(used, stale, "nobody waits for the resolver");
        local.await;
        let found = name.addresses().await.expect("localhost resolves");
        assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }
}
