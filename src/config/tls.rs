//! TLS as configured: certificates, keys and roots, read and checked before anybody may connect with them.
//!
//! What a file named by the configuration says belongs to the configuration: when it changes, everything is read again,
//! and the whole `rustls` configuration is replaced. New connections take the new one, open connections keep theirs; and
//! since the keys of session tickets are replaced as well, nobody resumes a session that was granted under an older
//! client CA.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

/// The provider of all cryptography: aws-lc-rs, with X25519MLKEM768 offered first. A hybrid key exchange keeps traffic
/// that is recorded today from being read by a quantum computer later. It costs a kilobyte in each direction of a
/// handshake; a peer without it is met with X25519 in the same round trip.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// What consumers are shown, and asked for, on the TLS ports. Equal when it was made from equal files.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    source: Source,
}

/// How a backend is trusted, and what it is shown. Equal when it was made from equal files.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    source: Source,
}

/// TLS towards one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointTls {
    /// What its certificate must be for, and what the SNI extension says where it is a name.
    pub server_name: ServerName<'static>,
    /// Whom to trust.
    pub client: ClientTls,
}

/// The files that something was made from, and what they said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) files: Vec<PathBuf>,
    /// XXH3-64 of all that was read, the platform's roots included.
    pub(super) hash: u64,
}

impl ServerTls {
    pub(super) const fn new(config: Arc<ServerConfig>, source: Source) -> Self {
        Self { config, source }
    }

    /// For new connections.
    pub const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The files it was made from.
    pub fn files(&self) -> &[PathBuf] {
        &self.source.files
    }
}

impl ClientTls {
    pub(super) const fn new(config: Arc<ClientConfig>, source: Source) -> Self {
        Self { config, source }
    }

    /// For new connections.
    pub const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Makes it equal to one that was made from other contents of the same files.
    pub(super) const fn forget_content(&mut self) {
        self.source.hash = 0;
    }

    /// The files it was made from; those of the platform's roots are not among them.
    pub fn files(&self) -> &[PathBuf] {
        &self.source.files
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for ClientTls {}

/// Names the files only: what they hold is secret.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.source.files).finish_non_exhaustive()
    }
}

/// Names the files only: what they hold is secret.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("files", &self.source.files).finish_non_exhaustive()
    }
}
