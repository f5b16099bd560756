//! How the parts of a dependency fit together, once each is right by itself.

use http::Method;

use super::super::deployment::{BackendSpec, DependencyMatch, Route};
use super::super::pattern::PathPattern;
use super::super::template::PathTemplate;
use super::table::Table;
use super::value::Value;

/// What the routes of a dependency have to fit.
pub(super) struct Surroundings<'d> {
    pub(super) matches: &'d DependencyMatch,
    /// Those that could be read.
    pub(super) backends: Vec<&'d BackendSpec>,
}

/// Reports and warns; `table` is the dependency's.
pub(super) fn check(table: &Table<'_>, routes: &[(Value<'_>, Route)], surroundings: &Surroundings<'_>) {
    for (n, (item, route)) in routes.iter().enumerate() {
        order(item, route, &routes[..n]);
        prefix(item, route, surroundings.matches);
        latency(item, route, &surroundings.backends);
    }
    let templates = surroundings.backends.iter().filter_map(|backend| backend.request.path.as_ref());
    for name in templates.flat_map(PathTemplate::names) {
        captured(table, name, routes);
    }
}

fn order(item: &Value<'_>, route: &Route, earlier: &[(Value<'_>, Route)]) {
    if let Some((_, hider)) = earlier.iter().find(|(_, other)| hides(other, &route.methods, route.path.as_ref())) {
        item.key_warn(
            &format!("never reached: route `{}` matches all of its requests first", hider.name),
            "move it up: the first route that matches is taken",
        );
    }
}

/// Whether a route takes all requests of a later one.
fn hides(earlier: &Route, methods: &[Method], path: Option<&PathPattern>) -> bool {
    let all_methods = earlier.methods.is_empty()
        || (!methods.is_empty() && methods.iter().all(|method| earlier.methods.contains(method)));
    let all_paths = match (&earlier.path, path) {
        (None, _) => true,
        (Some(earlier), Some(later)) => earlier.covers(later),
        (Some(_), None) => false,
    };
    all_methods && all_paths
}

fn prefix(item: &Value<'_>, route: &Route, matches: &DependencyMatch) {
    let (Some(path), Some(prefix)) = (&route.path, &matches.path_prefix) else {
        return;
    };
    if !path.can_be_below(prefix) {
        item.key_warn(
            &format!("never reached: its path does not lie below the dependency's path_prefix {prefix}"),
            "write the whole path of the request, prefix included",
        );
    }
}

fn latency(item: &Value<'_>, route: &Route, backends: &[&BackendSpec]) {
    let Some(longest) = backends.iter().map(|backend| backend.timeout).max() else {
        return;
    };
    if route.rules.max_latency.is_some_and(|limit| limit > longest) {
        item.key_warn(
            &format!(
                "`max_latency` is never reached: no backend may take longer than {}",
                humantime::format_duration(longest)
            ),
            "make it shorter than `timeout`, or remove it",
        );
    }
}

/// A template can use a name only where the route captures it.
fn captured(table: &Table<'_>, name: &str, routes: &[(Value<'_>, Route)]) {
    let captures = |route: &Route| route.path.as_ref().is_some_and(|path| path.captures_name(name));
    if !routes.iter().any(|(_, route)| captures(route)) {
        table.missing(
            &format!("`request.path` uses {{{name}}}, which no route captures"),
            "use {path}, {query}, or a name from a route's path",
        );
    } else if let Some((item, _)) = routes.iter().find(|(_, route)| !captures(route)) {
        item.key_warn(
            &format!("does not capture {{{name}}}, which `request.path` uses: its paths stay as they are"),
            "use {path}, or capture the name in every route",
        );
    }
}
