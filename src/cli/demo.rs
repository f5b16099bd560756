//! `crossfade demo`: a whole migration in one process, on loopback ports, with nothing else installed.
//!
//! Two origins, steady traffic, and between them the proxy exactly as [`App::start`](crate::app::App::start) starts it from
//! two files. The story moves it the way people do, by writing `rollout.toml` and by the verbs; all that is told comes from
//! the proxy and its consumers.

mod answer;
mod counts;
mod evidence;
mod folder;
mod narrator;
mod origin;
mod report;
mod scene;
mod story;
mod stretch;
mod traffic;
mod world;

use std::io;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::narrator::{Narrator, Tone};
use self::report::Report;
use self::scene::{Pace, Scene, Stop};
use self::story::{Act, SPOILT};
use self::world::World;
use super::{FAILED, Failure};

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Play the story as fast as the gate can prove anything, check each act, print the report, and end
    #[arg(long)]
    once: bool,
}

pub(super) fn run(demo: &Demo) -> Result<(), Failure> {
    let pace = if demo.once { Pace::Once } else { Pace::People };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let world = World::start(story::first_wish(), SPOILT).await?;
        let told = tokio::select! {
            told = tell(&world, pace) => told,
            () = signals.end() => interrupted(pace),
        };
        tokio::select! {
            () = world.end() => told,
            () = signals.end() => Err(Failure::Code(FAILED)),
        }
    })
}

/// Plays all acts; for people, goes on afterwards.
async fn tell(world: &World, pace: Pace) -> Result<(), Failure> {
    let mut narrator = Narrator::new();
    narrator.write(&introduction(world, pace))?;
    let mut scene = Scene::new(world, pace, narrator, &story::first_wish().text());
    let mut report = Report::default();
    for act in Act::ALL {
        report.open(act.title());
        match act.play(&mut scene).await {
            Ok(found) => report.close(&found),
            Err(Stop::Io(error)) => return Err(error.into()),
            Err(Stop::ByHand) if pace == Pace::People => {
                return follow(&mut scene, "you took over: the story ends here").await;
            }
            Err(stop) => {
                scene.narrator.write(&report.failed(&stop))?;
                return Err(Failure::Code(FAILED));
            }
        }
    }
    scene.narrator.write(&report.passed())?;
    match pace {
        Pace::Once => Ok(()),
        Pace::People => follow(&mut scene, "the story is over").await,
    }
}

/// Goes on with live traffic until somebody interrupts, and tells what happens.
async fn follow(scene: &mut Scene<'_>, why: &str) -> Result<(), Failure> {
    scene.expect_nothing();
    scene.lap();
    scene.narrator.head("Yours")?;
    let text =
        format!("{why}. The traffic goes on: edit rollout.toml, spoil V2, or use the verbs. Ctrl-C ends and cleans up");
    scene.narrator.tell(Tone::Plain, &text)?;
    loop {
        match scene.step(None).await {
            Ok(_) => {}
            Err(Stop::Io(error)) => return Err(error.into()),
            Err(stop) => {
                scene.narrator.write(&report::in_words(&stop))?;
                return Err(Failure::Code(FAILED));
            }
        }
    }
}

/// People end the demo when they have seen enough; a story that is played to be checked has failed then.
fn interrupted(pace: Pace) -> Result<(), Failure> {
    match pace {
        Pace::People => {
            anstream::println!("\nStopped; nothing is left behind.");
            Ok(())
        }
        Pace::Once => Err(Failure::Code(FAILED)),
    }
}

/// What runs where.
fn introduction(world: &World, pace: Pace) -> String {
    let intro = "crossfade demo: V1 and V2 of a recommendation service, 400 requests a second from 2000 users,\n\
                 and the proxy in between; all in this process, on loopback ports.\n";
    if pace == Pace::Once {
        return intro.to_owned();
    }
    let (admin, v2, folder) = (world.app.admin, world.v2.address, world.folder.path().display());
    let proxy = world.app.listen.first().map(ToString::to_string).unwrap_or_default();
    format!(
        "{intro}\n  proxy    curl -i -H 'x-user-id: ada' http://{proxy}/recommendations/ada\
           \n  page     http://{admin}/\
         \n  metrics  curl http://{admin}/metrics\
           \n  status   crossfade status --watch --admin http://{admin}\
           \n  as JSON  curl http://{admin}/api/v1/dependencies\
           \n  verbs    crossfade rollback recommendations --admin http://{admin}\
           \n  rollout  {folder}/rollout.toml (edit it, and see what follows)\
           \n  spoil    curl -X PUT http://{v2}/hit-rate/60 (and so V2's hit rate is 60 %)\n"
    )
}

/// What ends the demo: Ctrl-C, a polite request, or a terminal that goes away.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
