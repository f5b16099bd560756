//! Certificates, keys and roots: read, checked, and put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};
use xxhash_rust::xxh3::Xxh3Default;

use super::super::deployment::Protocol;
use super::super::tls::{ClientTls, ServerTls, Source, provider};
use super::deployment::path;
use super::table::Table;
use super::value::Value;

/// ALPN (RFC 7301): HTTP/2 and HTTP/1.1.
const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The `[tls]` table of the deployment.
pub(super) fn server(mut table: Table<'_>, folder: &Path) -> Option<ServerTls> {
    let cert = table.required("cert", "cert = \"tls/server.pem\"");
    let key = table.required("key", "key = \"tls/server.key\"");
    let client_ca = table.take("client_ca");
    table.finish();
    let mut sources = Sources::new(folder);
    let identity = sources.identity(&cert?, &key?);
    let verifier = match &client_ca {
        Some(client_ca) => sources.client_verifier(client_ca)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let (chain, key) = identity?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .expect("certificate and key were found to match");
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    // Without a ticketer of their own, sessions would be kept in a map that all workers lock.
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Some(ServerTls::new(Arc::new(config), sources.done()))
}

/// The `tls` table of a backend with an https endpoint. Verification cannot be turned off: there is no key for it.
pub(super) struct Client {
    pub(super) tls: ClientTls,
    /// In place of each endpoint's host.
    pub(super) server_name: Option<ServerName<'static>>,
}

pub(super) fn client(value: Option<&Value<'_>>, urls: &Value<'_>, protocol: Protocol, folder: &Path) -> Option<Client> {
    let mut sources = Sources::new(folder);
    let (mut ca, mut identity, mut server_name) = (None, Ok(None), None);
    if let Some(value) = value {
        let mut table = value.table()?;
        ca = table.take("ca");
        server_name = table.get("server_name", name);
        identity = client_identity(&mut table, &mut sources);
        table.finish();
    }
    let roots = match &ca {
        Some(ca) => sources.roots(ca)?,
        None => sources.platform_roots(urls)?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_webpki_verifier(verifier.expect("there are roots, and no revocation lists"));
    let mut config = match identity.ok()? {
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).expect("certificate and key were found to match")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match protocol {
        Protocol::Auto => vec![H2.to_vec(), HTTP1.to_vec()],
        Protocol::Http1 => vec![HTTP1.to_vec()],
        Protocol::Http2 => vec![H2.to_vec()],
    };
    sources.add(&[protocol as u8]);
    Some(Client { tls: ClientTls::new(Arc::new(config), sources.done()), server_name })
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Something is wrong, and was reported.
struct Reported;

fn client_identity(table: &mut Table<'_>, sources: &mut Sources<'_>) -> Result<Option<Identity>, Reported> {
    match (table.take("client_cert"), table.take("client_key")) {
        (Some(cert), Some(key)) => sources.identity(&cert, &key).map(Some).ok_or(Reported),
        (None, None) => Ok(None),
        (Some(lone), None) => {
            lone.key_error("stands without `client_key`", Some("write both or none".to_owned()));
            Err(Reported)
        }
        (None, Some(lone)) => {
            lone.key_error("stands without `client_cert`", Some("write both or none".to_owned()));
            Err(Reported)
        }
    }
}

fn name(value: &Value<'_>) -> Option<ServerName<'static>> {
    value.parsed("a name such as \"api.internal\"", "write the name that the certificate is for", |text| {
        ServerName::try_from(text.to_owned()).map_err(|_| format!("`{}` is no name", text.escape_debug()))
    })
}

/// Reads files, and remembers which, and what they said.
struct Sources<'p> {
    folder: &'p Path,
    files: Vec<PathBuf>,
    hash: Xxh3Default,
}

impl<'p> Sources<'p> {
    fn new(folder: &'p Path) -> Self {
        Self { folder, files: Vec::new(), hash: Xxh3Default::new() }
    }

    fn done(self) -> Source {
        Source { files: self.files, hash: self.hash.digest() }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// The content of a file, or a problem that names the file and the reason, never the content.
    fn read(&mut self, value: &Value<'_>) -> Option<(PathBuf, Vec<u8>)> {
        let path = path(value, self.folder)?;
        let bytes = super::bounded(&path)
            .map_err(|reason| {
                value.error(
                    format_args!("{} cannot be used: {reason}", path.display()),
                    "name a PEM file that the proxy may read",
                );
            })
            .ok()?;
        self.add(&bytes);
        self.files.push(path.clone());
        Some((path, bytes))
    }

    fn certificates(&mut self, value: &Value<'_>) -> Option<(PathBuf, Vec<CertificateDer<'static>>)> {
        let (path, pem) = self.read(value)?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let wrong = match read {
            Ok(read) if read.is_empty() => "it holds no certificate".to_owned(),
            Err(error) => format!("it is not PEM: {error}"),
            Ok(read) => return Some((path, read)),
        };
        value.error(
            format_args!("{} cannot be used: {wrong}", path.display()),
            "write PEM, from -----BEGIN CERTIFICATE----- on",
        );
        None
    }

    /// A chain and the key of its first certificate.
    fn identity(&mut self, cert: &Value<'_>, key: &Value<'_>) -> Option<Identity> {
        let chain = self.certificates(cert);
        let read = self.read(key);
        let ((chain_path, chain), (key_path, pem)) = (chain?, read?);
        let Ok(read) = PrivateKeyDer::from_pem_slice(&pem) else {
            key.error(
                format_args!("{} holds no private key", key_path.display()),
                "write PEM: PKCS #8, PKCS #1 or SEC1, without a password",
            );
            return None;
        };
        match CertifiedKey::from_der(chain.clone(), read.clone_key(), &provider()) {
            Ok(_) => Some((chain, read)),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                key.error(
                    format_args!("{} is not the key of {}", key_path.display(), chain_path.display()),
                    "name the key that the certificate was made for; the file begins with the proxy's own certificate",
                );
                None
            }
            Err(Error::InvalidCertificate(error)) => {
                cert.error(
                    format_args!("{} cannot be used: {error:?}", chain_path.display()),
                    "write X.509 version 3, the proxy's own certificate first",
                );
                None
            }
            Err(error) => {
                key.error(
                    format_args!("{} cannot be used: {error}", key_path.display()),
                    "use an RSA, ECDSA or Ed25519 key",
                );
                None
            }
        }
    }

    fn roots(&mut self, ca: &Value<'_>) -> Option<RootCertStore> {
        let (path, certificates) = self.certificates(ca)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            if let Err(error) = roots.add(certificate) {
                ca.error(
                    format_args!("{} cannot be used: {error}", path.display()),
                    "write certificates of authorities",
                );
                return None;
            }
        }
        Some(roots)
    }

    fn client_verifier(&mut self, ca: &Value<'_>) -> Option<Arc<dyn ClientCertVerifier>> {
        let roots = self.roots(ca)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        Some(verifier.expect("there are roots, and no revocation lists"))
    }

    /// The roots of the platform, read anew each time: they are updated like any other file.
    fn platform_roots(&mut self, urls: &Value<'_>) -> Option<RootCertStore> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        for certificate in &found.certs {
            self.add(certificate);
        }
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            urls.error(
                "https, but this system has no root certificates",
                "install them (Debian: ca-certificates), or name a file: tls = { ca = \"tls/internal-ca.pem\" }",
            );
            return None;
        }
        Some(roots)
    }
}
