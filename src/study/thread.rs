//! The thread that studies: within its share of one core, and with nobody waiting for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::book::{Book, Findings};
use super::budget::Budget;
use super::exchange::{Answer, ContentKind, Exchange};
use super::feed::{Feed, Shared, WAITING};
use super::file;
use super::sample::Sample;
use super::samples::Samples;
use super::shape::Seal;
use crate::config::{Handle, Live};
use crate::score::diff::{Content, Reply};

/// How often samples are written to disk, where there are new ones.
const SAVED_EACH: Duration = Duration::from_secs(10);
/// At the start, the disk has so long to say what samples there were; later, they are still taken.
const LOADED_WITHIN: Duration = Duration::from_secs(1);
/// How often the thread looks around when it has nothing to do.
const LOOKS_EACH: Duration = Duration::from_secs(1);

/// A study under way.
pub struct Study {
    /// What it has found.
    pub findings: Findings,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Begins a study of what is handed over, under the configuration in force; samples of former processes are read from `file`
/// on the study's own thread.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn open(live: Handle, file: PathBuf) -> io::Result<(Feed, Study)> {
    let (exchanges, handed_over) = sync_channel(WAITING);
    let now = live.load();
    let feed = Feed::new(exchanges, now.deployment.limits.shadow_memory);
    let budget = Budget::new(now.deployment.study.cpu);
    let findings = Findings::new(Book::new(Arc::clone(&now)));
    let student = Student {
        live,
        known: now,
        file,
        handed_over,
        shared: feed.shared(),
        findings: findings.clone(),
        budget,
        seal: Seal::default(),
        saved: Instant::now(),
        disk_is_well: true,
    };
    let (tell, loaded) = sync_channel(1);
    let thread = thread::Builder::new().name("study".to_owned()).spawn(move || student.run(&tell))?;
    let _ = loaded.recv_timeout(LOADED_WITHIN);
    Ok((feed.clone(), Study { findings, shared: feed.shared(), thread }))
}

impl Study {
    /// Ends it, with the samples on disk. What still waits is not studied.
    pub fn end(self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the study ended in a panic");
        }
    }
}

/// The thread's own.
struct Student {
    live: Handle,
    known: Arc<Live>,
    /// Where samples survive the process.
    file: PathBuf,
    handed_over: Receiver<Box<Exchange>>,
    shared: Arc<Shared>,
    findings: Findings,
    budget: Budget,
    seal: Seal,
    saved: Instant,
    /// Whether the last attempt to save succeeded; a failure is told once.
    disk_is_well: bool,
}

impl Student {
    fn run(mut self, loaded: &SyncSender<()>) {
        self.load();
        // Whoever started this may have gone on without.
        let _ = loaded.send(());
        let mut since = Instant::now();
        while !self.shared.is_ending.load(Ordering::Relaxed) {
            let begun = Instant::now();
            self.budget.earn(begun - std::mem::replace(&mut since, begun));
            if let Some(rest) = self.budget.rest() {
                self.rest(rest);
                continue;
            }
            match self.handed_over.recv_timeout(LOOKS_EACH) {
                Ok(exchange) => {
                    let begun = Instant::now();
                    self.study_whatever_it_is(&exchange);
                    drop(exchange);
                    self.budget.spend(begun.elapsed());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let begun = Instant::now();
            self.look_around();
            self.budget.spend(begun.elapsed());
        }
        self.save();
    }

    fn load(&self) {
        let mut samples = Samples::default();
        if let Err(error) = file::load(&self.file, &mut samples) {
            tracing::warn!(file = %self.file.display(), %error, "samples of former runs cannot be read");
        }
        self.findings.lock().remember(samples);
    }

    /// Someone who ends the study ends the rest.
    fn rest(&self, rest: Duration) {
        self.shared.is_resting.store(true, Ordering::Relaxed);
        thread::park_timeout(rest);
        self.shared.is_resting.store(false, Ordering::Relaxed);
    }

    /// Bodies are anybody's bytes: should one of them lead to a panic, it is the only one that is not studied.
    fn study_whatever_it_is(&self, exchange: &Exchange) {
        if catch_unwind(AssertUnwindSafe(|| self.study(exchange))).is_err() {
            tracing::error!("studying an exchange panicked");
        }
    }

    fn study(&self, exchange: &Exchange) {
        if let Some(sample) = Sample::of(exchange, Timestamp::now(), &self.seal) {
            self.findings.lock().sampled(sample);
        }
        if exchange.is_pair {
            self.compare(exchange);
        }
    }

    /// Reads the bodies before anybody who asks has to wait.
    fn compare(&self, exchange: &Exchange) -> Option<()> {
        let route = exchange.dependency.routes.get(exchange.route)?;
        let read = |answer: &Answer| Read::of(answer, &exchange.live);
        let v1 = read(exchange.v1.as_ref()?.answer.as_ref()?)?;
        let v2 = read(exchange.v2.as_ref()?.answer.as_ref()?)?;
        // Answers to HEAD, say.
        if v1.is_empty && v2.is_empty {
            return None;
        }
        let again = exchange.noise.as_ref().and_then(|answer| read(answer));
        let mut book = self.findings.lock();
        let study = book.study(&exchange.dependency, route)?;
        study.pair(&v1.reply(), &v2.reply());
        if let Some(again) = again {
            study.noise(&v1.reply(), &again.reply());
        }
        Some(())
    }

    fn look_around(&mut self) {
        if !self.live.is_current(&self.known) {
            self.known = self.live.load();
            self.budget.set_share(self.known.deployment.study.cpu);
            self.findings.lock().adopt(Arc::clone(&self.known));
        }
        if self.saved.elapsed() >= SAVED_EACH {
            self.save();
        }
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        let mut book = self.findings.lock();
        if !std::mem::take(&mut book.news) {
            return;
        }
        let content = file::content(&book.samples);
        // Nobody who asks for findings waits for the disk.
        drop(book);
        let saved = file::save(&self.file, &content);
        if let (Err(error), true) = (&saved, self.disk_is_well) {
            tracing::warn!(file = %self.file.display(), %error, "samples cannot be written; further failures are not told");
        }
        self.disk_is_well = saved.is_ok();
    }
}

/// An answer as the comparison sees it.
struct Read {
    status: u16,
    kind: ContentKind,
    content: Content,
    is_empty: bool,
}

impl Read {
    /// `None` where the content was not kept, or cannot be decoded.
    fn of(answer: &Answer, live: &Live) -> Option<Self> {
        let most = live.deployment.limits.score_body;
        let content = answer.shown(most)?;
        let (status, is_empty) = (answer.status.as_u16(), content.is_empty());
        Some(Self { status, kind: answer.kind, content: Content::read(&content), is_empty })
    }

    fn reply(&self) -> Reply<'_> {
        Reply { status: self.status, content_type: self.kind.as_str(), content: &self.content }
    }
}
