//! Applying a request mapping: from the head that a consumer sent to the one that a backend gets.

use http::{HeaderMap, HeaderName, Uri, request};

use super::deployment::{RequestMapping, Route};

impl RequestMapping {
    /// Rewrites a head whose target is a path and query: takes out what `remove` names, sets what `set` names, and puts the
    /// path into its new shape. The `*` of `OPTIONS *` stays.
    pub fn apply(&self, head: &mut request::Parts, route: &Route) {
        retain_headers(&mut head.headers, |name| !self.remove.contains(name));
        for (name, source) in &self.set {
            head.headers.insert(name, source.value().clone());
        }
        let Some(template) = self.path.as_ref().filter(|_| head.uri.path() != "*") else { return };
        let captures = route.path.as_ref().and_then(|pattern| pattern.matches(head.uri.path())).unwrap_or_default();
        let mapped = template.render(head.uri.path(), head.uri.query(), &captures);
        // A template of valid pieces around valid pieces is a valid path; were it not, the request stays as it is.
        if let Ok(uri) = mapped.parse::<Uri>() {
            head.uri = uri;
        }
    }
}

/// Keeps some headers, in their order: a map that loses an entry puts its last one in that place.
pub fn retain_headers(headers: &mut HeaderMap, stays: impl Fn(&HeaderName) -> bool) {
    if headers.keys().all(&stays) {
        return;
    }
    let all = std::mem::take(headers);
    headers.reserve(all.keys_len());
    let mut current = None;
    for (name, value) in all {
        if name.is_some() {
            current = name.filter(&stays);
        }
        if let Some(name) = &current {
            headers.append(name.clone(), value);
        }
    }
}
