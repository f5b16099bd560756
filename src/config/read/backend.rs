//! One backend: where it is, how long it may take, and how requests are rewritten for it.

use std::path::Path;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Uri};

use super::super::deployment::{BackendSpec, Endpoint, HeaderSource, HostPolicy, RequestMapping};
use super::super::template::PathTemplate;
use super::deployment::secret;
use super::headers::{self, header_name};
use super::resilience;
use super::table::Table;
use super::value::Value;

/// Keys of the contract that this version does not act on.
const UNSUPPORTED: [&str; 2] = ["tls", "health"];
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(5);
const EXAMPLE: &str = "a table such as { url = \"http://127.0.0.1:7001\" }";
const URL_EXAMPLE: &str = "write http://HOST:PORT, and a path if one stands before all paths";

/// What a backend takes from its surroundings.
pub(super) struct Defaults<'p> {
    /// Folder of the file, for the files that it names.
    pub(super) folder: &'p Path,
    /// The limit of the same name.
    pub(super) idle_timeout: Duration,
}

pub(super) fn read(value: &Value<'_>, defaults: &Defaults<'_>) -> Option<BackendSpec> {
    let mut table = value.table_like(EXAMPLE)?;
    table.unsupported(&UNSUPPORTED);
    let spec = BackendSpec {
        endpoints: endpoints(&mut table),
        host: table.get("host", host_policy).unwrap_or_default(),
        connect_timeout: table.duration("connect_timeout", CONNECT_TIMEOUT),
        timeout: table.duration("timeout", TIMEOUT),
        idle_timeout: table.duration("idle_timeout", defaults.idle_timeout),
        retry: table.get("retry", resilience::retry),
        request: table.get("request", Value::table).map(|table| request(table, defaults)).unwrap_or_default(),
    };
    unsupported_inside(&mut table, "response", &["map", "body"]);
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

/// Takes a table all of whose keys belong to a later version.
fn unsupported_inside(table: &mut Table<'_>, key: &'static str, keys: &[&str]) {
    if let Some(mut inner) = table.get(key, Value::table) {
        inner.unsupported(keys);
        inner.finish();
    }
}

fn host_policy(value: &Value<'_>) -> Option<HostPolicy> {
    value.word(&[("preserve", HostPolicy::Preserve), ("endpoint", HostPolicy::Endpoint)])
}

fn endpoints(table: &mut Table<'_>) -> Vec<Endpoint> {
    match (table.take("url"), table.take("urls")) {
        (Some(url), None) => endpoint(&url).into_iter().collect(),
        (None, Some(urls)) => several(&urls),
        (Some(_), Some(urls)) => {
            urls.key_error("stands beside `url`", Some("write one of the two".to_owned()));
            Vec::new()
        }
        (None, None) => {
            table.missing("`url` is missing", "url = \"http://127.0.0.1:7001\"");
            Vec::new()
        }
    }
}

fn several(urls: &Value<'_>) -> Vec<Endpoint> {
    let mut read: Vec<Endpoint> = Vec::new();
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

fn endpoint(value: &Value<'_>) -> Option<Endpoint> {
    if value.is_array() {
        value.error("several endpoints in `url`", "write `urls`");
        return None;
    }
    value.parsed("a URL such as \"http://127.0.0.1:7001\"", URL_EXAMPLE, parse_endpoint)
}

fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    let quoted = text.escape_debug();
    let uri: Uri = text.parse().map_err(|error| format!("`{quoted}` is no URL: {error}"))?;
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(scheme) if *scheme == Scheme::HTTPS => {
            return Err("an https URL is not supported by this version of crossfade".to_owned());
        }
        _ => return Err(format!("`{quoted}` has no scheme")),
    }
    let authority = uri.authority().ok_or_else(|| format!("`{quoted}` has no host"))?.clone();
    if authority.as_str().contains('@') {
        return Err("a user or password in a URL ends up in logs".to_owned());
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(format!("`{quoted}` has a query or a fragment"));
    }
    let port = port_of(authority.as_str(), authority.host()).ok_or_else(|| format!("`{quoted}` has no valid port"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(format!("`{quoted}` has no host"));
    }
    let base_path = uri.path().trim_end_matches('/').to_owned();
    Ok(Endpoint { authority, host, port, base_path })
}

/// What follows the host; 80 when nothing does. `Authority::port` would pass over a port that is out of range.
fn port_of(authority: &str, host: &str) -> Option<u16> {
    match authority.strip_prefix(host)? {
        "" => Some(80),
        rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0),
    }
}

fn request(mut table: Table<'_>, defaults: &Defaults<'_>) -> RequestMapping {
    table.unsupported(&["body"]);
    let mapping = RequestMapping {
        path: table.get("path", template),
        set: table.get("set", |value| set(value, defaults)).unwrap_or_default(),
        remove: table.get("remove", remove).unwrap_or_default(),
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
