//! The composition root: configuration in, bound listeners and running tasks out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::admin::{self, Admin};
use crate::config::{Deployment, Problems, Watch};
use crate::console::{self, Console};
use crate::control::{Control, Files, OpenError};
use crate::probing::{self, State, Step};
use crate::proxy;
use crate::server::{self, Listeners};
use crate::store::{DataDir, DataDirError};
use crate::study::{self, Study};
use crate::telemetry::Totals;

/// Reports of workers that wait for the control plane; a worker that finds no room reports next time.
const REPORTS: usize = 256;

/// What cannot be started, and why.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configuration file is invalid.
    #[error("the configuration is not valid")]
    Configuration(Problems),
    /// A listener cannot be bound.
    #[error(transparent)]
    Bind(#[from] server::BindError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] crate::store::LedgerError),
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
    ready: Arc<AtomicBool>,
    drain: watch::Sender<bool>,
    workers: Vec<JoinHandle<std::io::Result<()>>>,
    control: tokio::task::JoinHandle<()>,
    study: Study,
    admin_end: watch::Sender<bool>,
    admin_task: tokio::task::JoinHandle<()>,
    _watch: Watch,
}

impl App {
    /// Reads both files, binds every listener, and starts every task. `rollout` replaces the path in `crossfade.toml`.
    ///
    /// # Errors
    /// As [`StartError`] tells; nothing is left running then.
    pub async fn start(config: &Path, rollout: Option<PathBuf>) -> Result<Self, StartError> {
        let origin = Instant::now();
        let (files, deployment) = Files::open(config, rollout).map_err(StartError::Configuration)?;
        let data_dir = DataDir::open(&deployment.data_dir)?;
        let (console, desk) = console::open();
        let totals = Arc::new(Totals::default());
        let (conditions, lane) = {
            let counted = totals.lock();
            (Arc::clone(&counted.conditions), Arc::clone(&counted.lane))
        };
        let (reports, reported) = mpsc::channel(REPORTS);
        let (nudge, nudged) = mpsc::channel(1);
        let watch = crate::config::watch(files.paths(), move || {
            // A nudge that waits already says as much as a second one.
            let _ = nudge.try_send(());
        })?;
        let samples = data_dir.samples();
        let control = Control::open(files, data_dir, desk, Arc::clone(&totals), origin).await?;
        let (live, ledger) = (control.live(), control.ledger());
        let (feed, study) = study::open(live.clone(), samples)?;
        let shared = Arc::new(proxy::Shared::new(live.clone(), origin, reports, conditions, lane, feed));
        let deployment = Arc::clone(&live.load().deployment);
        let workers = worker_count(deployment.workers);
        let listeners = server::bind(&deployment.listen, &deployment.listen_tls, workers)?;
        let (listen, listen_tls) = local_addresses(&listeners)?;
        let admin_listener = admin_listener(deployment.admin).await?;
        let admin = admin_listener.local_addr()?;
        let (drain, draining) = watch::channel(false);
        let workers = spawn_workers(&shared, listeners, &draining)?;
        let limits = Arc::downgrade(&shared);
        // The control plane outlives the workers, whose last reports close its inbox: it must not hold the sender.
        drop(shared);
        let watched = watch.paths().clone();
        let applied = move |files: &Files| {
            watched.set(files.paths());
            if let Some(shared) = limits.upgrade() {
                shared.set_limits(&files.deployment().limits);
            }
        };
        if deployment.startup_probe {
            tokio::spawn(probe_all(Arc::clone(&deployment)));
        }
        let control = tokio::spawn(control.run(reported, nudged, applied));
        let ready = Arc::new(AtomicBool::new(true));
        let (admin_end, ending) = watch::channel(false);
        let shown = Admin {
            live,
            console: console.clone(),
            ledger,
            findings: study.findings.clone(),
            totals: Arc::clone(&totals),
            ready: Arc::clone(&ready),
            origin,
            listeners: admin::listeners(),
        };
        let admin_task = tokio::spawn(admin::serve(admin_listener, Arc::new(shown), ended(ending)));
        Ok(Self {
            listen,
            listen_tls,
            admin,
            console,
            totals,
            origin,
            ready,
            drain,
            workers,
            control,
            study,
            admin_end,
            admin_task,
            _watch: watch,
        })
    }

    /// Ends in order: readiness turns false, workers finish what they have begun within `drain_timeout`, their last counts
    /// and the gate's state are saved, and the admin port closes.
    pub async fn stop(self) {
        self.ready.store(false, Ordering::Relaxed);
        self.drain.send_replace(true);
        let workers = self.workers;
        let joined =
            tokio::task::spawn_blocking(move || workers.into_iter().map(JoinHandle::join).collect::<Vec<_>>()).await;
        for worker in joined.into_iter().flatten() {
            if !matches!(worker, Ok(Ok(()))) {
                tracing::error!("a worker ended in an error: {worker:?}");
            }
        }
        if let Err(error) = self.control.await {
            tracing::error!(%error, "the control plane ended in an error");
        }
        let study = self.study;
        // The thread ends between two exchanges, and writes its samples; nothing is left to do if it cannot be waited for.
        let _ = tokio::task::spawn_blocking(move || study.end()).await;
        self.admin_end.send_replace(true);
        // A scraper that holds its connection open must not hold the process.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.admin_task).await;
    }
}

async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means that the sender has gone, which is an end as well.
    let _ = ending.wait_for(|end| *end).await;
}

/// Says what is wrong with the way to each backend, if anything is; one dependency after the other.
async fn probe_all(deployment: Arc<Deployment>) {
    for dependency in &deployment.dependencies {
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

/// Of any worker, since all of them share their ports.
fn local_addresses(listeners: &[Listeners]) -> std::io::Result<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let addresses = |kind: fn(&Listeners) -> &Vec<std::net::TcpListener>| -> std::io::Result<Vec<SocketAddr>> {
        listeners.first().into_iter().flat_map(kind).map(std::net::TcpListener::local_addr).collect()
    };
    Ok((addresses(|it| &it.cleartext)?, addresses(|it| &it.tls)?))
}

async fn admin_listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| server::BindError { address, source }.into())
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
