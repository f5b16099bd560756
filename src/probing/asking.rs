//! What to ask: as wished, and what becomes of a wish under the configuration.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::config::{Dependency, DependencyMatch, Route};

/// Most paths of one probe.
const MOST_PATHS: usize = 16;
/// Most headers of one probe.
const MOST_HEADERS: usize = 64;
/// Most requests for each path.
const MOST_COUNT: u32 = 100;
/// What a probe sends or leaves out by itself.
const OF_CONNECTIONS: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING, UPGRADE];
/// Longest time for one request.
const LONGEST: Duration = Duration::from_secs(60);

/// What somebody wants to probe; the body of `POST /api/v1/dependencies/NAME/probe`. Everything has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// Paths with queries, as consumers send them; none: those that the routes spell out.
    pub paths: Vec<String>,
    /// Headers as consumers send them, as `name: value`.
    pub headers: Vec<String>,
    /// The method; a safe one, unless `writes`.
    pub method: String,
    /// Whether the method may be one that changes something.
    pub writes: bool,
    /// Which backends.
    pub backends: Vec<Backend>,
    /// Requests for each path.
    pub count: u32,
    /// Longest time for a whole answer, in seconds; absent: the backend's `timeout`.
    pub timeout_s: Option<f64>,
    /// Who wants to know.
    pub by: Option<String>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            headers: Vec::new(),
            method: "GET".to_owned(),
            writes: false,
            backends: vec![Backend::V2],
            count: 1,
            timeout_s: None,
            by: None,
        }
    }
}

/// Why a wish makes no sense. Never holds the value of a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WishError(String);

/// A wish that makes sense for one dependency.
#[derive(Debug, Clone)]
pub struct Asking {
    pub(super) targets: Vec<Target>,
    /// Routes with names in their paths, which nobody spelt out.
    pub(super) unasked: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) method: Method,
    pub(super) backends: Vec<Backend>,
    pub(super) count: u32,
    pub(super) timeout: Option<Duration>,
}

/// One path to ask for.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: PathAndQuery,
    /// Index into the routes of the dependency.
    pub(super) route: usize,
    /// Asked for only because something has to be asked: its answer is not held against the rules.
    pub(super) is_makeshift: bool,
}

impl Asking {
    /// Holds a wish against the dependency that it is for.
    ///
    /// # Errors
    /// Says what makes no sense, and what would.
    pub fn new(wish: &Wish, dependency: &Dependency) -> Result<Self, WishError> {
        let method = method(wish)?;
        let headers = headers(&wish.headers)?;
        let paths = wish.paths.iter().map(|path| path_of(path, dependency)).collect::<Result<Vec<_>, _>>()?;
        at_most("paths", paths.len(), MOST_PATHS)?;
        if !(1..=MOST_COUNT).contains(&wish.count) {
            return Err(WishError(format!("count: between 1 and {MOST_COUNT}")));
        }
        let mut backends = wish.backends.clone();
        backends.dedup();
        if backends.is_empty() || backends.len() > Backend::ALL.len() {
            return Err(WishError("backends: v1, v2, or both".to_owned()));
        }
        if backends.contains(&Backend::V1) && dependency.v1.is_none() {
            return Err(WishError(format!("`dependency.{}` has no `v1` any more", dependency.name)));
        }
        let (targets, unasked) = if paths.is_empty() {
            default_targets(dependency, &method)
        } else {
            (paths.into_iter().map(|path| target(path, dependency, &method)).collect(), Vec::new())
        };
        let timeout = wish.timeout_s.map(timeout).transpose()?;
        Ok(Self { targets, unasked, headers, method, backends, count: wish.count, timeout })
    }
}

fn method(wish: &Wish) -> Result<Method, WishError> {
    let method: Method =
        wish.method.parse().map_err(|_| WishError(format!("`{}` is no method", wish.method.escape_debug())))?;
    if !(method.is_safe() || wish.writes) {
        return Err(WishError(format!("{method} may change something at the backend: say --writes if it may")));
    }
    if method == Method::CONNECT {
        return Err(WishError("CONNECT asks for a tunnel, and nothing can be scored in it".to_owned()));
    }
    Ok(method)
}

fn headers(lines: &[String]) -> Result<HeaderMap, WishError> {
    at_most("headers", lines.len(), MOST_HEADERS)?;
    let mut headers = HeaderMap::new();
    for (at, line) in lines.iter().enumerate() {
        // The line is not repeated, since its value may be a secret.
        let wrong = |what: &str| WishError(format!("header {}: {what}; write 'name: value'", at + 1));
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("there is no colon"))?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong("what stands before the colon is no name"))?;
        if OF_CONNECTIONS.contains(&name) {
            return Err(wrong("it would concern the connection or the body, which are not the probe's to choose"));
        }
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong("what follows the colon is no value"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn path_of(text: &str, dependency: &Dependency) -> Result<PathAndQuery, WishError> {
    let shown = text.escape_debug();
    let parsed = text.parse::<PathAndQuery>().ok().filter(|_| text.starts_with('/') && !text.contains('#'));
    let path =
        parsed.ok_or_else(|| WishError(format!("`{shown}` is no path: write one such as /recommendations/1")))?;
    // Consumers choose the dependency by host as well, which a probe has chosen already.
    let below = DependencyMatch { host: None, ..dependency.matches.clone() };
    if !below.matches(None, path.path()) {
        let prefix = below.path_prefix.unwrap_or_default();
        let name = &dependency.name;
        return Err(WishError(format!("`{shown}` is no request for {name}, whose paths begin with {prefix}")));
    }
    Ok(path)
}

fn timeout(seconds: f64) -> Result<Duration, WishError> {
    let timeout = Duration::try_from_secs_f64(seconds).ok();
    let in_range = timeout.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST);
    in_range.ok_or_else(|| WishError(format!("timeout: above 0 and up to {} s", LONGEST.as_secs())))
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), WishError> {
    if count > most { Err(WishError(format!("at most {most} {what} at once"))) } else { Ok(()) }
}

fn target(path: PathAndQuery, dependency: &Dependency, method: &Method) -> Target {
    let route = dependency.routes.iter().position(|route| route.matches(path.path(), method).is_some());
    // The last route matches everything.
    let route = route.unwrap_or(dependency.routes.len().saturating_sub(1));
    Target { path, route, is_makeshift: false }
}

/// The paths that the routes spell out, and the routes that need one; something to ask for in any case.
fn default_targets(dependency: &Dependency, method: &Method) -> (Vec<Target>, Vec<(String, String)>) {
    let asked = |route: &&Route| route.methods.is_empty() || route.methods.contains(method);
    let (mut targets, mut unasked) = (Vec::new(), Vec::new());
    for (route, pattern) in dependency.routes.iter().filter(asked).filter_map(|it| Some((it, it.path.as_ref()?))) {
        match pattern.literal().and_then(|path| path.parse().ok()) {
            Some(path) if targets.len() < MOST_PATHS => targets.push(target(path, dependency, method)),
            _ => unasked.push((route.name.clone(), pattern.to_string())),
        }
    }
    if targets.is_empty() {
        let path = dependency.matches.path_prefix.as_deref().unwrap_or("/");
        let path = path.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"));
        targets.push(Target { is_makeshift: !unasked.is_empty(), ..target(path, dependency, method) });
    }
    (targets, unasked)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::parse_deployment;

    fn dependency(routes: &str) -> Arc<Dependency> {
        let source = format!(
            "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nmatch = {{ path_prefix = \"/a\" }}\nv2.url = \"http://b\"\n{routes}"
        );
        let deployment = parse_deployment(&source, Path::new("crossfade.toml")).expect("valid");
        Arc::clone(&deployment.dependencies[0])
    }

    const ROUTES: &str = "route = [{ name = \"list\", match = { path = \"/a/list\" } }, \
                          { name = \"one\", match = { path = \"/a/{id}\" } }, \
                          { name = \"write\", match = { path = \"/a/write\", methods = [\"POST\"] } }]";

    fn asked(wish: &Wish, routes: &str) -> Result<Vec<(String, usize, bool)>, String> {
        let asking = Asking::new(wish, &dependency(routes)).map_err(|error| error.to_string())?;
        Ok(asking.targets.iter().map(|it| (it.path.to_string(), it.route, it.is_makeshift)).collect())
    }

    #[test]
    fn by_default_the_paths_that_routes_spell_out_are_asked_for() {
        assert_eq!(asked(&Wish::default(), ROUTES), Ok(vec![("/a/list".to_owned(), 0, false)]));
        let asking = Asking::new(&Wish::default(), &dependency(ROUTES)).expect("valid");
        assert_eq!(asking.unasked, [("one".to_owned(), "/a/{id}".to_owned())]);
        assert_eq!(asked(&Wish::default(), ""), Ok(vec![("/a".to_owned(), 0, false)]));
        let only_names = "route = [{ name = \"one\", match = { path = \"/a/{id}\" } }]";
        assert_eq!(asked(&Wish::default(), only_names), Ok(vec![("/a".to_owned(), 1, true)]));
    }

    #[test]
    fn a_path_is_scored_by_the_route_that_real_traffic_takes() {
        let wish = Wish { paths: vec!["/a/7?q=1".to_owned(), "/a/b/c".to_owned()], ..Wish::default() };
        let expected = vec![("/a/7?q=1".to_owned(), 1, false), ("/a/b/c".to_owned(), 3, false)];
        assert_eq!(asked(&wish, ROUTES), Ok(expected));
    }

    #[test]
    fn a_wish_that_makes_no_sense_is_told_so_without_its_values() {
        let wish = Wish::default;
        let table = [
            (Wish { paths: vec!["a".to_owned()], ..wish() }, "is no path"),
            (Wish { paths: vec!["/b".to_owned()], ..wish() }, "begin with /a"),
            (Wish { paths: vec!["/a".to_owned(); 17], ..wish() }, "at most 16 paths"),
            (Wish { method: "POST".to_owned(), ..wish() }, "--writes"),
            (Wish { method: "A B".to_owned(), ..wish() }, "is no method"),
            (Wish { headers: vec!["s3cret".to_owned()], ..wish() }, "no colon"),
            (Wish { headers: vec!["x y: s3cret".to_owned()], ..wish() }, "is no name"),
            (Wish { headers: vec!["x: s3cret\n".repeat(2)], ..wish() }, "is no value"),
            (Wish { headers: vec!["content-length: 5".to_owned()], ..wish() }, "concern the connection"),
            (Wish { count: 0, ..wish() }, "between 1 and 100"),
            (Wish { timeout_s: Some(f64::NAN), ..wish() }, "above 0"),
            (Wish { timeout_s: Some(1e300), ..wish() }, "above 0"),
            (Wish { backends: vec![], ..wish() }, "v1, v2"),
            (Wish { backends: vec![Backend::V1], ..wish() }, "no `v1`"),
        ];
        for (wish, said) in table {
            let error = asked(&wish, ROUTES).expect_err(said);
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
    }
}
