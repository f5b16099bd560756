//! One worker: a thread with a runtime, connections, pools and tallies of its own. Workers share a configuration that
//! is replaced whole, four caps, and a queue of reports; nothing else.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::lane::Lane;
use super::pair::Pair;
use super::scoring::{Complete, Queue};
use super::service::Proxy;
use super::trial::Trials;
use super::view::{Ground, View};
use crate::backend::Backend;
use crate::cap::Cap;
use crate::condition::Conditions;
use crate::config::{Handle, Limits, Live};
use crate::random::Random;
use crate::server::{self, Connections, HeadLimits, Listeners, Patience, Port, Security, TermsNow};
use crate::skip::Skip;
use crate::study::{Feed, Kept};
use crate::telemetry::{LaneCounts, Report};

/// The time between two reports of a worker, and the length of the gate's buckets of start times.
pub const TICK: Duration = Duration::from_millis(100);

/// The part of `drain_timeout` in which an idle connection may ask once more.
const FAREWELL: u32 = 3;

/// The percentage of `max_in_flight` beyond which no shadow begins: under pressure, copies go first and consumers last.
const SHADOWS_UP_TO: usize = 80;
/// The percentage of `shadow_in_flight` beyond which no call begins that only measures noise: it goes before shadows do.
const NOISE_UP_TO: usize = 50;

/// What all workers share.
pub struct Shared {
    /// The configuration in force.
    pub live: Handle,
    /// Open connections.
    pub connections: Arc<Cap>,
    /// Requests being answered.
    pub in_flight: Cap,
    /// Shadows being called.
    pub shadow_in_flight: Cap,
    /// Bytes of all copies.
    pub shadow_memory: Arc<Cap>,
    /// Bytes of all answers that are being mapped.
    pub map_memory: Arc<Cap>,
    /// How the endpoints of all backends are.
    pub conditions: Arc<Conditions>,
    /// Where rules run that may take a while.
    pub(super) lane: Lane,
    /// Where exchanges go that are worth a look.
    pub feed: Feed,
    /// Exchanges that panicked.
    pub panics: AtomicU64,
    /// When tick 0 began.
    pub origin: Instant,
    /// Where workers report to, one list for all routes with news.
    pub reports: mpsc::Sender<Vec<Report>>,
}

impl Shared {
    /// Nothing in use yet; the caps are those of the configuration.
    pub fn new(
        live: Handle,
        origin: Instant,
        reports: mpsc::Sender<Vec<Report>>,
        conditions: Arc<Conditions>,
        lane: Arc<LaneCounts>,
        feed: Feed,
    ) -> Self {
        let limits = live.load().deployment.limits.clone();
        Self {
            live,
            connections: Arc::new(Cap::new(limits.max_connections)),
            in_flight: Cap::new(limits.max_in_flight),
            shadow_in_flight: Cap::new(limits.shadow_in_flight),
            shadow_memory: Arc::new(Cap::new(limits.shadow_memory)),
            map_memory: Arc::new(Cap::new(limits.map_memory)),
            conditions,
            lane: Lane::new(lane),
            feed,
            panics: AtomicU64::new(0),
            origin,
            reports,
        }
    }

    /// Applies changed limits.
    pub fn set_limits(&self, limits: &Limits) {
        self.connections.set_most(limits.max_connections);
        self.in_flight.set_most(limits.max_in_flight);
        self.shadow_in_flight.set_most(limits.shadow_in_flight);
        self.shadow_memory.set_most(limits.shadow_memory);
        self.feed.set_memory(limits.shadow_memory);
        self.map_memory.set_most(limits.map_memory);
    }

    /// Keeps content for the study, if there is room; a copy of it, where its own memory is wanted back soon.
    pub(super) fn keep(&self, pieces: &[Bytes], copied: bool) -> Option<Kept> {
        if copied {
            return self.feed.keep(&[Bytes::from(pieces.concat())], &self.shadow_memory);
        }
        self.feed.keep(pieces, &self.shadow_memory)
    }

    /// The tick in which an instant lies.
    pub fn tick(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.origin).as_millis() as u64 / TICK.as_millis() as u64
    }
}

/// A request that is being answered; counted until dropped.
pub(super) struct Admission(Arc<Shared>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.in_flight.give(1);
    }
}

/// One worker.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    ground: Ground,
    view: RefCell<Rc<View>>,
    /// Views whose requests or shadows may still count something, or have done so since the last report.
    old_views: RefCell<Vec<Rc<View>>>,
    scoring: Rc<Queue>,
    trials: Trials,
    /// V2's answers under way to consumers, by the instant at which the gate gives up on them.
    deadlines: RefCell<VecDeque<(Instant, Weak<Pair>)>>,
    shadows: Cell<usize>,
    no_shadow_left: Notify,
    random: Random,
}

impl Worker {
    fn new(shared: Arc<Shared>, index: usize) -> Rc<Self> {
        // Checks are the process's, not each worker's: the first one makes them for all.
        let (conditions, feed) = (Arc::clone(&shared.conditions), shared.feed.clone());
        let ground = Ground { conditions, checks: index == 0, rules: Arc::clone(shared.lane.counts()), feed };
        let view = Rc::new(View::new(shared.live.load(), None, &ground));
        Rc::new(Self {
            shared,
            ground,
            view: RefCell::new(view),
            old_views: RefCell::default(),
            scoring: Rc::default(),
            trials: Trials::default(),
            deadlines: RefCell::default(),
            shadows: Cell::new(0),
            no_shadow_left: Notify::new(),
            random: Random::default(),
        })
    }

    /// The revision in force, for the whole of one request.
    pub(super) fn view(&self) -> Rc<View> {
        let view = Rc::clone(&self.view.borrow());
        if self.shared.live.is_current(&view.live) { view } else { self.renew(&view) }
    }

    fn renew(&self, old: &Rc<View>) -> Rc<View> {
        let live: Arc<Live> = self.shared.live.load();
        let view = Rc::new(View::new(live, Some(old), &self.ground));
        self.old_views.borrow_mut().push(Rc::clone(old));
        *self.view.borrow_mut() = Rc::clone(&view);
        view
    }

    /// A place among the requests being answered, if there is one.
    pub(super) fn admit(&self) -> Option<Admission> {
        self.shared.in_flight.try_take(1).then(|| Admission(Arc::clone(&self.shared)))
    }

    /// A place among the shadows, if there is one; [given back](Self::shadow_ended) when it has ended.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn admit_shadow(&self) -> Result<(), Skip> {
        if self.shared.in_flight.is_above(SHADOWS_UP_TO) {
            Err(Skip::Overload)
        } else if self.shared.shadow_in_flight.try_take(1) {
            Ok(())
        } else {
            Err(Skip::InFlight)
        }
    }

    /// A place among the shadows for a call that only measures: there is one while no more than half of them are taken.
    pub(super) fn admits_noise(&self) -> bool {
        !self.shared.shadow_in_flight.is_above(NOISE_UP_TO) && self.admit_shadow().is_ok()
    }

    pub(super) fn shadow_began(&self) {
        self.shadows.set(self.shadows.get() + 1);
    }

    pub(super) fn shadow_ended(&self) {
        self.shared.shadow_in_flight.give(1);
        self.shadows.set(self.shadows.get() - 1);
        if self.shadows.get() == 0 {
            self.no_shadow_left.notify_waiters();
        }
    }

    pub(super) fn shadow_memory(&self) -> Arc<Cap> {
        Arc::clone(&self.shared.shadow_memory)
    }

    pub(super) fn map_memory(&self) -> Arc<Cap> {
        Arc::clone(&self.shared.map_memory)
    }

    pub(super) fn limits(&self) -> Limits {
        self.view.borrow().live.deployment.limits.clone()
    }

    pub(super) fn tick(&self, instant: Instant) -> u64 {
        self.shared.tick(instant)
    }

    /// What a trace knows one call by.
    pub(super) fn span(&self) -> u64 {
        self.random.next()
    }

    /// Second tries of shadows, only to know.
    pub(super) const fn trials(&self) -> &Trials {
        &self.trials
    }

    /// A random number in `0..100_000`.
    pub(super) fn draw(&self) -> u32 {
        self.random.below(crate::bucket::BUCKETS)
    }

    /// Scores an answer once the consumer has it.
    pub(super) fn score_soon(&self, complete: Complete) {
        self.scoring.push(complete, &self.shared);
    }

    /// Remembers an answer of V2 whose consumer may be slower than V2's deadline.
    pub(super) fn watch_deadline(&self, pair: &Rc<Pair>, due: Instant) {
        self.deadlines.borrow_mut().push_back((due, Rc::downgrade(pair)));
    }

    fn beat(&self, connections: &Connections) {
        let view = self.view();
        let limits = &view.live.deployment.limits;
        let Limits { header_timeout: header, idle_timeout: idle, drain_timeout, .. } = *limits;
        connections.sweep(Patience { header, idle, farewell: drain_timeout / FAREWELL });
        let now = Instant::now();
        view.reap(now, limits.idle_timeout);
        self.meet_deadlines(now);
        self.count_refused(connections);
        if let Ok(permit) = self.shared.reports.try_reserve() {
            permit.send(self.take_reports());
        }
    }

    /// What the server refused on its own belongs to no dependency.
    fn count_refused(&self, connections: &Connections) {
        let refused = connections.take_refused();
        if !refused.is_empty() {
            let view = self.view();
            let mut tally = view.nowhere.tally();
            for reason in refused {
                tally.refuse(reason);
            }
        }
    }

    fn meet_deadlines(&self, now: Instant) {
        let mut deadlines = self.deadlines.borrow_mut();
        // Dependencies have different timeouts, so the queue is in order only for each of them.
        deadlines.retain(|(due, pair)| {
            let Some(pair) = pair.upgrade() else { return false };
            if *due <= now {
                pair.deadline();
            }
            *due > now
        });
    }

    fn take_reports(&self) -> Vec<Report> {
        let current = Rc::clone(&self.view.borrow());
        let mut old = self.old_views.borrow_mut();
        let routes = old.iter().chain(std::iter::once(&current)).flat_map(|view| view.routes());
        let reported = routes.filter_map(|route| {
            let tally = route.take_tally()?;
            let catalogue = Arc::clone(route.scorer(Backend::V2).catalogue());
            Some(Report { route: Arc::clone(&route.id), catalogue, tally })
        });
        let reports = reported.collect();
        old.retain(|view| view.may_count(&current));
        reports
    }

    async fn shadows_done(&self) {
        while self.shadows.get() > 0 {
            self.no_shadow_left.notified().await;
        }
    }
}

/// Runs one worker until it has drained; blocks its thread.
///
/// # Errors
/// When the runtime or a listener cannot be set up.
pub fn run(
    shared: Arc<Shared>,
    index: usize,
    listeners: Listeners,
    drain: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let registered = |listeners: Vec<_>| listeners.into_iter().map(TcpListener::from_std).collect();
        let cleartext: std::io::Result<Vec<_>> = registered(listeners.cleartext);
        let tls: std::io::Result<Vec<_>> = registered(listeners.tls);
        live(shared, index, (cleartext?, tls?), drain).await;
        Ok(())
    })
}

async fn live(
    shared: Arc<Shared>,
    index: usize,
    (cleartext, tls): (Vec<TcpListener>, Vec<TcpListener>),
    mut drain: watch::Receiver<bool>,
) {
    let worker = Worker::new(shared, index);
    let connections = Rc::new(Connections::default());
    let scorer = Rc::clone(&worker);
    tokio::task::spawn_local(async move { scorer.scoring.run().await });
    let accept = |listener, terms| {
        let port = Port { listener, terms };
        tokio::task::spawn_local(accept(Rc::clone(&worker), port, Rc::clone(&connections), drain.clone()))
    };
    let cleartext = cleartext.into_iter().map(|listener| accept(listener, cleartext_in_force(&worker)));
    let accepting: Vec<_> = cleartext.collect();
    let tls = tls.into_iter().map(|listener| accept(listener, tls_in_force(&worker)));
    let accepting = accepting.into_iter().chain(tls).collect();
    let mut beat = tokio::time::interval(TICK);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = end(&worker, &connections, accepting, &mut drain);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = beat.tick() => worker.beat(&connections),
        }
    }
    worker.scoring.finish().await;
    worker.count_refused(&connections);
    // The control plane has gone when this fails, and nobody is left to tell.
    let _ = worker.shared.reports.send(worker.take_reports()).await;
}

/// A reload may have replaced the limits.
fn cleartext_in_force(worker: &Rc<Worker>) -> TermsNow {
    let worker = Rc::clone(worker);
    Box::new(move || Some((Security::Cleartext, head_limits(&worker.view()))))
}

/// A reload may have replaced the certificates and the limits.
fn tls_in_force(worker: &Rc<Worker>) -> TermsNow {
    let worker = Rc::clone(worker);
    Box::new(move || {
        let view = worker.view();
        let tls = view.live.deployment.tls.as_ref()?;
        Some((Security::Tls(Arc::clone(tls.config())), head_limits(&view)))
    })
}

fn head_limits(view: &View) -> HeadLimits {
    let limits = &view.live.deployment.limits;
    HeadLimits { bytes: limits.header_bytes, streams: limits.max_streams }
}

async fn accept(worker: Rc<Worker>, port: Port, connections: Rc<Connections>, mut drain: watch::Receiver<bool>) {
    let cap = Arc::clone(&worker.shared.connections);
    let told = async move {
        // An error means that whoever could tell has gone: time to end as well.
        let _ = drain.wait_for(|drain| *drain).await;
    };
    server::accept(port, Proxy::new(worker), connections, cap, told).await;
}

/// Waits for the word to drain, then for everything that was begun, as long as `drain_timeout` allows.
async fn end(
    worker: &Worker,
    connections: &Connections,
    accepting: Vec<tokio::task::JoinHandle<()>>,
    drain: &mut watch::Receiver<bool>,
) {
    let _ = drain.wait_for(|drain| *drain).await;
    let everything = async {
        for task in accepting {
            let _ = task.await;
        }
        connections.drain();
        connections.closed().await;
        worker.shadows_done().await;
    };
    if tokio::time::timeout(worker.limits().drain_timeout, everything).await.is_err() {
        tracing::warn!(connections = connections.count(), shadows = worker.shadows.get(), "drain_timeout is over");
    }
}

impl Worker {
    pub(super) fn count_panic(&self) {
        self.shared.panics.fetch_add(1, Ordering::Relaxed);
    }
}
