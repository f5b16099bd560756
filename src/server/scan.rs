//! A second, stricter look at the bytes of HTTP/1 requests, for what the parsed head no longer shows.
//!
//! hyper takes a bare LF for the end of a line, drops a `Content-Length` beside a `Transfer-Encoding` or beside its equal,
//! and cuts a fragment off the target. Each of these has one reading here and may have another one elsewhere, so the
//! request is refused. The scan follows the framing of the requests on its own and stops at the first fault: from there on
//! nobody can say where the next request begins. It refuses what it does not understand; what it accepts, hyper still
//! has to parse.

use crate::refusal::Refusal;

/// Bytes of a head that are kept while its end has not come; hyper refuses a head of that size on its own.
const MOST_PENDING: usize = 1 << 20;

/// Follows the requests on one connection.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    /// The head so far, where it did not come in one piece.
    pending: Vec<u8>,
    /// Heads that were complete and good, and are not yet asked about.
    good: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// Content of known length, with what is left of it.
    Length(u64),
    Chunked(Chunked),
    /// No request can be told from another from here on.
    Lost(Refusal),
}

/// A place in chunked content (RFC 9112, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunked {
    /// In the digits of a size, so many of them read.
    Size(u64, u8),
    /// Behind the size: white space and extensions.
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the begin of a trailer line.
    Trailer,
    InTrailer,
    TrailerLf,
    EndLf,
}

impl Scan {
    /// Looks at bytes that were just read, and says how many of them hyper may see: what follows a fault within content is
    /// nobody's, while a head with a fault is [refused](Self::verdict) as a whole.
    pub(super) fn feed(&mut self, read: &[u8]) -> usize {
        let mut bytes = read;
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Lost(Refusal::Chunk) => return read.len() - bytes.len(),
                State::Lost(_) => break,
                State::Head => self.feed_head(bytes),
                State::Length(left) => {
                    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    &bytes[taken..]
                }
                State::Chunked(at) => {
                    let (next, rest) = step(*at, bytes);
                    self.state = next;
                    rest
                }
            };
        }
        read.len()
    }

    /// Whether the next head that hyper understood is to be refused. Asked once for each.
    pub(super) fn verdict(&mut self) -> Result<(), Refusal> {
        if self.good > 0 {
            self.good -= 1;
            return Ok(());
        }
        match self.state {
            State::Lost(reason) => Err(reason),
            // hyper saw a head where this scan saw none.
            _ => Err(Refusal::Syntax),
        }
    }

    /// What is wrong with the bytes so far, if anything.
    pub(super) const fn fault(&self) -> Option<Refusal> {
        match self.state {
            State::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether nothing of a request was read that has not been asked about and read to its end.
    pub(super) fn is_at_rest(&self) -> bool {
        self.state == State::Head && self.pending.is_empty() && self.good == 0
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.pending.is_empty() {
            let skipped = empty_lines(bytes);
            let bytes = &bytes[skipped..];
            let Some(length) = head_length(bytes, 0) else {
                self.pending.extend_from_slice(bytes);
                self.look_early();
                return &[];
            };
            self.judge(&bytes[..length]);
            return &bytes[length..];
        }
        let known = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let skipped = empty_lines(&self.pending);
        self.pending.drain(..skipped);
        let Some(length) = head_length(&self.pending, known.saturating_sub(skipped + 3)) else {
            self.look_early();
            return &[];
        };
        let head = std::mem::take(&mut self.pending);
        self.judge(&head[..length]);
        &bytes[length + skipped - known..]
    }

    /// hyper may end a head earlier than this scan does: at an empty line of a bare LF. Whatever holds one is lost by then.
    fn look_early(&mut self) {
        if self.pending.len() > MOST_PENDING {
            self.lose(Refusal::HeadSize);
        } else if has_bare_lf(&self.pending) {
            self.lose(Refusal::LineEnd);
        }
    }

    fn judge(&mut self, head: &[u8]) {
        match framing(head) {
            Ok(state) => {
                self.good += 1;
                self.state = state;
            }
            Err(reason) => self.lose(reason),
        }
    }

    fn lose(&mut self, reason: Refusal) {
        self.state = State::Lost(reason);
        self.pending = Vec::new();
    }
}

/// The length of a head with its empty line; `from` is where the search may begin.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(&bytes[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

/// How many bytes of empty lines stand before a request (RFC 9112, section 2.2: to be ignored).
fn empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2
}

fn has_bare_lf(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r')
}

/// What follows a head, or why it is refused.
fn framing(head: &[u8]) -> Result<State, Refusal> {
    let mut ends = memchr::memchr_iter(b'\n', head);
    let mut begin = 0;
    let mut line = move || {
        let end = ends.next()?;
        let line = &head[begin..end];
        begin = end + 1;
        Some(line.strip_suffix(b"\r").ok_or(Refusal::LineEnd))
    };
    let start = line().unwrap_or(Err(Refusal::Syntax))?;
    check_target(start)?;
    let (mut said, mut lines) = (Said::default(), 1);
    while let Some(line) = line() {
        said.read(line?)?;
        lines += 1;
    }
    // Each line ends with one.
    if memchr::memchr_iter(b'\r', head).count() > lines {
        return Err(Refusal::LineEnd);
    }
    said.framing(start.ends_with(b"HTTP/1.0"))
}

/// The target in the request line has no fragment, which hyper would cut off.
fn check_target(start: &[u8]) -> Result<(), Refusal> {
    let has_fragment = memchr::memchr(b'#', start).is_some_and(|at| memchr::memchr(b' ', &start[..at]).is_some());
    if has_fragment { Err(Refusal::Target) } else { Ok(()) }
}

/// What a head says about the length of its content.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
}

impl Said {
    /// A line of the head, which may be the empty one at its end. A name that is no name is for hyper to refuse.
    fn read(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            Err(Refusal::ObsFold)
        } else if let Some(value) = value_of(line, b"content-length") {
            self.read_length(value)
        } else if let Some(value) = value_of(line, b"transfer-encoding") {
            self.read_coding(value)
        } else {
            Ok(())
        }
    }

    fn read_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        match (number, self.length) {
            (Some(number), None) => self.length = Some(number),
            _ => return Err(Refusal::Framing),
        }
        Ok(())
    }

    fn read_coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let chunked = codings.clone().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
        if chunked > 1 || self.chunked || value.is_empty() {
            return Err(Refusal::Framing);
        }
        if codings.count() > 1 || chunked == 0 {
            return Err(Refusal::TransferCoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn framing(&self, is_http_10: bool) -> Result<State, Refusal> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Refusal::Framing),
            (None, true) if is_http_10 => Err(Refusal::Framing),
            (None, true) => Ok(State::Chunked(Chunked::Size(0, 0))),
            (None | Some(0), false) => Ok(State::Head),
            (Some(length), false) => Ok(State::Length(length)),
        }
    }
}

/// The value in a line of that name, which is given in lower case.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_it = line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name);
    is_it.then(|| line[name.len() + 1..].trim_ascii())
}

/// One step through chunked content: as hyper reads it, so that both agree on where it ends.
fn step(at: Chunked, bytes: &[u8]) -> (State, &[u8]) {
    let (byte, rest) = (bytes[0], &bytes[1..]);
    let lost = (State::Lost(Refusal::Chunk), bytes);
    let next = match (at, byte) {
        (Chunked::Data(left), _) => return data(left, bytes),
        (Chunked::Size(size, digits), _) => after_size_byte(size, digits, byte),
        (Chunked::Extension(size), b'\r') => Some(Chunked::SizeLf(size)),
        (Chunked::Extension(size), byte) if byte != b'\n' => Some(Chunked::Extension(size)),
        (Chunked::SizeLf(0) | Chunked::TrailerLf, b'\n') => Some(Chunked::Trailer),
        (Chunked::SizeLf(size), b'\n') => Some(Chunked::Data(size)),
        (Chunked::DataCr, b'\r') => Some(Chunked::DataLf),
        (Chunked::DataLf, b'\n') => Some(Chunked::Size(0, 0)),
        (Chunked::Trailer, b'\r') => Some(Chunked::EndLf),
        (Chunked::InTrailer, b'\r') => Some(Chunked::TrailerLf),
        (Chunked::Trailer | Chunked::InTrailer, byte) if byte != b'\n' => Some(Chunked::InTrailer),
        (Chunked::EndLf, b'\n') => return (State::Head, rest),
        _ => None,
    };
    next.map_or(lost, |next| (State::Chunked(next), rest))
}

fn data(left: u64, bytes: &[u8]) -> (State, &[u8]) {
    let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    let left = left - taken as u64;
    let next = if left == 0 { Chunked::DataCr } else { Chunked::Data(left) };
    (State::Chunked(next), &bytes[taken..])
}

fn after_size_byte(size: u64, digits: u8, byte: u8) -> Option<Chunked> {
    if let Some(digit) = char::from(byte).to_digit(16) {
        let size = size.checked_mul(16)?.checked_add(u64::from(digit))?;
        return Some(Chunked::Size(size, 1));
    }
    match byte {
        _ if digits == 0 => None,
        b'\r' => Some(Chunked::SizeLf(size)),
        b' ' | b'\t' | b';' => Some(Chunked::Extension(size)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(bytes: &[u8], piece: usize) -> (usize, Option<Refusal>) {
        let mut scan = Scan::default();
        for piece in bytes.chunks(piece) {
            scan.feed(piece);
        }
        (scan.good, scan.fault())
    }

    /// However the bytes are cut, the same heads are good and the same fault is found.
    fn assert_scan(bytes: &[u8], good: usize, fault: Option<Refusal>) {
        for piece in [1, 2, 3, 7, bytes.len()] {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(verdicts(bytes, piece), (good, fault), "in pieces of {piece}: {text:?}");
        }
    }

    #[test]
    fn requests_are_followed_from_head_to_head() {
        assert_scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, None);
        assert_scan(b"\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /#", 1, None);
        assert_scan(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n", 2, None);
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
            a;x=\"y\"\r\n0123456789\r\n0\r\nx: y\r\nz: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET";
        assert_scan(chunked, 2, None);
    }

    #[test]
    fn what_hyper_hides_is_found() {
        for (head, reason) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n\r\n", Refusal::Framing),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Framing),
            ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", Refusal::Framing),
            ("Content-Length: +1\r\n\r\n", Refusal::Framing),
            ("Content-Length: 99999999999999999999\r\n\r\n", Refusal::Framing),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Framing),
            ("Transfer-Encoding: chunked, chunked\r\n\r\n", Refusal::Framing),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", Refusal::TransferCoding),
            ("Transfer-Encoding: xchunked\r\n\r\n", Refusal::TransferCoding),
            ("a: b\r\n c\r\n\r\n", Refusal::ObsFold),
            ("a: b\nc: d\r\n\r\n", Refusal::LineEnd),
            ("a: b\n\n", Refusal::LineEnd),
        ] {
            assert_scan(format!("POST / HTTP/1.1\r\n{head}").as_bytes(), 0, Some(reason));
        }
        assert_scan(b"GET /a#b HTTP/1.1\r\n\r\n", 0, Some(Refusal::Target));
        assert_scan(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, Some(Refusal::Framing));
    }

    #[test]
    fn bad_chunks_end_the_scan() {
        for content in ["x\r\n", "\r\n", "0x5\r\n", "-1\r\n", "5\n", "1\r\nab", "1\r\na\n", "fffffffffffffffff\r\n"] {
            let bytes = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{content}");
            assert_scan(bytes.as_bytes(), 1, Some(Refusal::Chunk));
        }
    }

    #[test]
    fn a_verdict_belongs_to_its_head() {
        let mut scan = Scan::default();
        scan.feed(b"GET / HTTP/1.1\r\n\r\nGET /#x HTTP/1.1\r\n\r\n");
        assert_eq!([scan.verdict(), scan.verdict()], [Ok(()), Err(Refusal::Target)]);
    }
}
