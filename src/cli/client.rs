//! Calls to the admin port of a running proxy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// To the end of an answer, where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const MOST: usize = 64 << 20;

/// Why a call failed, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// `--admin` is not such an address.
    #[error("`{0}` is not the address of an admin port: write it like http://127.0.0.1:8081")]
    Address(String),
    /// Nobody answers there.
    #[error("no crossfade answers at {url}: is `crossfade run` up, and is --admin (CROSSFADE_ADMIN) right?")]
    Unreachable {
        /// Where.
        url: Uri,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered with an error.
    #[error("{detail}")]
    Refused {
        /// Of the answer.
        status: StatusCode,
        /// In its words.
        detail: String,
    },
    /// The token cannot be read.
    #[error("failed to read the token file {}", path.display())]
    Token {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What answers is no crossfade of this version.
    #[error("the answer of {url} makes no sense: is it the admin port of this version of crossfade?")]
    Nonsense {
        /// Where.
        url: Uri,
        /// Why.
        source: serde_json::Error,
    },
}

/// An admin port.
#[derive(Debug, Clone)]
pub(super) struct Client {
    base: Uri,
    token: Option<String>,
}

impl Client {
    /// By address, and with the token of a file where one is needed.
    ///
    /// # Errors
    /// When the address is none, or the file cannot be read.
    pub(super) fn new(admin: &str, token_file: Option<&Path>) -> Result<Self, ClientError> {
        let base: Uri = admin.parse().map_err(|_| ClientError::Address(admin.to_owned()))?;
        if base.scheme_str() != Some("http") || base.authority().is_none() {
            return Err(ClientError::Address(admin.to_owned()));
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| ClientError::Token { path: path.to_owned(), source })
        };
        let token = token_file.map(read).transpose()?.map(|token| token.trim_end().to_owned());
        Ok(Self { base, token })
    }

    /// Reads something.
    ///
    /// # Errors
    /// As [`ClientError`] tells.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new(), PATIENCE).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// As [`ClientError`] tells.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<T, ClientError> {
        self.call(Method::POST, path, body, PATIENCE).await
    }

    /// As [`post`](Self::post), for what takes its time.
    ///
    /// # Errors
    /// As [`ClientError`] tells.
    pub(super) async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, body, patience).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let url = self.base.clone();
        let answered = tokio::time::timeout(patience, self.exchange(method, path, body)).await;
        let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs()).into()));
        let (status, text) = answered.map_err(|source| ClientError::Unreachable { url: url.clone(), source })?;
        if !status.is_success() {
            return Err(ClientError::Refused { status, detail: detail(status, &text) });
        }
        serde_json::from_slice(&text).map_err(|source| ClientError::Nonsense { url, source })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let authority = self.base.authority().expect("checked in new()");
        let stream =
            TcpStream::connect((authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80))).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let _connection = Aborting(tokio::spawn(connection));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, authority.as_str().parse()?);
        headers.insert(ACCEPT, "application/json".parse()?);
        headers.insert(CONTENT_TYPE, "application/json".parse()?);
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
        }
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok((head.status, Limited::new(body, MOST).collect().await?.to_bytes()))
    }
}

/// What a problem document says, or whatever came in its place.
fn detail(status: StatusCode, text: &[u8]) -> String {
    let document: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let detail = document.as_ref().and_then(|document| document["detail"].as_str());
    detail.map_or_else(|| format!("the admin port answered {status}"), str::to_owned)
}

/// A task that ends with its owner.
struct Aborting<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
