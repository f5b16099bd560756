//! One trial: a real proxy between real sockets climbs to 5 % on evidence, V2 collapses, and the gate rolls back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade::app::App;
use crossfade::backend::Backend;
use crossfade::console::EventKind;
use jiff::Timestamp;

use crate::consumers::{Answer, Consumers};
use crate::origin::{Scene, origin};
use crate::stream::{Miss, RATE, Stream};

/// The longest climb: some 8000 requests are needed, and chance may want several times as many.
const CLIMB: Duration = Duration::from_secs(40);
/// V2 is healthy for so long at 5 %.
const SETTLED: Duration = Duration::from_secs(3);
/// The longest fall.
const FALL: Duration = Duration::from_secs(10);
/// The longest trial, its beginning and end included: three rounds of it end in three minutes.
const TRIAL: Duration = Duration::from_secs(57);
/// Traffic after the rollback, to see that V2 gets no more of it.
const AFTERWARDS: Duration = Duration::from_millis(500);

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) miss: Miss,
    pub(crate) blip_s: u32,
    pub(crate) rescue: bool,
}

/// What became of it. Times are from the start of the first request that met the collapsed V2.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) setting: Setting,
    /// How long the gate wanted to see evidence before it exposed anybody.
    pub(crate) climb: Duration,
    /// The first request of the collapse.
    pub(crate) collapse_at: u64,
    pub(crate) collapsed: Instant,
    pub(crate) freeze: Option<Duration>,
    pub(crate) rollback: Duration,
    /// From the collapse on, of consumers that V2 serves.
    pub(crate) exposed: Vec<Answer>,
    /// Answers since the rise to 5 % that are not what the traffic's function says.
    pub(crate) unexpected: usize,
}

impl Trial {
    /// Consumers that got a bad answer.
    pub(crate) fn bad(&self) -> usize {
        self.exposed.iter().filter(|answer| !answer.is_rich).count()
    }

    /// Of these, the ones for which V1 had a good one.
    pub(crate) fn avoidable(&self) -> usize {
        let stream = Stream { seed: self.setting.seed };
        let v1_is_rich = |answer: &&Answer| !answer.is_rich && stream.is_rich(Backend::V1, answer.number, true);
        self.exposed.iter().filter(v1_is_rich).count()
    }

    /// When the last request began that went to V2, relative to the rollback, in milliseconds.
    pub(crate) fn last_to_v2_ms(&self) -> Option<f64> {
        let last = self.exposed.last()?.begun.duration_since(self.collapsed);
        Some((last.as_secs_f64() - self.rollback.as_secs_f64()) * 1e3)
    }
}

/// Runs one trial on this thread.
///
/// # Errors
/// When anything went another way than the story.
pub(crate) fn run(setting: Setting) -> Result<Trial, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let played = tokio::time::timeout(TRIAL, play(setting)).await;
        played.map_err(|_| "the trial did not end in time")?
    })
}

async fn play(setting: Setting) -> Result<Trial, Error> {
    let stream = Stream { seed: setting.seed };
    let scene = Arc::new(Scene::new(stream, setting.miss));
    let folder = tempfile::tempdir()?;
    let rollout = format!("percent = 5\nsteps = [5]\nblip = \"{}s\"\nrescue = {}\n", setting.blip_s, setting.rescue);
    write_files(folder.path(), &scene, &rollout).await?;
    let app = App::start(&folder.path().join("crossfade.toml"), None).await?;
    let consumers = Consumers::new(app.listen[0], stream, RATE);
    let traffic = tokio::spawn(Arc::clone(&consumers).run());
    let told = tell(&app, &scene, &consumers).await;
    consumers.stop();
    let answers = traffic.await??;
    app.stop().await;
    told?.trial(setting, &scene, &answers)
}

/// What was decided, and when.
struct Told {
    climb: Duration,
    risen_at: u64,
    collapse_at: u64,
    freeze: Option<Timestamp>,
    rollback: Timestamp,
}

async fn tell(app: &App, scene: &Scene, consumers: &Consumers) -> Result<Told, Error> {
    let begun = Instant::now();
    let mut status = app.console.follow();
    let risen = status.wait_for(|status| {
        status.dependencies.first().is_some_and(|dependency| dependency.percent.effective.thousandths() == 5_000)
    });
    tokio::time::timeout(CLIMB, risen).await.map_err(|_| "the gate did not climb in time")??;
    let (climb, risen_at) = (begun.elapsed(), consumers.next());
    tokio::time::sleep(SETTLED).await;
    let mut events = app.console.events();
    // A little ahead, so that no request of the collapse is on its way before it begins.
    let collapse_at = consumers.next() + 10;
    scene.collapse_at(collapse_at);
    let mut freeze = None;
    let fall = async {
        loop {
            let event = events.recv().await?;
            match event.kind {
                EventKind::Freeze => freeze = freeze.or(Some(event.time)),
                EventKind::Rollback => return Ok::<_, Error>(event.time),
                _ => {}
            }
        }
    };
    let rollback = tokio::time::timeout(FALL, fall).await.map_err(|_| "the gate did not roll back in time")??;
    tokio::time::sleep(AFTERWARDS).await;
    Ok(Told { climb, risen_at, collapse_at, freeze, rollback })
}

impl Told {
    fn trial(self, setting: Setting, scene: &Scene, answers: &[Answer]) -> Result<Trial, Error> {
        let first =
            answers.iter().find(|answer| answer.number == self.collapse_at).ok_or("no request met the collapse")?;
        // Events carry the time of day, and requests that of the steady clock.
        let (now, today) = (Instant::now(), Timestamp::now());
        let since = |time: Timestamp| {
            let ago = Duration::try_from(today.duration_since(time)).unwrap_or_default();
            now.duration_since(first.begun).saturating_sub(ago)
        };
        let is_exposed = |answer: &&Answer| answer.primary == Backend::V2 && answer.number >= self.collapse_at;
        let unexpected = |answer: &&Answer| answer.number >= self.risen_at && !is_as_expected(scene, setting, answer);
        Ok(Trial {
            setting,
            climb: self.climb,
            collapse_at: self.collapse_at,
            collapsed: first.begun,
            freeze: self.freeze.map(since),
            rollback: since(self.rollback),
            exposed: answers.iter().filter(is_exposed).copied().collect(),
            unexpected: answers.iter().filter(unexpected).count(),
        })
    }
}

/// Whether an answer follows from its request, the version its consumer is on, and `rescue`.
fn is_as_expected(scene: &Scene, setting: Setting, answer: &Answer) -> bool {
    let is_rich = |backend| scene.is_rich(backend, answer.number);
    let rescues = answer.primary == Backend::V2 && setting.rescue && !is_rich(Backend::V2) && is_rich(Backend::V1);
    let right = answer.is_rich == (rescues || is_rich(answer.primary));
    let allowed = answer.primary == Backend::V1 || scene.stream.is_exposed(answer.number);
    right && allowed && answer.is_rescued == rescues && answer.status == setting.miss.status(answer.is_rich)
}

/// Starts both backends, and writes both files; `rollout` says what is special about the entry.
pub(crate) async fn write_files(folder: &Path, scene: &Arc<Scene>, rollout: &str) -> std::io::Result<()> {
    let v1 = origin(Arc::clone(scene), Backend::V1).await?;
    let v2 = origin(Arc::clone(scene), Backend::V2).await?;
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nworkers = 1\n\
         [dependency.bench]\nv1 = {{ url = \"http://{v1}\" }}\nv2 = {{ url = \"http://{v2}\" }}\n\
         [[dependency.bench.route]]\nname = \"all\"\n\
         [dependency.bench.route.score]\nstatus = [200]\nrequired = [\"/items\"]\nnon_empty = [\"/items\"]\n"
    );
    let rollout = format!(
        "[bench]\nstage = \"cutover\"\nslo = 0.95\nbake = \"0s\"\noverdispersion = \"off\"\nkey = [\"header:x-user-id\"]\n\
         {rollout}"
    );
    std::fs::write(folder.join("crossfade.toml"), config)?;
    std::fs::write(folder.join("rollout.toml"), rollout)
}
