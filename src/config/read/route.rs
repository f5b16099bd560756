//! The routes of a dependency, and what makes an answer rich on each.

use http::Method;

use super::super::deployment::{BackendSpec, OTHER, Route};
use super::super::pattern::PathPattern;
use super::deployment::named;
use super::headers;
use super::table::Table;
use super::value::Value;
use crate::score::{Exclude, Pointer, Rules};

/// The routes in file order, and the implied last one. The templates of both backends are checked against their names.
pub(super) fn read_all(table: &mut Table<'_>, backends: [Option<&BackendSpec>; 2]) -> Vec<Route> {
    let items = table.get("route", |value| value.items("tables such as [[dependency.NAME.route]]"));
    let mut routes: Vec<Route> = Vec::new();
    for item in items.unwrap_or_default() {
        if let Some(route) = route(&item, &routes) {
            routes.push(route);
        }
    }
    templates_fit(table, &routes, backends);
    routes.push(other());
    routes
}

/// The implied route of every dependency.
fn other() -> Route {
    Route {
        name: OTHER.to_owned(),
        methods: Vec::new(),
        path: None,
        rules: Rules::default(),
    }
}

fn route(item: &Value<'_>, earlier: &[Route]) -> Option<Route> {
    let mut table = item.table()?;
    let name = table.required("name", "name = \"list\"");
    let name = name.and_then(|value| name_of(&value, earlier));
    let (methods, path) = table.get("match", Value::table).map(matches).unwrap_or_default();
    let rules = table.get("score", Value::table).map(rules).unwrap_or_default();
    if let Some(hider) = earlier.iter().find(|other| hides(other, &methods, path.as_ref())) {
        table.warn(
            &format!(
                "never reached: route `{}` matches all of its requests first",
                hider.name
            ),
            "move it up: the first route that matches is taken",
        );
    }
    table.finish();
    Some(Route {
        name: name?.to_owned(),
        methods,
        path,
        rules,
    })
}

fn name_of<'a>(value: &Value<'a>, earlier: &[Route]) -> Option<&'a str> {
    let text = value.str()?;
    if earlier.iter().any(|route| route.name == text) {
        value.error(
            format_args!("a second route named `{}`", text.escape_debug()),
            "choose another name",
        );
    }
    named(value, text, &[OTHER])
}

/// Whether a route before another one takes all of its requests.
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

fn matches(mut table: Table<'_>) -> (Vec<Method>, Option<PathPattern>) {
    let methods = table.get("methods", |value| {
        value.list("a list of methods, such as [\"GET\"]", |item| item.method())
    });
    let path = table.get("path", |value| {
        const HELP: &str = "write literal segments, {name} for one segment, a final {name...} for the rest";
        value.parsed("a path such as \"/recommendations/{user}\"", HELP, PathPattern::parse)
    });
    table.finish();
    (methods.unwrap_or_default(), path)
}

fn rules(mut table: Table<'_>) -> Rules {
    table.unsupported(&["rich"]);
    let rules = Rules {
        status: statuses(&mut table),
        required: pointers(&mut table, "required"),
        non_empty: pointers(&mut table, "non_empty"),
        min_bytes: table.get("min_bytes", |value| value.count(1)),
        max_latency: table.get("max_latency", Value::duration),
        exclude: table.get("exclude", Value::table).map(exclude).unwrap_or_default(),
    };
    for status in rules
        .status
        .iter()
        .filter(|status| rules.exclude.status.contains(status))
    {
        table.warn(
            &format!("status {} is excluded, and never counts as rich", status.as_u16()),
            "remove it from `status` or from `exclude`",
        );
    }
    table.finish();
    rules
}

fn statuses(table: &mut Table<'_>) -> Vec<http::StatusCode> {
    let read = table.get("status", |value| {
        value.list("a list of statuses, such as [200]", |item| item.status())
    });
    read.unwrap_or_default()
}

fn pointers(table: &mut Table<'_>, key: &'static str) -> Vec<Pointer> {
    const WANTED: &str = "a list of JSON Pointers, such as [\"/items\"]";
    let read = table.get(key, |value| {
        value.list(WANTED, |item| {
            item.parsed(
                "a JSON Pointer such as \"/items\"",
                "write \"/items\" or \"/items/0/name\", say",
                Pointer::parse,
            )
        })
    });
    read.unwrap_or_default()
}

fn exclude(mut table: Table<'_>) -> Exclude {
    let exclude = Exclude {
        status: statuses(&mut table),
        headers: table.get("header", headers::conditions).unwrap_or_default(),
    };
    table.finish();
    exclude
}

/// Reports a template that names what no route captures, and warns of routes that do not capture what it names.
fn templates_fit(table: &Table<'_>, routes: &[Route], backends: [Option<&BackendSpec>; 2]) {
    let templates = backends
        .into_iter()
        .flatten()
        .filter_map(|backend| backend.request.path.as_ref());
    for name in templates.flat_map(|template| template.names()) {
        let captures = |route: &&Route| route.path.as_ref().is_some_and(|path| path.captures_name(name));
        if !routes.iter().any(|route| captures(&route)) {
            table.missing(
                &format!("`request.path` uses {{{name}}}, which no route captures"),
                "use {path}, {query}, or a name from a route's path",
            );
        } else if let Some(without) = routes.iter().find(|route| !captures(route)) {
            table.warn(
                &format!(
                    "route `{}` does not capture {{{name}}}: its paths stay as they are",
                    without.name
                ),
                "use {path}, or capture the name in every route",
            );
        }
    }
}
