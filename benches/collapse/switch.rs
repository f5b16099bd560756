//! From a verdict to the last request that V2 gets as the primary: V2 serves half of a dense traffic, and loses it to a person's
//! verb, or to the gate after a collapse.
//!
//! Arrivals at V2 are measured at V2 itself, so what is counted includes the way there: the proxy had decided earlier.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossfade::app::App;
use crossfade::console::{EventKind, Order, Verb};

use crate::consumers::Consumers;
use crate::origin::Scene;
use crate::stream::{Miss, Stream};
use crate::trial::{Error, write_files};

/// Requests a second, half of them for V2: one every 1.3 ms.
const RATE: u64 = 1_500;
/// The longest climb to 50 %, and the longest fall.
const PATIENCE: Duration = Duration::from_secs(30);
/// Traffic before and after.
const STEADY: Duration = Duration::from_millis(700);

/// Who says that V2 is to lose its traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A person.
    Verb,
    /// The gate.
    Verdict,
}

/// When the last request reached V2 as the primary, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch {
    /// After the event's time.
    pub(crate) after_event: f64,
    /// After a person's verb was given.
    pub(crate) after_order: Option<f64>,
    /// Requests that V2 got in the half second before.
    pub(crate) before: usize,
}

/// # Errors
/// When anything went another way than the story.
pub(crate) fn run(by: By, seed: u64) -> Result<Switch, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let stream = Stream { seed };
        let scene = Arc::new(Scene::new(stream, Miss::Error));
        write_files(folder.path(), &scene, ROLLOUT).await?;
        play(folder.path(), &scene, stream, by).await
    })
}

const ROLLOUT: &str = "percent = 50\nsteps = [50]\nblip = \"0s\"\nrescue = false\n";

async fn play(folder: &Path, scene: &Scene, stream: Stream, by: By) -> Result<Switch, Error> {
    let app = App::start(&folder.join("crossfade.toml"), None).await?;
    let consumers = Consumers::new(app.listen[0], stream, RATE);
    let traffic = tokio::spawn(Arc::clone(&consumers).run());
    let fallen = tokio::time::timeout(PATIENCE, fall(&app, scene, &consumers, by)).await;
    tokio::time::sleep(STEADY).await;
    consumers.stop();
    traffic.await??;
    app.stop().await;
    let (event, order) = fallen.map_err(|_| "the gate did not climb, or not fall, in time")??;
    let arrivals = scene.arrivals_at_v2();
    let last = *arrivals.last().ok_or("V2 served nobody")?;
    let since = |time: SystemTime| match last.duration_since(time) {
        Ok(after) => after.as_secs_f64() * 1e3,
        Err(before) => -before.duration().as_secs_f64() * 1e3,
    };
    let before = arrivals.iter().filter(|at| last.duration_since(**at).is_ok_and(|ago| ago.as_millis() < 500)).count();
    Ok(Switch { after_event: since(event), after_order: order.map(since), before })
}

async fn fall(
    app: &App,
    scene: &Scene,
    consumers: &Consumers,
    by: By,
) -> Result<(SystemTime, Option<SystemTime>), Error> {
    let mut status = app.console.follow();
    let is_risen = |effective: u32| effective == 50_000;
    status
        .wait_for(|status| status.dependencies.first().is_some_and(|it| is_risen(it.percent.effective.thousandths())))
        .await?;
    tokio::time::sleep(STEADY).await;
    let mut events = app.console.events();
    let mut given = None;
    if by == By::Verb {
        given = Some(SystemTime::now());
        let order = Order { dependency: "bench".to_owned(), verb: Verb::Rollback, by: None, reason: None };
        app.console.order(order).await?;
    } else {
        scene.collapse_at(consumers.next());
    }
    loop {
        let event = events.recv().await?;
        if event.kind == EventKind::Rollback {
            return Ok((event.time.into(), given));
        }
    }
}
