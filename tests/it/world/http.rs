//! HTTP/1.1 as bytes: what the client and the origins share. Strict where a test could be fooled, and no more than that.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Header lines in order, as sent: name and value without the white space around it.
pub(crate) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// The head of a message.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The request line or status line, without its end.
    pub(crate) start: Vec<u8>,
    pub(crate) headers: Headers,
}

/// The value of the first header of that name, in any case.
pub(crate) fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    let (_, value) = headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name.as_bytes()))?;
    Some(value)
}

/// How the end of a message's content is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Framing {
    /// Of what the headers say; `otherwise` where they say nothing.
    pub(crate) fn of(headers: &Headers, otherwise: Self) -> io::Result<Self> {
        if header(headers, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
            return Ok(Self::Chunked);
        }
        match header(headers, "content-length") {
            Some(length) => number(length, 10).map(Self::Length),
            None => Ok(otherwise),
        }
    }
}

/// A connection, and what was read from it too early.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Each write of a test shall be seen as it is made.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next head; `None` where the connection ended between two messages.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        let mut lines = match self.line().await {
            Ok(start) => vec![start],
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.ahead.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        };
        loop {
            match self.line().await? {
                line if line.is_empty() => break,
                line => lines.push(line),
            }
        }
        let start = lines.remove(0);
        let headers = lines.iter().map(|line| split_header(line)).collect::<io::Result<_>>()?;
        Ok(Some(Head { start, headers }))
    }

    pub(crate) async fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        match framing {
            Framing::Length(length) => self.exactly(length).await,
            Framing::Chunked => self.chunks().await,
            Framing::UntilClose => {
                let mut body = std::mem::take(&mut self.ahead);
                self.stream.read_to_end(&mut body).await?;
                Ok(body)
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            match number(size, 16)? {
                0 => break,
                size => body.extend(self.exactly(size).await?),
            }
            if !self.line().await?.is_empty() {
                return Err(broken("no line end after a chunk"));
            }
        }
        while !self.line().await?.is_empty() {}
        Ok(body)
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let mut line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.more().await?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.ahead).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn split_header(line: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| broken("a header without a colon"))?;
    Ok((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
}

fn number(digits: &[u8], radix: u32) -> io::Result<usize> {
    let digits = std::str::from_utf8(digits).ok();
    let number = digits.and_then(|digits| usize::from_str_radix(digits.trim(), radix).ok());
    number.ok_or_else(|| broken("not a number"))
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
