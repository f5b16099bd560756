//! Both ends of a connection for tests that send and read bytes, and know nothing of HTTP.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

use super::soon;

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.expect("the proxy accepts"))
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("the connection is open");
        Self { stream }
    }

    /// Sends; a peer that has closed meanwhile is none of the sender's business.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn end(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Everything that comes before the peer ends the connection, in whatever way.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _: io::Result<usize> = soon("the end of a connection", self.stream.read_to_end(&mut bytes)).await;
        bytes
    }

    /// What comes before the next CR LF.
    pub(crate) async fn read_line(&mut self) -> String {
        self.read_until(b"\r\n").await.trim_end().to_owned()
    }

    /// A head, with its empty line; what came where the connection ended before.
    pub(crate) async fn read_head(&mut self) -> String {
        self.read_until(b"\r\n\r\n").await
    }

    /// The lines of a head, without the empty one.
    pub(crate) async fn read_lines(&mut self) -> Vec<String> {
        self.read_head().await.trim_end().split("\r\n").map(str::to_owned).collect()
    }

    pub(crate) async fn read_exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        soon("the bytes", self.stream.read_exact(&mut bytes)).await.expect("as many bytes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the peer has ended the connection, or does before anything else comes.
    pub(crate) async fn is_ended(&mut self) -> bool {
        !matches!(soon("the end of a connection", self.stream.read(&mut [0])).await, Ok(1))
    }

    async fn read_until(&mut self, end: &[u8]) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            match soon("more bytes", self.stream.read_u8()).await {
                Ok(byte) => bytes.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A backend that does what a test says, connection by connection. Connections that nobody speaks on are passed over: the
/// proxy may open some in advance.
pub(crate) struct Script {
    address: SocketAddr,
    spoken_on: Mutex<mpsc::Receiver<TcpStream>>,
}

impl Script {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (speaks, spoken_on) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let speaks = speaks.clone();
                tokio::spawn(async move {
                    if stream.peek(&mut [0]).await.is_ok_and(|count| count > 0) {
                        let _ = speaks.send(stream).await;
                    }
                });
            }
        });
        Self { address, spoken_on: Mutex::new(spoken_on) }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that the proxy speaks on.
    pub(crate) async fn accept(&self) -> Raw {
        let stream = soon("a connection", async { self.spoken_on.lock().await.recv().await }).await;
        Raw::new(stream.expect("it listens"))
    }
}
