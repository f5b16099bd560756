//! One process takes the place of another, and no request fails.
//!
//! The two speak over a socket in the data directory. The new process asks; the old one passes its listening sockets, lets go
//! of the ledger and says so; the new one opens the ledger, serves, and says so; the old one accepts no more, finishes what
//! it has begun, and ends. In between both accept from the same sockets, so no connection meets a closed port.
//!
//! From the moment the ledger is free until the old process has ended, that one decides nothing: what it allows stays as it
//! was, and follows each step down of its successor. Should the new process not come to serve, the old one notices the end
//! of the connection, and starts over from its own sockets and ledger.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::config::{Handle, Live, Plan};
use crate::percent::Percent;
use crate::server::{Socket, pass, receive};

/// What a successor says first.
const REQUEST: &[u8; 22] = b"crossfade take over 1\n";
const RELEASED: &str = "released\n";
const READY: &str = "ready\n";

/// For a line that is due at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// For the old process to save its state and close the ledger, and for the new one to start: a disk may be slow.
const IN_A_WHILE: Duration = Duration::from_secs(30);
/// Between two looks whether less is allowed than before.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of a line: a name and a number for each dependency.
const LINE: u64 = 1 << 20;

/// Where the process that uses a data directory can be asked for its place.
fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("hand-over.sock")
}

/// Where a successor knocks.
pub(super) struct Door(UnixListener);

impl Door {
    /// Opens it; the data directory must be this process's. Waits for the disk.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let path = path(data_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// Waits for a successor.
    ///
    /// # Cancel safety
    /// One that has knocked and not yet asked is sent away when dropped.
    pub(super) async fn knock(&self) -> Successor {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => match timeout(AT_ONCE, Successor::admit(stream)).await {
                    Ok(Ok(successor)) => return successor,
                    refused => tracing::warn!(?refused, "somebody knocked, and is no successor"),
                },
                Err(error) => {
                    tracing::warn!(%error, "failed to hear a successor");
                    tokio::time::sleep(AT_ONCE).await;
                }
            }
        }
    }
}

/// The process that wants to take the place of this one.
#[derive(Debug)]
pub struct Successor {
    stream: BufReader<UnixStream>,
    /// Its number, where the operating system tells.
    pub pid: Option<i32>,
}

impl Successor {
    async fn admit(mut stream: UnixStream) -> io::Result<Self> {
        let pid = stream.peer_cred()?.pid();
        let mut request = [0; REQUEST.len()];
        stream.read_exact(&mut request).await?;
        if request != *REQUEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a request of this version"));
        }
        Ok(Self { stream: BufReader::new(stream), pid })
    }

    pub(super) async fn give(&self, sockets: &[Socket]) -> io::Result<()> {
        timeout(AT_ONCE, pass(sockets, self.stream.get_ref())).await?
    }

    /// Says that the ledger is free, and waits until the successor serves.
    pub(super) async fn released(&mut self) -> io::Result<()> {
        self.stream.write_all(RELEASED.as_bytes()).await?;
        expect(&mut self.stream, READY).await
    }

    /// Lowers what is allowed here to what the successor allows, for as long as there is one.
    pub(super) async fn follow(mut self, live: Handle) {
        loop {
            match line(&mut self.stream).await {
                Ok(told) if told.is_empty() => return,
                Err(_) => return,
                Ok(told) => {
                    let Ok(allowed) = serde_json::from_str::<BTreeMap<String, u32>>(&told) else { return };
                    live.update(|live| lowered(live, &allowed));
                }
            }
        }
    }
}

/// The process whose place this one takes: it waits for this one to serve.
#[derive(Debug)]
pub(super) struct Predecessor(BufReader<UnixStream>);

impl Predecessor {
    /// Asks the process that uses a data directory for its place; `None` where there is none. Its ledger is free then.
    pub(super) async fn ask(data_dir: &Path) -> io::Result<Option<(Self, Vec<Socket>)>> {
        let mut stream = match connect(path(data_dir)).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            connected => connected?,
        };
        stream.write_all(REQUEST).await?;
        let sockets = timeout(AT_ONCE, receive(&stream)).await??;
        let mut stream = BufReader::new(stream);
        expect(&mut stream, RELEASED).await?;
        Ok(Some((Self(stream), sockets)))
    }

    /// Lets it go, and tells it what is allowed for as long as it drains.
    pub(super) async fn relieve(mut self, live: Handle) -> io::Result<()> {
        self.0.write_all(READY.as_bytes()).await?;
        tokio::spawn(async move {
            let mut told = None;
            loop {
                let now = live.load();
                if !told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &now)) {
                    if self.0.write_all(effective(&now).as_bytes()).await.is_err() {
                        return;
                    }
                    told = Some(now);
                }
                if timeout(LOOK, line(&mut self.0)).await.is_ok() {
                    // It says nothing more, so this is its end.
                    return;
                }
            }
        });
        Ok(())
    }
}

/// To look up a path is to wait for the disk that it is on.
async fn connect(path: PathBuf) -> io::Result<UnixStream> {
    let connecting = tokio::task::spawn_blocking(move || std::os::unix::net::UnixStream::connect(path));
    let stream = timeout(AT_ONCE, connecting).await?.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    stream.take(LINE).read_line(&mut line).await?;
    Ok(line)
}

async fn expect(stream: &mut (impl AsyncBufRead + Unpin), words: &str) -> io::Result<()> {
    match timeout(IN_A_WHILE, line(stream)).await?? {
        said if said == words => Ok(()),
        said if said.is_empty() => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has gone")),
        said => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{said:?} instead of {words:?}"))),
    }
}

/// Thousandths of a percent, by dependency, as a line of JSON.
fn effective(live: &Live) -> String {
    let names = live.deployment.dependencies.iter().map(|it| it.name.as_str());
    let percents = live.plans.iter().map(|plan| plan.effective.thousandths());
    let told: serde_json::Value = names.zip(percents).collect();
    format!("{told}\n")
}

/// Nothing is raised, and no drill goes on: nobody here would end it.
fn lowered(live: &Live, allowed: &BTreeMap<String, u32>) -> Live {
    let lower = |(name, plan): (&str, &Arc<Plan>)| {
        let most = allowed.get(name).and_then(|most| Percent::from_thousandths(*most)).unwrap_or(Percent::HUNDRED);
        let (allowed, effective) = (plan.allowed.min(most), plan.effective.min(most));
        Arc::new(Plan { allowed, effective, drill: None, ..Plan::clone(plan) })
    };
    let names = live.deployment.dependencies.iter().map(|it| it.name.as_str());
    Live { plans: names.zip(&live.plans).map(lower).collect(), ..live.clone() }
}

/// What a process goes on with that decides nothing any more.
pub(super) fn without_drills(live: &Live) -> Live {
    lowered(live, &BTreeMap::new())
}
