//! Which dependency and which route a request belongs to. Runs for every request, and allocates nothing.

use http::Method;

use super::deployment::{DependencyMatch, Deployment, Route};
use super::pattern::Captures;

/// Where a request belongs: indices into [`Deployment::dependencies`] and [`super::Dependency::routes`].
#[derive(Debug, Clone, Copy)]
pub struct Routed<'a> {
    /// Index of the dependency.
    pub dependency: usize,
    /// Index of the route within the dependency.
    pub route: usize,
    /// What the names of the route's pattern stand for.
    pub captures: Captures<'a>,
}

impl Deployment {
    /// The dependency with the most specific match (host before no host, then the longer prefix), and its first route
    /// in file order that matches. `None`: no dependency matches.
    ///
    /// `host` may carry a port, which is ignored; `path` is what was received, without query.
    pub fn route<'a>(&'a self, host: Option<&str>, path: &'a str, method: &Method) -> Option<Routed<'a>> {
        let matching = self.dependencies.iter().enumerate().filter(|(_, it)| it.matches.matches(host, path));
        // Of two equals the first one in the file wins, hence `rev`: `max_by_key` takes the last maximum.
        let (dependency, found) = matching.rev().max_by_key(|(_, it)| it.matches.specificity())?;
        let mut routes = found.routes.iter().enumerate();
        let (route, captures) = routes.find_map(|(n, route)| Some((n, route.matches(path, method)?)))?;
        Some(Routed { dependency, route, captures })
    }
}

impl DependencyMatch {
    /// Whether all conditions hold. Hosts are compared without port and case; a prefix matches whole segments only:
    /// `/a` matches `/a` and `/a/b`, not `/ab`.
    pub fn matches(&self, host: Option<&str>, path: &str) -> bool {
        let host_fits = self
            .host
            .as_deref()
            .is_none_or(|wanted| host.is_some_and(|host| without_port(host).eq_ignore_ascii_case(wanted)));
        host_fits && self.path_prefix.as_deref().is_none_or(|prefix| below(path, prefix))
    }

    /// Greater for a more specific match: host before no host, then the length of the prefix.
    pub fn specificity(&self) -> (bool, usize) {
        (self.host.is_some(), self.path_prefix.as_deref().map_or(0, str::len))
    }
}

impl Route {
    /// The captures, if method and path match.
    pub fn matches<'a>(&'a self, path: &'a str, method: &Method) -> Option<Captures<'a>> {
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return None;
        }
        match &self.path {
            Some(pattern) => pattern.matches(path),
            None => Some(Captures::NONE),
        }
    }
}

/// A host without its port; the brackets of an IPv6 address stay.
fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => &authority[..at],
        _ => authority,
    }
}

/// Whether `prefix` is made of the first segments of `path`.
fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse_deployment;

    const SOURCE: &str = r#"
        listen = ["127.0.0.1:0"]
        [dependency.all]
        v2 = { url = "http://a" }
        [dependency.short]
        match = { path_prefix = "/a" }
        v2 = { url = "http://a" }
        [dependency.long]
        match = { path_prefix = "/a/b" }
        v2 = { url = "http://a" }
        route = [
            { name = "read", match = { methods = ["GET", "HEAD"], path = "/a/b/{id}" } },
            { name = "any", match = { path = "/a/b/{id}" } },
        ]
        [dependency.hosted]
        match = { host = "API.internal", path_prefix = "/" }
        v2 = { url = "http://a" }
    "#;

    fn routed(host: Option<&str>, path: &str, method: &Method) -> (String, String) {
        let deployment = parse_deployment(SOURCE, Path::new("crossfade.toml")).expect("valid");
        let found = deployment.route(host, path, method).expect("`all` matches everything");
        let dependency = &deployment.dependencies[found.dependency];
        (dependency.name.clone(), dependency.routes[found.route].name.clone())
    }

    #[test]
    fn the_most_specific_dependency_gets_the_request() {
        for (host, path, expected) in [
            (None, "/", "all"),
            (None, "/ab", "all"),
            (None, "/a", "short"),
            (None, "/a/", "short"),
            (None, "/a/bc", "short"),
            (None, "/a/b", "long"),
            (Some("api.internal"), "/a/b", "hosted"),
            (Some("Api.Internal:8080"), "/", "hosted"),
            (Some("xapi.internal"), "/", "all"),
            (Some("[::1]:80"), "/", "all"),
        ] {
            assert_eq!(routed(host, path, &Method::GET).0, expected, "{host:?} {path}");
        }
    }

    #[test]
    fn the_first_route_that_matches_gets_the_request_and_other_the_rest() {
        for (path, method, expected) in [
            ("/a/b/1", Method::GET, "read"),
            ("/a/b/1", Method::POST, "any"),
            ("/a/b", Method::GET, "other"),
            ("/a/b/1/2", Method::GET, "other"),
        ] {
            assert_eq!(routed(None, path, &method).1, expected, "{method} {path}");
        }
    }

    #[test]
    fn a_request_that_nothing_matches_has_no_dependency() {
        let source = "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nmatch = { path_prefix = \"/a\" }\nv2 = { url = \"http://a\" }\n";
        let deployment = parse_deployment(source, Path::new("crossfade.toml")).expect("valid");
        assert!(deployment.route(None, "/b", &Method::GET).is_none());
    }
}
