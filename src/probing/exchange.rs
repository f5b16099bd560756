//! One request and its answer, on a connection of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, HOST, HeaderName, HeaderValue, USER_AGENT, VIA};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::AlertDescription;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::asking::{Asking, Target};
use super::dial::Line;
use super::place::Place;
use super::tls::alert_in;
use crate::backend::Role;
use crate::config::HostPolicy;
use crate::outcome::Cause;

/// Marks a request that no consumer has made.
const ROLE: HeaderName = HeaderName::from_static("crossfade-role");
/// Bytes of an answer's head: as real traffic.
const MOST_HEAD: usize = 128 << 10;
/// A connection that broke has this long to say why.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A whole answer.
pub(super) struct Answered {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) trailers: Option<HeaderMap>,
    /// The content, unless it is larger than the cap.
    pub(super) pieces: Option<Vec<Bytes>>,
    /// Bytes of content.
    pub(super) size: u64,
    /// From the request to the end of the head.
    pub(super) latency: Duration,
}

/// No answer, or only a part of one.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) cause: Cause,
    pub(super) text: String,
    /// What the peer complained of, in TLS.
    pub(super) alert: Option<AlertDescription>,
}

impl Broken {
    pub(super) fn timeout() -> Self {
        Self { cause: Cause::Timeout, text: "no whole answer in time".to_owned(), alert: None }
    }

    pub(super) fn connect() -> Self {
        Self { cause: Cause::Connect, text: String::new(), alert: None }
    }

    /// By all that is known; `more` is the connection's own error.
    fn new(error: &hyper::Error, more: Option<&hyper::Error>) -> Self {
        let is_parse = error.is_parse() || more.is_some_and(hyper::Error::is_parse);
        let cause = if is_parse { Cause::Decode } else { Cause::Reset };
        let alert = alert_in(error).or_else(|| more.and_then(|error| alert_in(error)));
        Self { cause, text: error.to_string(), alert }
    }
}

/// The request that real traffic would become, marked as a probe.
pub(super) fn request(place: &Place, asking: &Asking, target: &Target) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = asking.method.clone();
    *request.uri_mut() = Uri::from(target.path.clone());
    *request.headers_mut() = asking.headers.clone();
    let (mut head, body) = request.into_parts();
    head.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    head.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("crossfade-probe"));
    if let Some(host) = place.dependency.matches.host.as_deref().and_then(|host| host.parse().ok()) {
        head.headers.entry(HOST).or_insert(host);
    }
    head.headers.append(VIA, HeaderValue::from_static("1.1 crossfade"));
    place.spec.request.apply(&mut head, &place.dependency.routes[target.route]);
    head.headers.insert(ROLE, HeaderValue::from_static(Role::Probe.as_str()));
    if place.spec.host == HostPolicy::Endpoint || !head.headers.contains_key(HOST) {
        let authority = place.endpoint.authority.as_str();
        head.headers.extend(HeaderValue::from_str(authority).ok().map(|host| (HOST, host)));
    }
    // Base path and path are both valid, and so is one behind the other.
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if let Ok(uri) = format!("{}{path}", place.endpoint.base_path).parse() {
        head.uri = uri;
    }
    Request::from_parts(head, body)
}

/// Sends a request, and waits for the whole answer.
pub(super) async fn exchange(
    line: Line,
    request: Request<Empty<Bytes>>,
    cap: usize,
    within: Duration,
) -> Result<Answered, Broken> {
    // Dropped, it closes the connection.
    let mut driver = JoinSet::new();
    let begun = Instant::now();
    let answering = async {
        let version = if line.is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let sent = if line.is_http2 {
            send_http2(line, request, &mut driver).await
        } else {
            send_http1(line, request, &mut driver).await
        };
        let latency = begun.elapsed();
        let (head, body) = sent?.into_parts();
        let mut answered = Answered {
            version,
            status: head.status,
            headers: head.headers,
            trailers: None,
            pieces: Some(Vec::new()),
            size: 0,
            latency,
        };
        answered.read(body, cap).await?;
        Ok(answered)
    };
    match timeout(within, answering).await {
        Ok(Ok(answered)) => Ok(answered),
        Ok(Err(error)) => {
            let ended = timeout(LAST_WORDS, driver.join_next()).await.ok().flatten();
            let more = ended.and_then(Result::ok).and_then(Result::err);
            Err(Broken::new(&error, more.as_ref()))
        }
        Err(_) => Err(Broken::timeout()),
    }
}

type Driver = JoinSet<Result<(), hyper::Error>>;

async fn send_http1(
    line: Line,
    request: Request<Empty<Bytes>>,
    driver: &mut Driver,
) -> Result<Response<Incoming>, hyper::Error> {
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .allow_spaces_after_header_name_in_responses(true)
        .max_header_size(MOST_HEAD)
        .handshake(TokioIo::new(line.stream))
        .await?;
    driver.spawn(connection);
    sender.send_request(request).await
}

async fn send_http2(
    line: Line,
    request: Request<Empty<Bytes>>,
    driver: &mut Driver,
) -> Result<Response<Incoming>, hyper::Error> {
    let scheme = line.scheme;
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(MOST_HEAD as u32)
        .handshake(TokioIo::new(line.stream))
        .await?;
    driver.spawn(connection);
    sender.send_request(for_http2(request, scheme)).await
}

/// The authority from `Host` (RFC 9113, section 8.3.1).
fn for_http2(mut request: Request<Empty<Bytes>>, scheme: Scheme) -> Request<Empty<Bytes>> {
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if authority.is_some() {
        (parts.scheme, parts.authority) = (Some(scheme), authority);
        parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    }
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    request
}

impl Answered {
    /// The content, where it is there as it is meant, and not encoded.
    pub(super) fn plain(&self) -> Option<Vec<u8>> {
        self.pieces.as_ref().filter(|_| !self.headers.contains_key(CONTENT_ENCODING)).map(|pieces| pieces.concat())
    }

    async fn read(&mut self, mut body: Incoming, cap: usize) -> Result<(), hyper::Error> {
        while let Some(frame) = body.frame().await {
            let frame = match frame?.into_data() {
                Ok(data) => {
                    self.size += data.len() as u64;
                    if self.size > cap as u64 {
                        self.pieces = None;
                    }
                    self.pieces.iter_mut().for_each(|pieces| pieces.push(data.clone()));
                    continue;
                }
                Err(other) => other,
            };
            self.trailers = frame.into_trailers().ok().or(self.trailers.take());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_2_gets_the_host_as_its_authority_and_the_scheme_of_the_connection() {
        let request = Request::get("/a?b").header(HOST, "v2.internal:8443").body(Empty::new()).expect("valid");
        let request = for_http2(request, Scheme::HTTPS);
        assert_eq!(request.uri().to_string(), "https://v2.internal:8443/a?b");
        assert!(!request.headers().contains_key(HOST) && request.version() == Version::HTTP_2);
    }
}
