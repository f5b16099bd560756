//! `crossfade run`: the proxy, from signals to exit code.

use std::io;
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, INVALID};
use crate::app::{App, StartError};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The file of the team that runs the proxy
    #[arg(long, env = "CROSSFADE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The file of the release managers; by default the one that crossfade.toml names
    #[arg(long, env = "CROSSFADE_ROLLOUT", value_name = "FILE")]
    rollout: Option<PathBuf>,
}

pub(super) fn run(args: &Run) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let app = App::start(&args.config, args.rollout.clone()).await.map_err(refuse)?;
        for address in &app.listen {
            tracing::info!("listening on {address}");
        }
        for address in &app.listen_tls {
            tracing::info!("listening with TLS on {address}");
        }
        tracing::info!("admin on {}", app.admin);
        signals.until_end(&app).await;
        tracing::info!("draining");
        tokio::select! {
            () = app.stop() => tracing::info!("done"),
            () = signals.end() => {
                tracing::warn!("stopped at once, at the second signal");
                return Err(Failure::Code(super::FAILED));
            }
        }
        Ok(())
    });
    // Somebody may still be reading the ledger: a disk that hangs does not hold up the end.
    runtime.shutdown_background();
    ended
}

/// An invalid configuration is shown with its places, everything else with its causes.
fn refuse(error: StartError) -> Failure {
    if let StartError::Configuration(problems) = &error {
        anstream::eprint!("{}", problems.render(super::wants_color()));
        return Failure::Code(INVALID);
    }
    error.into()
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    /// Only heard so that it does not end the process: a file that may not grow is an error like a full disk.
    _file_size: Signal,
}

/// `SIGXFSZ` on Linux.
const FILE_SIZE: i32 = 25;

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
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
                    // What is wrong with them is logged where it is found.
                    let _ = app.console.reload().await;
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
