//! The composition root: configuration in, bound listeners and running tasks out.

mod hand_over;
mod ports;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::admin::{self, Admin};
use crate::config::{Deployment, Handle, Problems, Watch, WatchedPaths};
use crate::console::{self, Console};
use crate::control::{Control, Files, OpenError};
use crate::probing::{self, State, Step};
use crate::proxy;
use crate::server::{self, Listeners, Socket};
use crate::store::{DataDir, Reader};
use crate::study::{self, Feed, Study};
use crate::telemetry::{Report, Totals};
use hand_over::{Door, Predecessor};
use ports::{Ports, inherit};

pub use hand_over::Successor;
pub use ports::SocketsFrom;

/// Reports of workers that wait for the control plane; a worker that finds no room reports next time.
const REPORTS: usize = 256;

/// The disk has so long to open the door for a successor; the ledger has 5 s (see [`crate::store::Ledger::open`]), and former
/// samples one.
const DOOR_OPENS: Duration = Duration::from_secs(1);

/// How long somebody may still read the ledger once it is to be closed, and the study write its last samples.
const LAST_READ: Duration = Duration::from_secs(5);

/// What cannot be started, and why.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configuration file is invalid.
    #[error("the configuration is not valid")]
    Configuration(Problems),
    /// A listener cannot be bound.
    #[error(transparent)]
    Bind(#[from] server::BindError),
    /// The ledger cannot be used: for one, another process uses the data directory.
    #[error(transparent)]
    Ledger(#[from] crate::store::LedgerError),
    /// The supervisor opened a socket that nothing is said about.
    #[error("the supervisor passed sockets that neither `listen`, `listen_tls` nor `admin` names: {0:?}")]
    Unnamed(Vec<SocketAddr>),
    /// The process that uses the data directory does not hand over its place.
    #[error("failed to take over from the process that uses the data directory")]
    TakeOver(#[source] std::io::Error),
    /// The operating system refuses a thread or a runtime.
    #[error("failed to start")]
    Io(#[from] std::io::Error),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Rollout(problems) => Self::Configuration(problems),
            OpenError::Ledger(error) => Self::Ledger(error),
        }
    }
}

/// A running proxy.
pub struct App {
    /// Where consumers connect in cleartext.
    pub listen: Vec<SocketAddr>,
    /// Where consumers connect with TLS.
    pub listen_tls: Vec<SocketAddr>,
    /// Where people and Prometheus connect.
    pub admin: SocketAddr,
    /// Verbs and status.
    pub console: Console,
    /// Everything counted.
    pub totals: Arc<Totals>,
    /// The clock that windows are read by.
    pub origin: Instant,
    live: Handle,
    ledger: Reader,
    ready: Arc<AtomicBool>,
    /// Every listening socket once more, for a successor.
    sockets: Vec<Socket>,
    door: Option<Door>,
    drain: watch::Sender<bool>,
    workers: Vec<JoinHandle<std::io::Result<()>>>,
    /// Ends the control plane before the workers have ended.
    release: watch::Sender<bool>,
    control: Option<tokio::task::JoinHandle<()>>,
    study: Option<Study>,
    admin_end: watch::Sender<admin::End>,
    admin_task: tokio::task::JoinHandle<()>,
    _watch: Watch,
}

impl App {
    /// Reads both files, takes or binds every listener, and starts every task. `rollout` replaces the path in
    /// `crossfade.toml`.
    ///
    /// # Errors
    /// As [`StartError`] tells; nothing is left running then.
    pub async fn start(config: &Path, rollout: Option<PathBuf>) -> Result<Self, StartError> {
        Self::start_from(SocketsFrom::Supervisor, config, rollout).await
    }

    /// The same with sockets from elsewhere. A predecessor is told as soon as this process serves; where that fails, it goes
    /// on as before.
    ///
    /// # Errors
    /// As [`StartError`] tells; nothing is left running then.
    pub async fn start_from(from: SocketsFrom, config: &Path, rollout: Option<PathBuf>) -> Result<Self, StartError> {
        let origin = Instant::now();
        let (files, deployment) = Files::open(config, rollout).map_err(StartError::Configuration)?;
        let (mut inherited, predecessor) = inherit(from, &deployment.data_dir).await?;
        let data_dir = DataDir::at(&deployment.data_dir);
        let (console, desk) = console::open();
        let totals = Arc::new(Totals::default());
        let (reports, reported) = mpsc::channel(REPORTS);
        let (watch, nudged) = watch_files(&files)?;
        let samples = data_dir.samples();
        let control = Control::open(files, data_dir, desk, Arc::clone(&totals), origin).await?;
        let (live, ledger) = (control.live(), control.ledger());
        // The data directory is this process's, if anybody's.
        let door = open_door(&deployment.data_dir).await;
        let (feed, study) = study::open(live.clone(), samples)?;
        let shared = shared(&live, origin, reports, &totals, feed);
        let deployment = Arc::clone(&live.load().deployment);
        let ports = Ports::open(&deployment, worker_count(deployment.workers), &mut inherited)?;
        let (listen, listen_tls, admin) = ports.addresses()?;
        let sockets = ports.copies()?;
        let (drain, draining) = watch::channel(false);
        let workers = spawn_workers(&shared, ports.listeners, &draining)?;
        let limits = Arc::downgrade(&shared);
        // The control plane outlives the workers, whose last reports close its inbox: it must not hold the sender.
        drop(shared);
        let applied = applied(watch.paths().clone(), limits);
        tokio::spawn(probe_at_start(deployment));
        let (release, released) = watch::channel(false);
        let control = tokio::spawn(control.run(until_released(reported, released), nudged, applied));
        let ready = Arc::new(AtomicBool::new(true));
        let (admin_end, ending) = watch::channel(admin::End::NotYet);
        let shown = Admin {
            live: live.clone(),
            console: console.clone(),
            ledger: ledger.clone(),
            findings: study.findings.clone(),
            totals: Arc::clone(&totals),
            ready: Arc::clone(&ready),
            origin,
            listeners: admin::listeners(),
        };
        let admin_port = TcpListener::from_std(ports.admin)?;
        let admin_task = tokio::spawn(admin::serve(admin_port, Arc::new(shown), ending));
        let app = Self {
            listen,
            listen_tls,
            admin,
            console,
            totals,
            origin,
            live,
            ledger,
            ready,
            sockets,
            door,
            drain,
            workers,
            release,
            control: Some(control),
            study: Some(study),
            admin_end,
            admin_task,
            _watch: watch,
        };
        match predecessor {
            Some(predecessor) => app.relieve(predecessor).await,
            None => Ok(app),
        }
    }

    /// Lets the process go whose place this one takes. Where that one has given up waiting, it serves: this one ends.
    async fn relieve(self, predecessor: Predecessor) -> Result<Self, StartError> {
        match predecessor.relieve(self.live.clone()).await {
            Ok(()) => Ok(self),
            Err(error) => {
                self.stop().await;
                Err(StartError::TakeOver(error))
            }
        }
    }

    /// Whether every worker still runs.
    pub fn is_alive(&self) -> bool {
        self.workers.iter().all(|worker| !worker.is_finished())
    }

    /// Waits for a process that wants to take the place of this one.
    ///
    /// # Cancel safety
    /// A process that is just asking is sent away when dropped.
    pub async fn successor(&self) -> Successor {
        match &self.door {
            Some(door) => door.knock().await,
            None => std::future::pending().await,
        }
    }

    /// Passes on the listening sockets and the ledger, and waits until the successor serves. From here on nothing is decided
    /// here, whatever comes of it; consumers are served on.
    ///
    /// # Errors
    /// When the successor does not come to serve; then this process should [begin again](Self::begin_again).
    pub async fn hand_over(&mut self, successor: &mut Successor) -> std::io::Result<()> {
        successor.give(&self.sockets).await?;
        self.release().await?;
        successor.released().await
    }

    /// Takes the sockets and the ledger of this proxy into use again, in the same process, after a successor failed.
    ///
    /// # Errors
    /// As [`StartError`] tells; consumers are served on as before.
    pub async fn begin_again(&self, config: &Path, rollout: Option<PathBuf>) -> Result<Self, StartError> {
        let copy = |it: &Socket| Ok(Socket { listener: it.listener.try_clone()?, used: it.used });
        let sockets = self.sockets.iter().map(copy).collect::<std::io::Result<_>>()?;
        Self::start_from(SocketsFrom::Process(sockets), config, rollout).await
    }

    /// Ends as [`stop`](Self::stop) does, and follows each step down of the successor until then.
    pub async fn leave(self, successor: Successor) {
        let following = tokio::spawn(successor.follow(self.live.clone()));
        self.stop().await;
        following.abort();
    }

    /// Ends in order: readiness turns false, workers finish what they have begun within `drain_timeout`, their last counts
    /// and the gate's state are saved, and the admin port closes.
    pub async fn stop(mut self) {
        self.ready.store(false, Ordering::Relaxed);
        // A successor must not come too late, and no connection to a port that nobody accepts from.
        drop((self.door.take(), std::mem::take(&mut self.sockets)));
        let handed_over = self.control.is_none();
        if handed_over {
            // What it shows belongs to a process that is gone: its successor answers on the same port.
            self.admin_end.send_replace(admin::End::HandedOver);
        }
        self.drain.send_replace(true);
        let workers = self.workers;
        let joined =
            tokio::task::spawn_blocking(move || workers.into_iter().map(JoinHandle::join).collect::<Vec<_>>()).await;
        for worker in joined.into_iter().flatten() {
            if !matches!(worker, Ok(Ok(()))) {
                tracing::error!("a worker ended in an error: {worker:?}");
            }
        }
        end_control(self.control).await;
        end_study(self.study).await;
        let grace = if handed_over { admin::GRACE } else { Duration::ZERO };
        if !handed_over {
            self.admin_end.send_replace(admin::End::Now);
        }
        // A scraper that holds its connection open must not hold the process.
        let _ = tokio::time::timeout(grace + Duration::from_secs(1), self.admin_task).await;
    }

    /// The control plane decides for the last time, saves, and lets the ledger go.
    async fn release(&mut self) -> std::io::Result<()> {
        // First, while the judge is still awake: it may take a second.
        end_study(self.study.take()).await;
        self.release.send_replace(true);
        end_control(self.control.take()).await;
        self.live.update(hand_over::without_drills);
        if self.ledger.close(LAST_READ).await {
            Ok(())
        } else {
            Err(std::io::Error::other("somebody is still reading the ledger"))
        }
    }
}

async fn end_control(control: Option<tokio::task::JoinHandle<()>>) {
    if let Some(control) = control
        && let Err(error) = control.await
    {
        tracing::error!(%error, "the control plane ended in an error");
    }
}

/// Files that change, and the word that one has.
fn watch_files(files: &Files) -> std::io::Result<(Watch, mpsc::Receiver<()>)> {
    let (nudge, nudged) = mpsc::channel(1);
    let watch = crate::config::watch(files.paths(), move || {
        // A nudge that waits already says as much as a second one.
        let _ = nudge.try_send(());
    })?;
    Ok((watch, nudged))
}

fn shared(
    live: &Handle,
    origin: Instant,
    reports: mpsc::Sender<Vec<Report>>,
    totals: &Totals,
    feed: Feed,
) -> Arc<proxy::Shared> {
    let counted = totals.lock();
    let (conditions, lane) = (Arc::clone(&counted.conditions), Arc::clone(&counted.lane));
    Arc::new(proxy::Shared::new(live.clone(), origin, reports, conditions, lane, feed))
}

/// The thread ends between two exchanges, and writes its samples; nothing is left to do if it cannot be waited for, as on a
/// disk that hangs.
async fn end_study(study: Option<Study>) {
    if let Some(study) = study {
        let _ = tokio::time::timeout(LAST_READ, tokio::task::spawn_blocking(move || study.end())).await;
    }
}

/// What follows a change of `crossfade.toml`, outside of the configuration itself.
fn applied(watched: WatchedPaths, limits: Weak<proxy::Shared>) -> impl Fn(&Files) {
    move |files: &Files| {
        watched.set(files.paths());
        if let Some(shared) = limits.upgrade() {
            shared.set_limits(&files.deployment().limits);
        }
    }
}

/// Without it the process runs as well, and can only be restarted.
async fn open_door(data_dir: &Path) -> Option<Door> {
    let data_dir = data_dir.to_owned();
    let opening = tokio::task::spawn_blocking(move || Door::open(&data_dir));
    let opened = match tokio::time::timeout(DOOR_OPENS, opening).await {
        Ok(opened) => opened.map_err(std::io::Error::other).flatten(),
        Err(elapsed) => Err(elapsed.into()),
    };
    opened.inspect_err(|error| tracing::warn!(%error, "no other process can take over from this one")).ok()
}

/// Reports on their way, until the control plane is to end before the workers.
fn until_released(
    mut reported: mpsc::Receiver<Vec<Report>>,
    released: watch::Receiver<bool>,
) -> mpsc::Receiver<Vec<Report>> {
    let (pass, passed) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut released = std::pin::pin!(ended(released));
        loop {
            tokio::select! {
                biased;
                () = &mut released => return,
                report = reported.recv() => {
                    let Some(report) = report else { return };
                    if pass.send(report).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    passed
}

async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means that the sender has gone, which is an end as well.
    let _ = ending.wait_for(|end| *end).await;
}

/// Says what is wrong with the way to each backend, if anything is and somebody wants to know; one dependency after the other.
async fn probe_at_start(deployment: Arc<Deployment>) {
    for dependency in deployment.dependencies.iter().filter(|_| deployment.startup_probe) {
        let report = probing::check_connections(dependency).await;
        for step in report.steps.iter().filter(|step| matches!(step.state, State::Failed | State::Warning)) {
            let Step { backend, endpoint, name, finding, remedy, .. } = step;
            let (step, remedy) = (name.as_str(), remedy.as_deref().unwrap_or_default());
            tracing::warn!(dependency = dependency.name, %backend, endpoint, step, "{finding}; to mend it: {remedy}");
        }
        if report.passed {
            tracing::info!(dependency = dependency.name, "startup probe: every backend can be reached");
        }
    }
}

fn worker_count(configured: usize) -> usize {
    if configured > 0 { configured } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

fn spawn_workers(
    shared: &Arc<proxy::Shared>,
    listeners: Vec<Listeners>,
    draining: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<std::io::Result<()>>>> {
    let spawn = |(index, listeners)| {
        let (shared, draining) = (Arc::clone(shared), draining.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        thread.spawn(move || proxy::run(shared, index, listeners, draining))
    };
    listeners.into_iter().enumerate().map(spawn).collect()
}
