//! What the requests of one leg are made from: the head that both legs start from, fitted to the backend whenever it is sent.

use std::rc::Rc;

use http::header::{HeaderName, UPGRADE};
use http::{HeaderValue, Method, Request, Uri, request};

use super::head;
use super::interim::Listener;
use super::tee::LegBody;
use super::trace;
use super::view::Target;
use crate::backend::{Backend, Role};
use crate::config::{BackendSpec, RequestMapping, Route};
use crate::score::is_conditional;
use crate::upstream::Recipe;

/// Marks a request that is made only to be scored.
pub(super) const ROLE: HeaderName = HeaderName::from_static("crossfade-role");

/// The requests of one leg. Nearly always there is one, so nothing is prepared for the others.
pub(super) struct Draft {
    pub(super) method: Method,
    /// Absent once the last request was made: then it had nobody else to be kept for.
    head: Option<Rc<request::Parts>>,
    target: Rc<Target>,
    route: usize,
    pub(super) backend: Backend,
    role: Role,
    /// What a trace knows this call by.
    span: u64,
    /// Who hears of interim answers.
    listener: Option<Listener>,
    /// The protocols that the last request offered.
    offer: Option<HeaderValue>,
}

impl Draft {
    /// Of one call of a backend; `route` is the route's place among those of the dependency.
    pub(super) fn new(
        head: &Rc<request::Parts>,
        (target, route): (&Rc<Target>, usize),
        (backend, role): (Backend, Role),
        span: u64,
        listener: Option<Listener>,
    ) -> Self {
        let (method, head, target) = (head.method.clone(), Some(Rc::clone(head)), Rc::clone(target));
        Self { method, head, target, route, backend, role, span, listener, offer: None }
    }

    /// Whether the request is conditional; to be asked before it is sent.
    pub(super) fn is_conditional(&self) -> bool {
        self.head.as_ref().is_some_and(|head| is_conditional(&head.headers))
    }

    /// What the backend was offered to switch to, if anything.
    pub(super) const fn offer(&self) -> Option<&HeaderValue> {
        self.offer.as_ref()
    }

    /// The settings of this revision. Connections outlive a changed secret: what is sent is what this revision says.
    fn spec(&self) -> Option<&BackendSpec> {
        self.target.dependency.backend(self.backend)
    }
}

impl Recipe<LegBody> for Draft {
    fn method(&self) -> &Method {
        &self.method
    }

    fn request(&mut self, body: LegBody, is_last: bool) -> Request<LegBody> {
        let kept = self.head.as_ref().filter(|_| !is_last).map(Rc::clone);
        let head = std::mem::replace(&mut self.head, kept).expect("nothing is sent after the last request");
        let mut head = Rc::unwrap_or_clone(head);
        trace::step(&mut head.headers, self.span);
        if let Some(spec) = self.spec() {
            map(&mut head, &spec.request, &self.target.dependency.routes[self.route]);
        }
        if self.role != Role::Primary {
            head.headers.insert(ROLE, HeaderValue::from_static(self.role.as_str()));
        }
        self.offer = head::all(&head.headers, &UPGRADE).next().cloned();
        let mut request = Request::from_parts(head, body);
        if let Some(listener) = &self.listener {
            listener.attach(&mut request);
        }
        request
    }
}

fn map(head: &mut request::Parts, mapping: &RequestMapping, route: &Route) {
    if !mapping.remove.is_empty() {
        head::retain(&mut head.headers, |name| !mapping.remove.contains(name));
    }
    for (name, source) in &mapping.set {
        head.headers.insert(name, source.value().clone());
    }
    let Some(template) = mapping.path.as_ref().filter(|_| head.uri.path() != "*") else { return };
    let captures = route.path.as_ref().and_then(|pattern| pattern.matches(head.uri.path())).unwrap_or_default();
    let mapped = template.render(head.uri.path(), head.uri.query(), &captures);
    // A template of valid pieces around valid pieces is a valid path; were it not, the request stays as it is.
    if let Ok(uri) = mapped.parse::<Uri>() {
        head.uri = uri;
    }
}
