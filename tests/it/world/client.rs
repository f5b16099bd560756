//! A consumer that sees every byte: no library between the test and the wire.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::http::{Framing, Headers, Wire, header};
use super::soon;

/// A request in the making.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..Self::new("POST", target) }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn to_bytes(&self, host: SocketAddr) -> Vec<u8> {
        let line = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        let headers: String = self.headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let length = self.body.as_ref().map(|body| format!("Content-Length: {}\r\n", body.len()));
        let head = line + &headers + length.as_deref().unwrap_or_default() + "\r\n";
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// A complete answer, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In order, with the case of their names.
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first value of a header, as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Header lines with names in lower case, without those that differ from one answer to the next, sorted.
    pub(crate) fn stable_headers(&self) -> Vec<(String, Vec<u8>)> {
        let lower = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
        let mut lines: Vec<_> = self.headers.iter().map(|(name, value)| (lower(name), value.clone())).collect();
        lines.retain(|(name, _)| name != "date");
        lines.sort();
        lines
    }
}

/// One connection.
pub(crate) struct Client {
    wire: Wire,
    address: SocketAddr,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Ok(Self { wire: Wire::new(stream), address })
    }

    /// Sends a request and reads its final answer; the connection stays open for the next one.
    pub(crate) async fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.start(request).await?;
        self.finish(request).await
    }

    /// Sends a request without waiting for its answer.
    pub(crate) async fn start(&mut self, request: &Request) -> io::Result<()> {
        self.wire.write(&request.to_bytes(self.address)).await
    }

    /// Reads the next head only, and returns its status.
    pub(crate) async fn head(&mut self) -> io::Result<u16> {
        let head = self.wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        status(&head.start)
    }

    /// Reads the final answer to a request that was sent.
    pub(crate) async fn finish(&mut self, request: &Request) -> io::Result<Response> {
        loop {
            let head = self.wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = status(&head.start)?;
            if status < 200 {
                continue;
            }
            let bodiless = request.method == "HEAD" || matches!(status, 204 | 304);
            let framing = if bodiless { Framing::Length(0) } else { Framing::of(&head.headers, Framing::UntilClose)? };
            let body = self.wire.body(framing).await?;
            return Ok(Response { status, headers: head.headers, body });
        }
    }
}

/// One request on a connection of its own; an answer that does not come fails the test.
pub(crate) async fn ask(address: SocketAddr, request: &Request) -> io::Result<Response> {
    let asked = async { Client::connect(address).await?.send(request).await };
    soon(&format!("the answer to {} {}", request.method, request.target), asked).await
}

fn status(line: &[u8]) -> io::Result<u16> {
    let status = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no status line"))
}
