//! The top of `crossfade.toml`, and its dependencies.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::deployment::{Dependency, DependencyMatch, Deployment, Limits};
use super::super::forwarded::{Forwarded, ForwardedStyle, Network};
use super::super::study::Diff;
use super::super::tls::ServerTls;
use super::super::token::Token;
use super::backend::{self, Defaults};
use super::fit::Surroundings;
use super::route;
use super::study;
use super::table::Table;
use super::tls;
use super::value::Value;

/// Where the admin port listens when nobody says otherwise: what the command line's `--admin` expects.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8081);
/// Keys of the contract that this version does not act on.
const UNSUPPORTED: [&str; 1] = ["fleet"];
/// Least room for a head: what clients and servers commonly count on.
const LEAST_HEADER_BYTES: usize = 8 << 10;
/// Names that mean something else in `rollout.toml` and in the label `dependency`.
const RESERVED: [&str; 2] = ["change", "none"];

pub(super) fn read(mut root: Table<'_>, folder: &Path) -> Deployment {
    root.unsupported(&UNSUPPORTED);
    let Listening { listen, listen_tls, tls } = listening(&mut root, folder);
    let (admin, token) = admin(&mut root, &[&listen[..], &listen_tls].concat(), folder);
    let limits = root.get("limits", Value::table).map_or_else(Limits::default, limits);
    let deployment = Deployment {
        listen,
        listen_tls,
        tls,
        admin,
        token_file: token.as_ref().map(|(path, _)| path.clone()),
        token: token.map(|(_, token)| token),
        rollout: root.get("rollout", |value| path(value, folder)).unwrap_or_else(|| folder.join("rollout.toml")),
        data_dir: root.get("data_dir", |value| path(value, folder)).unwrap_or_else(|| folder.join("data")),
        workers: root.count("workers", 0, 0),
        forwarded: root.get("forwarded", Value::table).map(forwarded).unwrap_or_default(),
        startup_probe: root.get("startup", Value::table).is_some_and(startup_probe),
        response_headers: root.bool("response_headers", true),
        study: root.get("study", Value::table).map(study::study).unwrap_or_default(),
        dependencies: dependencies(&mut root, folder, &limits),
        limits,
    };
    root.finish();
    deployment
}

/// Where consumers connect, and what they are shown there.
struct Listening {
    listen: Vec<SocketAddr>,
    listen_tls: Vec<SocketAddr>,
    tls: Option<ServerTls>,
}

fn listening(root: &mut Table<'_>, folder: &Path) -> Listening {
    let mut seen = HashSet::new();
    let (cleartext, encrypted, tls) = (root.take("listen"), root.take("listen_tls"), root.take("tls"));
    if cleartext.is_none() && encrypted.is_none() {
        root.missing("`listen` is missing", "listen = [\"127.0.0.1:8080\"], or listen_tls = [...] with [tls]");
    }
    if let (Some(encrypted), None) = (&encrypted, &tls) {
        encrypted.key_error("needs a certificate", Some("add [tls] with cert and key".to_owned()));
    }
    if let (None, Some(tls)) = (&encrypted, &tls) {
        tls.key_warn("has no effect without `listen_tls`", "add listen_tls = [\"127.0.0.1:8443\"], or remove it");
    }
    Listening {
        listen: cleartext.map(|value| addresses(&value, &mut seen)).unwrap_or_default(),
        listen_tls: encrypted.map(|value| addresses(&value, &mut seen)).unwrap_or_default(),
        tls: tls.and_then(|value| tls::server(value.table()?, folder)),
    }
}

fn addresses(value: &Value<'_>, seen: &mut HashSet<SocketAddr>) -> Vec<SocketAddr> {
    let addresses = value.some("a list such as [\"127.0.0.1:8080\"]", "no address to listen on", |item| {
        let address = address(item)?;
        if address.port() != 0 && !seen.insert(address) {
            item.error("the same address twice", "remove one of them");
        }
        Some(address)
    });
    addresses.unwrap_or_default()
}

fn address(value: &Value<'_>) -> Option<SocketAddr> {
    value.parsed(
        "an address such as \"127.0.0.1:8080\"",
        "write IP address and port, such as \"0.0.0.0:8080\"",
        |text| text.parse().map_err(|_| format!("`{}` is no address with a port", text.escape_debug())),
    )
}

/// Address and token of the admin port.
fn admin(root: &mut Table<'_>, listen: &[SocketAddr], folder: &Path) -> (SocketAddr, Option<(PathBuf, Token)>) {
    let value = root.take("admin");
    let auth = root.take("admin_auth");
    let token = auth.as_ref().and_then(|auth| token(auth.table()?, folder));
    let address = value.as_ref().and_then(address);
    if let (Some(value), Some(address)) = (value, address) {
        if address.port() != 0 && listen.contains(&address) {
            value.error("consumers are served on this address", "give the admin port an address of its own");
        }
        if !address.ip().is_loopback() && auth.is_none() {
            value.error(
                "reachable from other machines, but without a token",
                "add [admin_auth] with token_file = \"admin.token\", or listen on 127.0.0.1",
            );
        }
    }
    (address.unwrap_or(ADMIN), token)
}

fn token(mut auth: Table<'_>, folder: &Path) -> Option<(PathBuf, Token)> {
    let file = auth.required("token_file", "token_file = \"admin.token\"");
    auth.finish();
    secret(&file?, folder).map(|(path, secret)| (path, Token::new(secret)))
}

/// `probe` of `[startup]`.
fn startup_probe(mut table: Table<'_>) -> bool {
    let probe = table.bool("probe", false);
    table.finish();
    probe
}

/// `trust` and `headers` of `[forwarded]`.
fn forwarded(mut table: Table<'_>) -> Forwarded {
    const STYLES: [(&str, ForwardedStyle); 4] = [
        ("x-forwarded", ForwardedStyle::XForwarded),
        ("forwarded", ForwardedStyle::Forwarded),
        ("both", ForwardedStyle::Both),
        ("off", ForwardedStyle::Off),
    ];
    let trust = table.get("trust", |value| value.list("a list such as [\"10.0.0.0/8\"]", network));
    let style = table.get("headers", |value| value.word(&STYLES));
    table.finish();
    Forwarded { trust: trust.unwrap_or_default(), style: style.unwrap_or_default() }
}

fn network(value: &Value<'_>) -> Option<Network> {
    value.parsed(
        "a range of addresses such as \"10.0.0.0/8\"",
        "write an address, and how many of its bits count: \"10.0.0.0/8\"",
        |text| text.parse::<Network>().map_err(|error| format!("`{}` is {error}", text.escape_debug())),
    )
}

fn limits(mut table: Table<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        max_connections: table.count("max_connections", 1, default.max_connections),
        max_in_flight: table.count("max_in_flight", 1, default.max_in_flight),
        max_streams: table.count("max_streams", 1, default.max_streams),
        header_bytes: table.get("header_bytes", header_bytes).unwrap_or(default.header_bytes),
        header_timeout: table.duration("header_timeout", default.header_timeout),
        idle_timeout: table.duration("idle_timeout", default.idle_timeout),
        drain_timeout: table.get("drain_timeout", Value::duration_or_zero).unwrap_or(default.drain_timeout),
        shadow_in_flight: table.count("shadow_in_flight", 1, default.shadow_in_flight),
        shadow_memory: table.size("shadow_memory", default.shadow_memory),
        shadow_backlog: table.size("shadow_backlog", default.shadow_backlog),
        score_body: table.size("score_body", default.score_body),
        rule_timeout: table.duration("rule_timeout", default.rule_timeout),
        map_memory: table.size("map_memory", default.map_memory),
    };
    if limits.shadow_memory < limits.shadow_backlog.max(limits.score_body) {
        table.warn(
            "`shadow_memory` holds less than a single `shadow_backlog` or `score_body`",
            "raise it: it is for all shadows together",
        );
    }
    table.finish();
    limits
}

fn header_bytes(value: &Value<'_>) -> Option<usize> {
    let size = value.size()?;
    if size < LEAST_HEADER_BYTES {
        value.error("too small for the heads of ordinary requests", "write at least \"8KiB\"");
    }
    Some(size)
}

/// A path, relative to the folder of the file that names it.
pub(super) fn path(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    let text = value.str_like("a path")?;
    if text.is_empty() || text.contains('\0') {
        value.error("no path", "write the path of a file, relative to this one");
        return None;
    }
    Some(folder.join(text))
}

/// Largest secret, in bytes: more does not fit into a header that servers accept.
const MAX_SECRET: u64 = 8 << 10;

/// The path and content of a file with a secret, without the trailing line end. Problems name the file and the reason,
/// never the content.
pub(super) fn secret(value: &Value<'_>, folder: &Path) -> Option<(PathBuf, Vec<u8>)> {
    let path = path(value, folder)?;
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut bytes));
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    bytes.truncate(end);
    let wrong = match read {
        Err(error) => error.to_string(),
        Ok(_) if bytes.is_empty() => "it is empty".to_owned(),
        Ok(length) if length as u64 > MAX_SECRET => "it is larger than 8 KiB".to_owned(),
        Ok(_) => return Some((path, bytes)),
    };
    value.error(format_args!("{} cannot be used: {wrong}", path.display()), "name a file that the proxy may read");
    None
}

fn dependencies(root: &mut Table<'_>, folder: &Path, limits: &Limits) -> Vec<Arc<Dependency>> {
    let defaults = Defaults { folder, idle_timeout: limits.idle_timeout };
    let Some(value) = root.take("dependency") else {
        root.warn("no dependency: every request is answered with 404", "add [dependency.NAME] with v1 and v2");
        return Vec::new();
    };
    let entries = value.table_like("tables such as [dependency.NAME]").map(Table::drain);
    let mut read: Vec<Arc<Dependency>> = Vec::new();
    for entry in entries.unwrap_or_default() {
        let Some(dependency) = dependency(&entry, &defaults) else {
            continue;
        };
        if let Some(twin) = read.iter().find(|other| other.matches == dependency.matches) {
            let what = format!("matches the same requests as `{}`", twin.name);
            entry.key_error(&what, Some("give each a `match` of its own: host, path_prefix or both".to_owned()));
        }
        read.push(Arc::new(dependency));
    }
    read
}

fn dependency(entry: &Value<'_>, defaults: &Defaults<'_>) -> Option<Dependency> {
    let name = name(entry);
    let mut table = entry.table()?;
    let matches = table.get("match", Value::table).map(matches).unwrap_or_default();
    let v1 = table.take("v1").and_then(|value| backend::v1(&value, defaults));
    let v2 = table.required("v2", "v2 = { url = \"http://127.0.0.1:7002\" }");
    let v2 = v2.and_then(|value| backend::v2(&value, defaults));
    let surroundings = Surroundings { matches: &matches, backends: v1.iter().chain(&v2).collect() };
    let diff = table.get("diff", Value::table).map(|table| study::diff(table, &Diff::default())).unwrap_or_default();
    let routes = route::read_all(&mut table, &surroundings, &diff);
    table.finish();
    Some(Dependency { name: name?.to_owned(), matches, v1, v2: v2?, routes })
}

/// The key of a table, if it can be a name.
fn name<'a>(entry: &Value<'a>) -> Option<&'a str> {
    let name = entry.key();
    check_name(name, &RESERVED)
        .map_err(|what| entry.key_error(&format!("is {what}"), Some("choose another name".to_owned())))
        .ok()?;
    Some(name)
}

/// Whether a name can be a label and a part of a URL, and means nothing else; else what is wrong with it.
pub(super) fn check_name(name: &str, reserved: &[&str]) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if reserved.contains(&name) {
        Err("a reserved name")
    } else if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        Err("no name of 1 to 63 characters from A-Z a-z 0-9 - _ .")
    } else {
        Ok(())
    }
}

fn matches(mut table: Table<'_>) -> DependencyMatch {
    let matches = DependencyMatch { host: table.get("host", host), path_prefix: table.get("path_prefix", path_prefix) };
    table.finish();
    matches
}

fn host(value: &Value<'_>) -> Option<String> {
    let text = value.str()?;
    let authority = text.parse::<http::uri::Authority>().ok();
    let plain = authority.is_some_and(|authority| authority.host() == text);
    if !plain {
        value.error(
            format_args!("`{}` is no host", text.escape_debug()),
            "write the name alone, without scheme, port or path: \"api.internal\"",
        );
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// Without a trailing slash; `None` also for `/`, which is no condition.
fn path_prefix(value: &Value<'_>) -> Option<String> {
    let text = value.str_like("a path such as \"/recommendations\"")?;
    if let Err(error) = super::super::pattern::check_path(text) {
        value.error(error, "write whole segments, such as \"/recommendations\"");
        return None;
    }
    let prefix = text.trim_end_matches('/');
    (!prefix.is_empty()).then(|| prefix.to_owned())
}
