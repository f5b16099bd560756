//! What one worker knows of one revision: the live configuration with this worker's connections and tallies beside it.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::tee::LegBody;
use crate::backend::Backend;
use crate::condition::{Conditions, EndpointId};
use crate::config::{self, BackendSpec, Dependency, Live, Plan};
use crate::score::{Mapping, Scorer};
use crate::study::{Feed, Meter};
use crate::telemetry::{LaneCounts, RouteId, RuleId, RuleState, Tally};
use crate::upstream::Upstream;

/// One revision, as one worker serves it. A request holds one view from its start to its end.
pub(super) struct View {
    pub(super) live: Arc<Live>,
    /// In the order of the live configuration's dependencies.
    pub(super) targets: Vec<Rc<Target>>,
    /// Where requests of no dependency are counted.
    pub(super) nowhere: Rc<RouteView>,
}

/// What views stand on, whatever the revision.
pub(super) struct Ground {
    pub(super) conditions: Arc<Conditions>,
    /// Whether this worker checks endpoints for all of them.
    pub(super) checks: bool,
    /// The state of the rules that run in the lane.
    pub(super) rules: Arc<LaneCounts>,
    /// Where exchanges go that are worth a look.
    pub(super) feed: Feed,
}

/// One dependency.
pub(super) struct Target {
    pub(super) dependency: Arc<Dependency>,
    pub(super) plan: Arc<Plan>,
    v1: Option<Rc<Upstream<LegBody>>>,
    v2: Rc<Upstream<LegBody>>,
    pub(super) routes: Vec<Rc<RouteView>>,
}

/// One route: its rules, and what this worker counted on it.
pub(super) struct RouteView {
    pub(super) id: Arc<RouteId>,
    /// One for each backend; shared with the threads that score what takes long.
    scorers: [Arc<Scorer>; 2],
    /// Those that run in the lane and may be slow there: those with jq or patterns.
    rules: [Option<Arc<RuleState>>; 2],
    /// The state of mappings by jq: of answers, and of requests for V1 and V2. Made when they are first asked.
    mapping_rules: RefCell<Vec<Arc<RuleState>>>,
    /// How often its exchanges are studied.
    pub(super) meter: Arc<Meter>,
    tally: RefCell<Box<Tally>>,
    dirty: std::cell::Cell<bool>,
}

impl RouteView {
    fn new(id: RouteId, scorers: [Arc<Scorer>; 2], ground: &Ground) -> Rc<Self> {
        let rules = Backend::ALL.map(|backend| rule(&id, backend, &scorers[backend as usize], ground));
        let meter = ground.feed.meter(&id.dependency, &id.route);
        let (tally, dirty) = (RefCell::default(), std::cell::Cell::new(false));
        Rc::new(Self { id: Arc::new(id), scorers, rules, mapping_rules: RefCell::default(), meter, tally, dirty })
    }

    /// The state of a backend's rules, where they run in the lane and may be slow there.
    pub(super) fn rule(&self, backend: Backend) -> Option<&Arc<RuleState>> {
        self.rules[backend as usize].as_ref()
    }

    /// The rules that the answers of a backend are held against.
    pub(super) fn scorer(&self, backend: Backend) -> &Arc<Scorer> {
        &self.scorers[backend as usize]
    }

    /// The state of a program that maps what goes to or comes from a backend; `text` tells it from others.
    pub(super) fn mapping_rule(&self, backend: Backend, counts: &LaneCounts, text: &str) -> Arc<RuleState> {
        let (dependency, route) = (self.id.dependency.clone(), self.id.route.clone());
        let id = RuleId { dependency, route, backend: backend.as_str() };
        let rule = counts.rule(id, xxh3_64(text.as_bytes()));
        let mut known = self.mapping_rules.borrow_mut();
        if !known.iter().any(|known| Arc::ptr_eq(known, &rule)) {
            // At most as many as there are programs for this route's answers and requests.
            known.push(Arc::clone(&rule));
        }
        rule
    }

    /// Whether answers are scored as this route wants it.
    fn is_for(&self, route: &config::Route, dependency: &Dependency) -> bool {
        let mapping = self.scorer(Backend::V2).mapping();
        *self.scorer(Backend::V1).rules() == route.rules && mapping == dependency.v2.response.as_ref()
    }

    /// The tally to count into; not to be held across a wait.
    pub(super) fn tally(&self) -> RefMut<'_, Tally> {
        self.dirty.set(true);
        RefMut::map(self.tally.borrow_mut(), |tally| &mut **tally)
    }

    /// What was counted since the last time, if anything.
    pub(super) fn take_tally(&self) -> Option<Box<Tally>> {
        self.dirty.replace(false).then(|| self.tally.take())
    }
}

impl View {
    /// The view of a live configuration; whatever did not change since `old` is taken over, connections included.
    pub(super) fn new(live: Arc<Live>, old: Option<&Self>, ground: &Ground) -> Self {
        let dependencies = live.deployment.dependencies.iter().zip(&live.plans);
        let targets = dependencies
            .map(|(dependency, plan)| {
                let known = old.and_then(|old| old.target(&dependency.name));
                Rc::new(Target::new(Arc::clone(dependency), Arc::clone(plan), known, ground))
            })
            .collect();
        let nowhere = old.map_or_else(|| nowhere(ground), |old| Rc::clone(&old.nowhere));
        Self { live, targets, nowhere }
    }

    fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().map(Rc::as_ref).find(|target| target.dependency.name == name)
    }

    /// Every route, that of no dependency included.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Rc<RouteView>> {
        self.targets.iter().flat_map(|target| &target.routes).chain(std::iter::once(&self.nowhere))
    }

    /// Whether anybody but the worker's list still counts on it, on routes that the current view has not taken over.
    pub(super) fn may_count(self: &Rc<Self>, current: &Self) -> bool {
        let taken_over = |route: &Rc<RouteView>| current.routes().any(|it| Rc::ptr_eq(it, route));
        Rc::strong_count(self) > 1 || self.routes().any(|route| Rc::strong_count(route) > 1 && !taken_over(route))
    }

    /// Closes the upstream connections that nobody used for `idle`.
    pub(super) fn reap(&self, now: Instant, idle: Duration) {
        for target in &self.targets {
            target.v2.reap(now, idle);
            if let Some(v1) = &target.v1 {
                v1.reap(now, idle);
            }
        }
    }
}

fn nowhere(ground: &Ground) -> Rc<RouteView> {
    let id = RouteId { dependency: "none".to_owned(), route: config::OTHER.to_owned(), index: 0 };
    RouteView::new(id, scorers(&config::Route::other(), None), ground)
}

impl Target {
    fn new(dependency: Arc<Dependency>, plan: Arc<Plan>, old: Option<&Self>, ground: &Ground) -> Self {
        let upstream = |backend, spec: &BackendSpec| {
            let known = old.and_then(|old| old.upstream(backend)).filter(|known| known.spec().is_reached_like(spec));
            known.map_or_else(|| upstream(&dependency.name, backend, spec, ground), Rc::clone)
        };
        Self {
            v1: dependency.v1.as_ref().map(|spec| upstream(Backend::V1, spec)),
            v2: upstream(Backend::V2, &dependency.v2),
            routes: routes(&dependency, old, ground),
            dependency,
            plan,
        }
    }

    /// Whether a backend gets headers that its consumer has not sent, and which may be secrets.
    pub(super) fn adds_headers(&self) -> bool {
        let backends = self.dependency.v1.iter().chain(std::iter::once(&self.dependency.v2));
        backends.into_iter().any(|spec| !spec.request.set.is_empty())
    }

    /// How to reach a backend; `None` only for a V1 that was removed.
    pub(super) fn upstream(&self, backend: Backend) -> Option<&Rc<Upstream<LegBody>>> {
        match backend {
            Backend::V1 => self.v1.as_ref(),
            Backend::V2 => Some(&self.v2),
        }
    }
}

fn upstream(dependency: &str, backend: Backend, spec: &BackendSpec, ground: &Ground) -> Rc<Upstream<LegBody>> {
    let condition = |endpoint: &config::Endpoint| {
        let (dependency, endpoint) = (dependency.to_owned(), endpoint.authority.to_string());
        ground.conditions.of(EndpointId { dependency, backend: backend.as_str(), endpoint })
    };
    let conditions = spec.endpoints.iter().map(condition).collect();
    Upstream::start(spec.clone(), conditions, ground.checks)
}

/// V1's rules, and V2's: the same, after its mapping.
fn scorers(route: &config::Route, mapping: Option<Arc<Mapping>>) -> [Arc<Scorer>; 2] {
    let v1 = Scorer::new(route.rules.clone());
    let v2 = v1.clone().with_mapping(mapping);
    [Arc::new(v1), Arc::new(v2)]
}

fn rule(id: &RouteId, backend: Backend, scorer: &Scorer, ground: &Ground) -> Option<Arc<RuleState>> {
    let programs =
        scorer.programs().fold(None, |hash, text| Some(xxh3_64_with_seed(text.as_bytes(), hash.unwrap_or(0))))?;
    let id = RuleId { dependency: id.dependency.clone(), route: id.route.clone(), backend: backend.as_str() };
    Some(ground.rules.rule(id, programs))
}

fn routes(dependency: &Dependency, old: Option<&Target>, ground: &Ground) -> Vec<Rc<RouteView>> {
    let view = |(index, route): (usize, &config::Route)| {
        let id = RouteId { dependency: dependency.name.clone(), route: route.name.clone(), index };
        let known = old.and_then(|old| old.routes.iter().find(|known| *known.id == id));
        match known {
            Some(known) if known.is_for(route, dependency) => Rc::clone(known),
            _ => RouteView::new(id, scorers(route, dependency.v2.response.clone()), ground),
        }
    };
    dependency.routes.iter().enumerate().map(view).collect()
}
