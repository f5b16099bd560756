//! The validated content of `crossfade.toml`: what the team that runs the proxy decided.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method};

use super::forwarded::Forwarded;
use super::pattern::PathPattern;
use super::resilience::{HealthCheck, RetryPolicy};
use super::study::{Diff, Study};
use super::template::PathTemplate;
use super::tls::{EndpointTls, ServerTls};
use super::token::Token;
use crate::backend::Backend;
use crate::score::{Mapping, Program, Rules};

/// Everything `crossfade.toml` says; paths are absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Cleartext addresses: HTTP/1.1, and HTTP/2 with prior knowledge. At least one here or in `listen_tls`.
    pub listen: Vec<SocketAddr>,
    /// TLS addresses: HTTP/1.1 and HTTP/2, by ALPN.
    pub listen_tls: Vec<SocketAddr>,
    /// For `listen_tls`; there where that is not empty.
    pub tls: Option<ServerTls>,
    /// Address of the admin port.
    pub admin: SocketAddr,
    /// File with the bearer token of the admin port; required when `admin` is not a loopback address.
    pub token_file: Option<PathBuf>,
    /// What that file held when the configuration was loaded: lets a request choose its backend.
    pub token: Option<Token>,
    /// The rollout file.
    pub rollout: PathBuf,
    /// Directory of the ledger; created when absent.
    pub data_dir: PathBuf,
    /// Threads of the data plane; 0: one per core.
    pub workers: usize,
    /// Whether answers carry `crossfade-served-by` and `crossfade-rescued`.
    pub response_headers: bool,
    /// Whether the connections to all backends are probed at the start, and what is found is logged; default no.
    pub startup_probe: bool,
    /// What backends are told of the consumer.
    pub forwarded: Forwarded,
    /// The caps on everything that could grow.
    pub limits: Limits,
    /// What comparing answers and keeping samples may cost and show.
    pub study: Study,
    /// In file order.
    pub dependencies: Vec<Arc<Dependency>>,
}

impl Deployment {
    /// The dependency of a name, with its index.
    pub fn dependency(&self, name: &str) -> Option<(usize, &Arc<Dependency>)> {
        self.dependencies.iter().enumerate().find(|(_, dependency)| dependency.name == name)
    }

    /// The files with secrets and certificates whose content is part of this deployment.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.token_file.iter().cloned().collect();
        files.extend(self.tls.iter().flat_map(|tls| tls.files().iter().cloned()));
        let backends = self.dependencies.iter().flat_map(|it| it.v1.iter().chain(std::iter::once(&it.v2)));
        for backend in backends {
            let tls = backend.endpoints.iter().filter_map(|endpoint| endpoint.tls.as_ref());
            files.extend(tls.flat_map(|tls| tls.client.files().iter().cloned()));
            files.extend(backend.request.set.iter().filter_map(|(_, source)| source.file().map(ToOwned::to_owned)));
        }
        files.sort();
        files.dedup();
        files
    }

    /// This deployment as a running process can adopt it, and the keys that differ but need a restart: those of
    /// `running` stay in force for them, everything else applies.
    pub fn adopted_by(mut self, running: &Self) -> (Self, Vec<&'static str>) {
        let mut kept = Vec::new();
        keep("listen", &mut self.listen, &running.listen, &mut kept);
        keep("listen_tls", &mut self.listen_tls, &running.listen_tls, &mut kept);
        if self.tls.is_none() && !self.listen_tls.is_empty() {
            self.tls.clone_from(&running.tls);
        }
        keep("admin", &mut self.admin, &running.admin, &mut kept);
        keep("data_dir", &mut self.data_dir, &running.data_dir, &mut kept);
        keep("workers", &mut self.workers, &running.workers, &mut kept);
        (self, kept)
    }
}

fn keep<T: Clone + PartialEq>(key: &'static str, new: &mut T, running: &T, kept: &mut Vec<&'static str>) {
    if *new != *running {
        running.clone_into(new);
        kept.push(key);
    }
}

/// Caps on everything that could grow; see [`Limits::default`] for the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Connections of consumers, all workers together.
    pub max_connections: usize,
    /// Requests of consumers being answered, all workers together; more are refused with 503.
    pub max_in_flight: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: usize,
    /// Size of a request's head.
    pub header_bytes: usize,
    /// Longest time from the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Longest silence on a connection, between requests and within a body.
    pub idle_timeout: Duration,
    /// Longest time from SIGTERM to the end of the process.
    pub drain_timeout: Duration,
    /// Shadows being called, all workers together; more are skipped.
    pub shadow_in_flight: usize,
    /// Bytes of all buffered copies together: request bodies on their way to shadows, answers on their way to scoring.
    pub shadow_memory: usize,
    /// Bytes of one request body that a shadow may be behind the primary.
    pub shadow_backlog: usize,
    /// Largest answer that is scored or mapped, in bytes as sent and as decoded; a larger one is excluded as `too_large`,
    /// and a fallback if it had to be mapped.
    pub score_body: usize,
    /// Longest time that a jq rule, or other scoring that takes long, may wait for a thread, and as long again to run. An
    /// answer whose rule did not end is excluded as `rule`.
    pub rule_timeout: Duration,
    /// Bytes of all answers together that are being mapped for consumers.
    pub map_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_in_flight: 10_000,
            max_streams: 100,
            header_bytes: 64 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            shadow_in_flight: 1024,
            shadow_memory: 64 << 20,
            shadow_backlog: 1 << 20,
            score_body: 1 << 20,
            rule_timeout: Duration::from_millis(50),
            map_memory: 64 << 20,
        }
    }
}

/// A migrating dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// Its key in both files; the label `dependency`.
    pub name: String,
    /// Which requests belong to it.
    pub matches: DependencyMatch,
    /// The version being left; may be absent once the stage is `complete`.
    pub v1: Option<BackendSpec>,
    /// The version traffic moves to.
    pub v2: BackendSpec,
    /// In file order; the last one is the implied route `other`, which matches everything.
    pub routes: Vec<Route>,
}

impl Dependency {
    /// Whether nothing differs but the contents of files with secrets, and how answers are compared: what was learned of
    /// its backends still holds.
    pub fn differs_in_secrets_only(&self, other: &Self) -> bool {
        let bare = |it: &Self| {
            let mut it = it.clone();
            for backend in it.v1.iter_mut().chain(std::iter::once(&mut it.v2)) {
                backend.request.forget_secrets();
                backend.endpoints.iter_mut().filter_map(|it| it.tls.as_mut()).for_each(|it| it.client.forget_content());
            }
            it.routes.iter_mut().for_each(|route| route.diff = Diff::default());
            it
        };
        bare(self) == bare(other)
    }

    /// The settings of one backend; `None` only for a V1 that was removed.
    pub fn backend(&self, backend: Backend) -> Option<&BackendSpec> {
        match backend {
            Backend::V1 => self.v1.as_ref(),
            Backend::V2 => Some(&self.v2),
        }
    }
}

/// Conditions on a request, all of which must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DependencyMatch {
    /// Host without port, lower case; `None`: any.
    pub host: Option<String>,
    /// Whole leading segments of the path; `None`: any.
    pub path_prefix: Option<String>,
}

/// How one backend is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendSpec {
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Which `Host` it sees.
    pub host: HostPolicy,
    /// To an established connection; default 250 ms.
    pub connect_timeout: Duration,
    /// From the request to the end of the answer's head; default 5 s. A shadow's whole answer is due by then.
    pub timeout: Duration,
    /// Longest silence within an answer's body; default: the limit of the same name.
    pub idle_timeout: Duration,
    /// How its endpoints are checked; `None`: only by how they answer requests.
    pub health: Option<HealthCheck>,
    /// When it is asked once more; `None`: never.
    pub retry: Option<RetryPolicy>,
    /// How a consumer's request becomes a request for this backend.
    pub request: RequestMapping,
    /// How its answers become what V1's consumers expect; `None`: they are that already. Always for V1.
    pub response: Option<Arc<Mapping>>,
}

impl BackendSpec {
    /// Whether connections made for one serve the other: nothing differs but what is sent on them.
    pub fn is_reached_like(&self, other: &Self) -> bool {
        let bare = |it: &Self| Self { request: RequestMapping::default(), response: None, ..it.clone() };
        self == other || bare(self) == bare(other)
    }
}

/// One address of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port as written, the default `Host`.
    pub authority: Authority,
    /// Name or address to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// What stands before every path, without a trailing slash; often empty.
    pub base_path: String,
    /// Of an https endpoint; `None`: cleartext.
    pub tls: Option<EndpointTls>,
    /// The same for all endpoints of a backend.
    pub protocol: Protocol,
}

/// Which HTTP a backend is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// What ALPN (RFC 7301) decides, HTTP/2 preferred; in cleartext HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in cleartext by prior knowledge (RFC 9113, section 3.3).
    Http2,
}

/// Which `Host` a backend sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// The endpoint's own authority.
    #[default]
    Endpoint,
    /// What the consumer sent (`host = "preserve"`).
    Preserve,
}

/// How a consumer's request becomes a request for one backend. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestMapping {
    /// The new path and query; `None`: unchanged.
    pub path: Option<PathTemplate>,
    /// Headers set after `remove`, replacing what is there.
    pub set: Vec<(HeaderName, HeaderSource)>,
    /// Headers taken out.
    pub remove: Vec<HeaderName>,
    /// What becomes of JSON content; `None`: unchanged.
    pub body: Option<Program>,
}

impl RequestMapping {
    fn forget_secrets(&mut self) {
        for (_, source) in &mut self.set {
            if let HeaderSource::File { value, .. } = source {
                *value = HeaderValue::from_static("");
            }
        }
    }
}

/// Where a header's value comes from.
#[derive(Clone, PartialEq)]
pub enum HeaderSource {
    /// As written.
    Literal(HeaderValue),
    /// The content of a file, read when the configuration is loaded, without its trailing line end.
    /// `value` is marked sensitive and never printed.
    File {
        /// Where it was read from.
        path: PathBuf,
        /// What was read.
        value: HeaderValue,
    },
}

impl HeaderSource {
    /// The value to send.
    pub const fn value(&self) -> &HeaderValue {
        match self {
            Self::Literal(value) | Self::File { value, .. } => value,
        }
    }

    /// The file it was read from, if it was.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Literal(_) => None,
            Self::File { path, .. } => Some(path),
        }
    }
}

/// Never shows the value, not even a literal one: API keys are written there as well.
impl fmt::Debug for HeaderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.debug_tuple("Literal").finish_non_exhaustive(),
            Self::File { path, .. } => f.debug_struct("File").field("path", path).finish_non_exhaustive(),
        }
    }
}

/// A named class of requests with its own scoring rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The label `route`.
    pub name: String,
    /// Any of these; empty: all.
    pub methods: Vec<Method>,
    /// `None`: any path.
    pub path: Option<PathPattern>,
    /// What counts as rich.
    pub rules: Rules,
    /// How its answers are compared.
    pub diff: Diff,
}

impl Route {
    /// The implied last route of every dependency: it takes what no other one takes, by the default rules.
    pub fn other() -> Self {
        Self { name: OTHER.to_owned(), methods: Vec::new(), path: None, rules: Rules::default(), diff: Diff::default() }
    }
}

/// The name of the implied route of every dependency.
pub const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::parse_deployment;

    #[test]
    fn a_running_process_adopts_all_but_what_needs_a_restart() {
        let read = |source: &str| parse_deployment(source, Path::new("crossfade.toml")).expect("valid");
        let rest = "dependency.a.v2.url = \"http://a\"\n";
        let running = read(&format!("listen = [\"127.0.0.1:1\"]\n{rest}"));
        let new = read(&format!("listen = [\"127.0.0.1:2\"]\nworkers = 2\nresponse_headers = false\n{rest}"));
        let (adopted, kept) = new.adopted_by(&running);
        assert_eq!(kept, ["listen", "workers"]);
        assert_eq!((&adopted.listen, adopted.response_headers), (&running.listen, false));
        assert_eq!(adopted.dependency("a").map(|(index, _)| index), Some(0));
    }
}
