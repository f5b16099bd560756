//! One backend: where it is, how long it may take, and how requests are rewritten for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Uri};
use rustls::pki_types::ServerName;

use super::super::deployment::{BackendSpec, Endpoint, HeaderSource, HostPolicy, Protocol, RequestMapping};
use super::super::template::PathTemplate;
use super::super::tls::EndpointTls;
use super::deployment::secret;
use super::headers::{self, header_name};
use super::jq;
use super::mapping;
use super::resilience;
use super::table::Table;
use super::tls;
use super::value::Value;
use crate::score::Mapping;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(5);
const EXAMPLE: &str = "a table such as { url = \"http://127.0.0.1:7001\" }";
const URL_EXAMPLE: &str = "write http://HOST:PORT or https://HOST:PORT, and a path if one stands before all paths";

/// What a backend takes from its surroundings.
pub(super) struct Defaults<'p> {
    /// Folder of the file, for the files that it names.
    pub(super) folder: &'p Path,
    /// The limit of the same name.
    pub(super) idle_timeout: Duration,
}

/// V1's settings. Its answers are what consumers expect.
pub(super) fn v1(value: &Value<'_>, defaults: &Defaults<'_>) -> Option<BackendSpec> {
    read(value, defaults, |response| {
        response.key_error("has no effect: answers of V1 are what consumers expect", Some("remove it".to_owned()));
        None
    })
}

/// V2's settings.
pub(super) fn v2(value: &Value<'_>, defaults: &Defaults<'_>) -> Option<BackendSpec> {
    read(value, defaults, mapping::response)
}

fn read(
    value: &Value<'_>,
    defaults: &Defaults<'_>,
    response: fn(&Value<'_>) -> Option<Arc<Mapping>>,
) -> Option<BackendSpec> {
    let mut table = value.table_like(EXAMPLE)?;
    let spec = BackendSpec {
        endpoints: endpoints(&mut table, defaults.folder),
        host: table.get("host", host_policy).unwrap_or_default(),
        connect_timeout: table.duration("connect_timeout", CONNECT_TIMEOUT),
        timeout: table.duration("timeout", TIMEOUT),
        idle_timeout: table.duration("idle_timeout", defaults.idle_timeout),
        health: table.get("health", resilience::health),
        retry: table.get("retry", resilience::retry),
        request: table.get("request", Value::table).map(|table| request(table, defaults)).unwrap_or_default(),
        response: table.get("response", response),
    };
    if spec.connect_timeout > spec.timeout {
        table.warn(
            "`connect_timeout` is longer than `timeout`, and can never be reached",
            "make it shorter than `timeout`",
        );
    }
    if spec.retry.as_ref().and_then(|retry| retry.try_timeout).is_some_and(|longest| longest >= spec.timeout) {
        table.warn("`try_timeout` of `retry` is not shorter than `timeout`, and has no effect", "make it shorter");
    }
    table.finish();
    Some(spec)
}

fn host_policy(value: &Value<'_>) -> Option<HostPolicy> {
    value.word(&[("preserve", HostPolicy::Preserve), ("endpoint", HostPolicy::Endpoint)])
}

fn endpoints(table: &mut Table<'_>, folder: &Path) -> Vec<Endpoint> {
    let protocol = table.get("protocol", protocol).unwrap_or_default();
    let tls = table.take("tls");
    let (urls, mut written) = match (table.take("url"), table.take("urls")) {
        (Some(url), None) => (Some(url.clone()), endpoint(&url).into_iter().collect()),
        (None, Some(urls)) => (Some(urls.clone()), several(&urls)),
        (Some(_), Some(urls)) => {
            urls.key_error("stands beside `url`", Some("write one of the two".to_owned()));
            (None, Vec::new())
        }
        (None, None) => {
            table.missing("`url` is missing", "url = \"http://127.0.0.1:7001\"");
            (None, Vec::new())
        }
    };
    if let Some(urls) = urls.filter(|_| !written.is_empty()) {
        encrypt(&mut written, &urls, tls.as_ref(), protocol, folder);
    }
    let finish = |written: Written| Endpoint { protocol, ..written.endpoint };
    written.into_iter().map(finish).collect()
}

fn protocol(value: &Value<'_>) -> Option<Protocol> {
    value.word(&[("auto", Protocol::Auto), ("http1", Protocol::Http1), ("http2", Protocol::Http2)])
}

/// Gives TLS to the https endpoints.
fn encrypt(written: &mut [Written], urls: &Value<'_>, tls: Option<&Value<'_>>, protocol: Protocol, folder: &Path) {
    if !written.iter().any(|written| written.https) {
        if let Some(tls) = tls {
            tls.key_error("has no effect on http", Some("write https in the URL, or remove it".to_owned()));
        }
        return;
    }
    let Some(client) = tls::client(tls, urls, protocol, folder) else { return };
    for Written { https, endpoint } in written {
        let own = || ServerName::try_from(endpoint.host.clone()).ok();
        let Some(server_name) = client.server_name.clone().or_else(own) else {
            let what = format!("`{}` is no name that a certificate can be for", endpoint.host);
            urls.error(what, "write tls = { server_name = \"NAME\" }");
            continue;
        };
        endpoint.tls = https.then(|| EndpointTls { server_name, client: client.tls.clone() });
    }
}

/// An endpoint, and whether it is to be encrypted.
#[derive(Clone, PartialEq)]
struct Written {
    https: bool,
    endpoint: Endpoint,
}

fn several(urls: &Value<'_>) -> Vec<Written> {
    let mut read: Vec<Written> = Vec::new();
    let endpoints = urls.some("a list such as [\"http://127.0.0.1:7001\"]", "no endpoint", |item| {
        let endpoint = endpoint(item)?;
        if read.contains(&endpoint) {
            item.error("the same endpoint twice", "remove one of them");
        }
        read.push(endpoint.clone());
        Some(endpoint)
    });
    endpoints.unwrap_or_default()
}

fn endpoint(value: &Value<'_>) -> Option<Written> {
    if value.is_array() {
        value.error("several endpoints in `url`", "write `urls`");
        return None;
    }
    value.parsed("a URL such as \"http://127.0.0.1:7001\"", URL_EXAMPLE, parse_endpoint)
}

fn parse_endpoint(text: &str) -> Result<Written, String> {
    let quoted = text.escape_debug();
    let uri: Uri = text.parse().map_err(|error| format!("`{quoted}` is no URL: {error}"))?;
    let https = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) => return Err(format!("`{}` is no scheme to speak HTTP by", scheme.as_str().escape_debug())),
        None => return Err(format!("`{quoted}` has no scheme")),
    };
    let authority = uri.authority().ok_or_else(|| format!("`{quoted}` has no host"))?.clone();
    if authority.as_str().contains('@') {
        return Err("a user or password in a URL ends up in logs".to_owned());
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(format!("`{quoted}` has a query or a fragment"));
    }
    let port = port_of(authority.as_str(), authority.host(), if https { 443 } else { 80 });
    let port = port.ok_or_else(|| format!("`{quoted}` has no valid port"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(format!("`{quoted}` has no host"));
    }
    let base_path = uri.path().trim_end_matches('/').to_owned();
    let endpoint = Endpoint { authority, host, port, base_path, tls: None, protocol: Protocol::default() };
    Ok(Written { https, endpoint })
}

/// What follows the host; the scheme's own when nothing does. `Authority::port` would pass over a port that is out of range.
fn port_of(authority: &str, host: &str, default: u16) -> Option<u16> {
    match authority.strip_prefix(host)? {
        "" => Some(default),
        rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0),
    }
}

fn request(mut table: Table<'_>, defaults: &Defaults<'_>) -> RequestMapping {
    let mapping = RequestMapping {
        path: table.get("path", template),
        set: table.get("set", |value| set(value, defaults)).unwrap_or_default(),
        remove: table.get("remove", remove).unwrap_or_default(),
        body: table.get("body", jq::program),
    };
    table.finish();
    mapping
}

fn template(value: &Value<'_>) -> Option<PathTemplate> {
    const HELP: &str =
        "write a path such as \"/v2{path}\"; {path}, {query} and the names in the route's path are filled in";
    value.parsed("a path such as \"/v2{path}\"", HELP, PathTemplate::parse)
}

fn remove(value: &Value<'_>) -> Option<Vec<HeaderName>> {
    value.list("a list of header names, such as [\"cookie\"]", |item| header_name(item, item.str()?))
}

fn set(value: &Value<'_>, defaults: &Defaults<'_>) -> Option<Vec<(HeaderName, HeaderSource)>> {
    let table = value.table_like("a table such as { \"x-api-key\" = \"...\" }")?;
    Some(headers::read(table, |name, entry| Some((name, source(entry, defaults)?))))
}

fn source(entry: &Value<'_>, defaults: &Defaults<'_>) -> Option<HeaderSource> {
    if entry.is_str() {
        let value = entry.parsed("", "write visible characters only", |text| {
            HeaderValue::from_str(text).map_err(|_| "no header value")
        })?;
        return Some(HeaderSource::Literal(value));
    }
    let mut table = entry.table_like("a string, or { file = \"PATH\" }")?;
    let file = table.required("file", "{ file = \"PATH\" }");
    table.finish();
    let file = file?;
    let (path, bytes) = secret(&file, defaults.folder)?;
    let Ok(mut value) = HeaderValue::from_bytes(&bytes) else {
        file.error(
            format_args!("{} holds what no header may hold", path.display()),
            "put one line of visible characters into it",
        );
        return None;
    };
    value.set_sensitive(true);
    Some(HeaderSource::File { path, value })
}
