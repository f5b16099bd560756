//! `crossfade run`: the proxy, from signals to exit code.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::supervisor::{self, Watchdog};
use super::{Failure, INVALID};
use crate::app::{App, SocketsFrom, StartError, Successor};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The file of the team that runs the proxy
    #[arg(long, env = "CROSSFADE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The file of the release managers; by default the one that crossfade.toml names
    #[arg(long, env = "CROSSFADE_ROLLOUT", value_name = "FILE")]
    rollout: Option<PathBuf>,
    /// Take the place of the process that uses the same data directory: its sockets, then its ledger; it drains and ends
    #[arg(long)]
    take_over: bool,
}

pub(super) fn run(args: &Run) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut around = Around { signals: Signals::new()?, watchdog: Watchdog::new() };
        let from = if args.take_over { SocketsFrom::Predecessor } else { SocketsFrom::Supervisor };
        let app = App::start_from(from, &args.config, args.rollout.clone()).await.map_err(refuse)?;
        announce(&app);
        around.serve(app, args).await
    });
    // Somebody may still be reading the ledger: a disk that hangs does not hold up the end.
    runtime.shutdown_background();
    ended
}

fn announce(app: &App) {
    for address in &app.listen {
        tracing::info!("listening on {address}");
    }
    for address in &app.listen_tls {
        tracing::info!("listening with TLS on {address}");
    }
    tracing::info!("admin on {}", app.admin);
    supervisor::ready();
}

/// What a running process hears and is watched by.
struct Around {
    signals: Signals,
    watchdog: Watchdog,
}

/// What ends the ordinary course of a process.
enum Turn {
    End,
    Successor(Successor),
}

impl Around {
    async fn serve(&mut self, mut app: App, args: &Run) -> Result<(), Failure> {
        loop {
            let mut successor = match self.next(&app).await {
                Turn::Successor(successor) => successor,
                Turn::End => {
                    supervisor::stopping();
                    tracing::info!("draining");
                    return self.drain(app.stop()).await;
                }
            };
            tracing::info!(pid = successor.pid, "handing over to another process");
            match self.watchdog.feeding(app.hand_over(&mut successor)).await {
                Ok(()) => {
                    if let Some(pid) = successor.pid.and_then(|pid| u32::try_from(pid).ok()) {
                        supervisor::succeeded_by(pid);
                    }
                    tracing::info!("handed over, draining");
                    return self.follow(app.leave(successor)).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the other process does not serve: this one goes on");
                    drop(successor);
                    app = self.begin_again(app, args).await?;
                }
            }
        }
    }

    async fn next(&mut self, app: &App) -> Turn {
        let mut end = std::pin::pin!(self.signals.until_end(app));
        let mut successor = std::pin::pin!(app.successor());
        loop {
            tokio::select! {
                () = &mut end => return Turn::End,
                successor = &mut successor => return Turn::Successor(successor),
                () = self.watchdog.due() => if app.is_alive() { Watchdog::feed() },
            }
        }
    }

    /// Consumers are served on meanwhile, with what was in force when the ledger was let go.
    async fn begin_again(&mut self, app: App, args: &Run) -> Result<App, Failure> {
        loop {
            match self.watchdog.feeding(app.begin_again(&args.config, args.rollout.clone())).await {
                Ok(next) => {
                    tokio::spawn(app.stop());
                    announce(&next);
                    return Ok(next);
                }
                Err(error) => tracing::error!("failed to go on: {}", chain(&error)),
            }
            tokio::select! {
                () = self.signals.end() => return self.drain(app.stop()).await.and(Err(Failure::Code(super::FAILED))),
                () = self.watchdog.feeding(tokio::time::sleep(AGAIN)) => {}
            }
        }
    }

    /// A supervisor that stops the service tells all its processes: one that drains goes on.
    async fn follow(&mut self, leaving: impl Future<Output = ()>) -> Result<(), Failure> {
        let mut leaving = std::pin::pin!(leaving);
        tokio::select! {
            () = &mut leaving => {
                tracing::info!("done");
                return Ok(());
            }
            () = self.signals.end() => {}
        }
        self.drain(leaving).await
    }

    async fn drain(&mut self, ending: impl Future<Output = ()>) -> Result<(), Failure> {
        tokio::select! {
            () = self.watchdog.feeding(ending) => {
                tracing::info!("done");
                Ok(())
            }
            () = self.signals.end() => {
                tracing::warn!("stopped at once, at the second signal");
                Err(Failure::Code(super::FAILED))
            }
        }
    }
}

/// An error with its causes, in a line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// An invalid configuration is shown with its places, everything else with its causes.
fn refuse(error: StartError) -> Failure {
    if let StartError::Configuration(problems) = &error {
        anstream::eprint!("{}", problems.render(super::wants_color()));
        return Failure::Code(INVALID);
    }
    error.into()
}

/// Starts this program once more, as it is installed now, to take over from this process. It asks for that itself.
fn start_again() -> io::Result<u32> {
    let mut args = std::env::args_os();
    let program = args.next().ok_or_else(|| io::Error::other("its name is not known"))?;
    let mut command = Command::new(program);
    command.args(args.filter(|arg| arg != TAKE_OVER)).arg(TAKE_OVER);
    // Of this process only: a watchdog that asks for a certain process would not let the next one answer.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    let pid = child.id();
    // It outlives this process, or fails while this one goes on.
    std::thread::spawn(move || match child.wait() {
        Ok(status) if status.success() => {}
        ended => tracing::error!("process {pid}, which was to take over, has ended: {ended:?}"),
    });
    Ok(pid)
}

struct Signals {
    again: Signal,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    /// Only heard so that it does not end the process: a file that may not grow is an error like a full disk.
    _file_size: Signal,
}

const TAKE_OVER: &str = "--take-over";

/// Between two attempts to go on after a successor failed.
const AGAIN: Duration = Duration::from_secs(1);

/// `SIGXFSZ` on Linux.
const FILE_SIZE: i32 = 25;

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            again: signal(SignalKind::user_defined2())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE))?,
        })
    }

    async fn until_end(&mut self, app: &App) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reading both files again");
                    supervisor::reloading();
                    // What is wrong with them is logged where it is found.
                    let _ = app.console.reload().await;
                    supervisor::ready();
                }
                _ = self.again.recv() => match start_again() {
                    Ok(pid) => tracing::info!("SIGUSR2: process {pid} is to take over"),
                    Err(error) => tracing::error!(%error, "SIGUSR2: failed to start this program again"),
                }
            }
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
