//! A backend that misbehaves on command, and remembers what it was asked.
//!
//! It runs on a thread and a runtime of its own, so that no test can starve it, and writes its answers as bytes, since
//! no server library can be made to send half an answer.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as blocking};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::http::{Framing, Headers, Wire, header};
use super::soon;

/// An answer: status, headers, content. Its length is declared unless a behaviour says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// What the default route of the world takes for rich.
    pub(crate) fn rich() -> Self {
        Self::new(200, r#"{"items":[1,2,3]}"#).header("content-type", "application/json")
    }

    /// What the default route of the world takes for a fallback, cause `empty`.
    pub(crate) fn fallback() -> Self {
        Self::new(200, r#"{"items":[]}"#).header("content-type", "application/json")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn head(&self, framing: &str) -> Vec<u8> {
        let line = format!("HTTP/1.1 {} Status\r\n", self.status);
        let headers: String = self.headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        (line + &headers + framing + "\r\n").into_bytes()
    }

    fn with_length(&self, with_body: bool) -> Vec<u8> {
        let bodiless = matches!(self.status, 204 | 304);
        let framing = if bodiless { String::new() } else { format!("Content-Length: {}\r\n", self.body.len()) };
        let body = if with_body && !bodiless { &self.body[..] } else { &[] };
        [&self.head(&framing)[..], body].concat()
    }
}

/// What an origin does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Answers.
    Answer(Reply),
    /// [`Reply::rich`] for this percentage of the requests, evenly spread, else [`Reply::fallback`].
    HitRate(u64),
    /// Answers with what is made of the target and the number of the request.
    Make(fn(&str, u64) -> Reply),
    /// 401, unless `x-api-key` is this.
    Keyed(&'static str, Box<Self>),
    /// Answers with the method, target, headers and the hash of the body.
    Echo,
    /// Answers in chunks.
    Chunked(Vec<Vec<u8>>),
    /// Answers without a length, and closes.
    CloseDelimited(Reply),
    /// Answers once [`Origin::release`] allows it.
    SlowHead(Reply),
    /// Reads the request, and never answers.
    Hang,
    /// Closes the port.
    Refuse,
    /// Resets the connection before the answer.
    ResetBeforeHead,
    /// Resets the connection within the head.
    ResetInHead,
    /// Resets the connection within the body.
    ResetInBody,
    /// Stops within the body, and keeps the connection.
    StallInBody,
    /// Answers one byte at a time, with this pause between two of them.
    Trickle(Reply, Duration),
    /// Answers with these bytes, and closes.
    Garbage(Vec<u8>),
    /// Declares one byte more than it sends, and closes.
    Truncated(Reply),
    /// Never reads the request's body, never answers.
    NeverReads,
    /// Answers with one header of this size, in bytes.
    HugeHead(usize),
    /// Answers after a 103.
    InformationalFirst(Reply),
    /// Answers with a body that never ends, as fast as it is taken.
    Endless,
    /// The one for its first, third and so on request, the other for the rest.
    Alternate(Box<Self>, Box<Self>),
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    /// In order, with the case of their names.
    pub(crate) headers: Headers,
    pub(crate) body_length: usize,
    /// XXH3-64 of the body.
    pub(crate) body_hash: u64,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&[u8]> {
        let is_it = |it: &&(Vec<u8>, Vec<u8>)| it.0.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(is_it).map(|(_, value)| &value[..]).collect()
    }

    fn describe(&self) -> Vec<u8> {
        let headers = self.headers.iter().map(|(name, value)| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{}: {}\n", text(name).to_ascii_lowercase(), text(value))
        });
        let mut headers: Vec<_> = headers
            .filter(|line| !["host:", "x-forwarded-host:", "via:"].iter().any(|own| line.starts_with(own)))
            .collect();
        headers.sort();
        format!("{} {}\n{}{:x}", self.method, self.target, headers.concat(), self.body_hash).into_bytes()
    }
}

/// A running origin; it ends when it is dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    state: Arc<State>,
    /// Opens and closes the port; the answer says that it is done.
    port: mpsc::UnboundedSender<(bool, blocking::Sender<()>)>,
}

struct State {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    connections: AtomicUsize,
    open: watch::Sender<usize>,
    released: Semaphore,
}

impl Origin {
    /// Starts on a free port of loopback.
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let state = Arc::new(State {
            behaviour: Mutex::new(behaviour),
            received: Mutex::default(),
            count: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            released: Semaphore::new(0),
        });
        // A test's own channel, used a few times: bounding it would only add a wait.
        #[expect(clippy::disallowed_methods)]
        let (port, commands) = mpsc::unbounded_channel();
        let (started, address) = blocking::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run(shared, commands, &started));
        });
        let address = address.recv().expect("the origin has started");
        Self { address, state, port }
    }

    /// Answers every request so.
    pub(crate) fn answering(reply: Reply) -> Self {
        Self::start(Behaviour::Answer(reply))
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next request on, this is what it does.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        let open = !matches!(behaviour, Behaviour::Refuse);
        *lock(&self.state.behaviour) = behaviour;
        let (done, wait) = blocking::channel();
        self.port.send((open, done)).expect("the origin runs");
        wait.recv().expect("the origin runs");
    }

    /// Lets this many [`Behaviour::SlowHead`] answers go.
    pub(crate) fn release(&self, answers: usize) {
        self.state.released.add_permits(answers);
    }

    /// How many requests were received, body included.
    pub(crate) fn count(&self) -> usize {
        *self.state.count.borrow()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits until that many connections are open.
    pub(crate) async fn until_open(&self, count: usize) {
        self.state.open.subscribe().wait_for(|it| *it == count).await.expect("the origin runs");
    }

    /// Waits until that many requests were received since the start.
    pub(crate) async fn until_received(&self, count: usize) {
        let mut counted = self.state.count.subscribe();
        let reached = counted.wait_for(|it| *it >= count);
        soon(&format!("request {count} at {}", self.address), reached).await.expect("the origin runs");
    }

    /// Everything that was received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Commands = mpsc::UnboundedReceiver<(bool, blocking::Sender<()>)>;

/// Accepts until the origin is dropped.
async fn run(state: Arc<State>, mut commands: Commands, started: &blocking::Sender<SocketAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let closed_at_first = matches!(*lock(&state.behaviour), Behaviour::Refuse);
    let mut listener = (!closed_at_first).then_some(listener);
    let mut connections = JoinSet::new();
    started.send(address).expect("somebody waits for the start");
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some((open, done)) = command else { return };
                if !open {
                    listener = None;
                    connections.shutdown().await;
                } else if listener.is_none() {
                    listener = Some(TcpListener::bind(address).await.expect("the port is still free"));
                }
                let _ = done.send(());
            }
            Ok((stream, _)) = accept(listener.as_ref()) => {
                let state = Arc::clone(&state);
                state.connections.fetch_add(1, Ordering::Relaxed);
                state.open.send_modify(|open| *open += 1);
                connections.spawn(async move {
                    let served = serve(Wire::new(stream), &state).await;
                    state.open.send_modify(|open| *open -= 1);
                    served
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Serves one connection until either side ends it.
async fn serve(mut wire: Wire, state: &State) -> io::Result<()> {
    while let Some(head) = wire.head().await? {
        let behaviour = match lock(&state.behaviour).clone() {
            Behaviour::Alternate(odd, even) => *if state.count.borrow().is_multiple_of(2) { odd } else { even },
            behaviour => behaviour,
        };
        let reads = !matches!(behaviour, Behaviour::NeverReads);
        let framing = Framing::of(&head.headers, Framing::Length(0))?;
        let body = if reads { wire.body(framing).await? } else { Vec::new() };
        let line = String::from_utf8_lossy(&head.start).into_owned();
        let mut words = line.split(' ').map(str::to_owned);
        let request = Received {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            headers: head.headers,
            body_length: body.len(),
            body_hash: crossfade::bucket::hash("", &body),
        };
        lock(&state.received).push(request.clone());
        let mut count = 0;
        state.count.send_modify(|it| {
            *it += 1;
            count = *it as u64;
        });
        let behaviour = match behaviour {
            Behaviour::Keyed(key, inner) if request.header("x-api-key") == Some(key) => *inner,
            Behaviour::Keyed(..) => Behaviour::Answer(Reply::new(401, "")),
            behaviour => behaviour,
        };
        if !act(behaviour, &mut wire, &request, count, state).await? {
            break;
        }
    }
    Ok(())
}

/// Does what the behaviour says; whether the connection may be used again.
async fn act(behaviour: Behaviour, wire: &mut Wire, request: &Received, count: u64, state: &State) -> io::Result<bool> {
    let with_body = request.method != "HEAD";
    match behaviour {
        Behaviour::Answer(reply) => wire.write(&reply.with_length(with_body)).await?,
        Behaviour::HitRate(percent) => {
            let is_rich = count * percent / 100 > (count - 1) * percent / 100;
            let reply = if is_rich { Reply::rich() } else { Reply::fallback() };
            wire.write(&reply.with_length(with_body)).await?;
        }
        Behaviour::Make(make) => wire.write(&make(&request.target, count).with_length(with_body)).await?,
        Behaviour::Echo => {
            let reply = Reply::new(200, request.describe()).header("X-Echo", "yes").header("x-echo", "again");
            wire.write(&reply.with_length(with_body)).await?;
        }
        Behaviour::SlowHead(reply) => {
            state.released.acquire().await.expect("never closed").forget();
            wire.write(&reply.with_length(with_body)).await?;
        }
        Behaviour::InformationalFirst(reply) => {
            wire.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n").await?;
            wire.write(&reply.with_length(with_body)).await?;
        }
        Behaviour::Chunked(pieces) => {
            wire.write(&Reply::new(200, "").head("Transfer-Encoding: chunked\r\n")).await?;
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                let size = format!("{:x}\r\n", piece.len());
                wire.write(&[size.as_bytes(), piece, b"\r\n"].concat()).await?;
            }
            wire.write(b"0\r\n\r\n").await?;
        }
        Behaviour::HugeHead(size) => {
            let reply = Reply::rich().header("x-huge", &"h".repeat(size));
            wire.write(&reply.with_length(with_body)).await?;
        }
        Behaviour::Trickle(reply, pause) => {
            for byte in reply.with_length(with_body) {
                wire.write(&[byte]).await?;
                tokio::time::sleep(pause).await;
            }
        }
        last => return end_badly(last, wire).await.map(|()| false),
    }
    Ok(true)
}

/// The behaviours after which a connection is of no use.
async fn end_badly(behaviour: Behaviour, wire: &mut Wire) -> io::Result<()> {
    let partial = Reply::new(200, "{\"items\":[1,2").head("Content-Length: 1000\r\n");
    match behaviour {
        Behaviour::CloseDelimited(reply) => {
            wire.write(&[reply.head("Connection: close\r\n"), reply.body].concat()).await?;
        }
        Behaviour::Garbage(bytes) => wire.write(&bytes).await?,
        Behaviour::Truncated(reply) => {
            let framing = format!("Content-Length: {}\r\n", reply.body.len() + 1);
            wire.write(&[reply.head(&framing), reply.body].concat()).await?;
        }
        Behaviour::ResetBeforeHead => reset_on_close(wire)?,
        Behaviour::ResetInHead => {
            wire.write(&partial[..20]).await?;
            reset_on_close(wire)?;
        }
        Behaviour::StallInBody => {
            wire.write(&[&partial[..], b"{\"items\":[1,2"].concat()).await?;
            std::future::pending::<()>().await;
        }
        Behaviour::ResetInBody => {
            wire.write(&[&partial[..], b"{\"items\":[1,2"].concat()).await?;
            reset_on_close(wire)?;
        }
        Behaviour::Endless => {
            wire.write(&Reply::new(200, "").head("Transfer-Encoding: chunked\r\n")).await?;
            loop {
                wire.write(&[&b"1000\r\n"[..], &[b' '; 0x1000], b"\r\n"].concat()).await?;
            }
        }
        _ => std::future::pending().await,
    }
    Ok(())
}

/// Makes the next close a RST, with whatever was not delivered yet thrown away.
fn reset_on_close(wire: &Wire) -> io::Result<()> {
    socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO))
}
