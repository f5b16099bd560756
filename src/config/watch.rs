//! Tells when a configuration file may have changed, however it was replaced.
//!
//! What is watched is the folder, since a watch on the file itself dies with the first atomic rename, and none of the
//! events of a Kubernetes `ConfigMap` swap names the file. Events therefore only say "look": what counts is a hash of the
//! content, which is also taken twice a second, in case events are lost (network file systems, inotify limits) or the
//! folder itself is replaced. A Kubernetes `subPath` mount never changes, and nothing here can see that it should.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use xxhash_rust::xxh3::Xxh3Default;

/// How long to wait for an event; with [`QUIET`], the content is compared twice a second without any.
const POLL: Duration = Duration::from_millis(400);
/// A content that stays for so long is taken as completely written.
const QUIET: Duration = Duration::from_millis(100);
/// A file that changes all the time is reported after so long all the same: with the two above, within a second.
const PATIENCE: Duration = Duration::from_millis(300);
/// Hashed per file; a larger one is refused by the reader anyway.
const MAX_HASHED: u64 = 8 << 20;

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    paths: WatchedPaths,
    thread: Option<JoinHandle<()>>,
}

/// Which files a [`Watch`] looks at. Clones share it.
#[derive(Debug, Clone)]
pub struct WatchedPaths {
    paths: Arc<Mutex<Vec<PathBuf>>>,
    wake: SyncSender<()>,
}

impl WatchedPaths {
    /// Looks at these files from now on. Where they are others than before, that counts as a change: one of them may have
    /// changed after its content was read.
    pub fn set(&self, paths: Vec<PathBuf>) {
        let mut watched = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if *watched != paths {
            *watched = paths;
            // Full: a wake-up is pending, which will do.
            let _ = self.wake.try_send(());
        }
    }

    fn load(&self) -> Vec<PathBuf> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Calls `on_change`, on a thread of its own, each time that the content of any of `paths` has changed: within a second,
/// and not before it has been the same for 100 ms. Appearing and disappearing are changes. A write of the same content
/// is none. The state at the time of this call is the first to compare with.
///
/// # Errors
/// When the thread cannot be started. Without a working notification of the system (reported as a warning), changes are
/// found by comparing.
pub fn watch(paths: Vec<PathBuf>, on_change: impl FnMut() + Send + 'static) -> io::Result<Watch> {
    // One pending wake-up says as much as many.
    let (wake, woken) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let mut events = FolderEvents::new(wake.clone());
    events.watch(&paths);
    let first = fingerprints(&paths);
    let paths = WatchedPaths { paths: Arc::new(Mutex::new(paths)), wake };
    let thread = thread::Builder::new().name("config-watch".to_owned()).spawn({
        let stop = Arc::clone(&stop);
        let mut follower = Follower { paths: paths.clone(), events, woken, stop };
        move || follower.follow(first, on_change)
    })?;
    Ok(Watch { stop, paths, thread: Some(thread) })
}

impl Watch {
    /// Which files are looked at.
    pub const fn paths(&self) -> &WatchedPaths {
        &self.paths
    }
}

impl Drop for Watch {
    /// Waits for a call of `on_change` that is under way.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Full: a wake-up is pending, which will do.
        let _ = self.paths.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            // A panic of `on_change` has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Sends a wake-up for every event in the folders of the watched files.
struct FolderEvents {
    /// `None` where the system has none to give.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl FolderEvents {
    fn new(wake: SyncSender<()>) -> Self {
        let result = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| !is_reading(event.kind)) {
                let _ = wake.try_send(());
            }
        });
        Self { watcher: result.inspect_err(warn_of).ok(), folders: BTreeSet::new() }
    }

    /// Watches the folders of these files, and no others any more.
    fn watch(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<_> = paths.iter().map(|path| folder_of(path).to_owned()).collect();
        for folder in self.folders.difference(&wanted) {
            // One that is gone need not be left.
            let _ = watcher.unwatch(folder);
        }
        for folder in wanted.difference(&self.folders) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                warn_of(&error);
            }
        }
        self.folders = wanted;
    }
}

/// Reading is not news, least of all our own: it would wake us for ever.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

fn warn_of(error: &notify::Error) {
    tracing::warn!(%error, "no notification of file changes: comparing twice a second");
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

struct Follower {
    paths: WatchedPaths,
    events: FolderEvents,
    woken: Receiver<()>,
    stop: Arc<AtomicBool>,
}

impl Follower {
    fn follow(&mut self, first: Vec<Option<u64>>, mut on_change: impl FnMut()) {
        let (mut paths, mut seen) = (self.paths.load(), first);
        while self.wait(POLL) {
            // However busy the folder is, ten looks a second are enough.
            self.rest();
            let wanted = self.paths.load();
            let others = wanted != paths;
            if others {
                self.events.watch(&wanted);
                paths = wanted;
            }
            if !others && fingerprints(&paths) == seen {
                continue;
            }
            let now = settle(|| fingerprints(&paths), || self.rest());
            if (others || now != seen) && !self.stopped() {
                seen = now;
                on_change();
            }
        }
    }

    /// Waits for a wake-up, at most for `limit`; false when it is time to end.
    fn wait(&self, limit: Duration) -> bool {
        let woken = self.woken.recv_timeout(limit);
        !self.stopped() && woken != Err(RecvTimeoutError::Disconnected)
    }

    /// Waits for [`QUIET`], whatever happens meanwhile; ends early only when it is time to end.
    fn rest(&self) {
        let end = Instant::now() + QUIET;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if left.is_zero() || !self.wait(left) {
                return;
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What `read` returns twice in a row, `rest` lying between; or the last of what it returned within [`PATIENCE`].
fn settle<T: PartialEq>(mut read: impl FnMut() -> T, mut rest: impl FnMut()) -> T {
    let mut last = read();
    for _ in 0..PATIENCE.as_millis() / QUIET.as_millis() {
        rest();
        let now = read();
        if now == last {
            break;
        }
        last = now;
    }
    last
}

fn fingerprints(paths: &[PathBuf]) -> Vec<Option<u64>> {
    paths.iter().map(|path| fingerprint(path).ok()).collect()
}

/// XXH3-64 of a file's content.
fn fingerprint(path: &Path) -> io::Result<u64> {
    let mut hasher = Xxh3Default::new();
    let mut file = File::open(path)?.take(MAX_HASHED);
    let mut block = [0; 8192];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.digest()),
            n => hasher.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use tempfile::TempDir;

    use super::*;

    /// Far longer than the second that is promised: a busy machine shall not fail a test.
    const BOUND: Duration = Duration::from_secs(20);

    /// A watched file, and what it held at each report.
    struct Watched {
        folder: TempDir,
        contents: Receiver<Option<String>>,
        watch: Watch,
    }

    impl Watched {
        fn new(prepare: impl FnOnce(&Path)) -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            prepare(folder.path());
            let path = folder.path().join("rollout.toml");
            let (send, contents) = channel();
            let watch = watch(vec![path.clone()], move || {
                let _ = send.send(fs::read_to_string(&path).ok());
            })
            .expect("a thread");
            Self { folder, contents, watch }
        }

        /// Waits until the file is seen with a content.
        fn sees(&self, expected: Option<&str>) {
            let end = Instant::now() + BOUND;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let seen = self.contents.recv_timeout(left).expect("the change is seen in time");
                if seen.as_deref() == expected {
                    return;
                }
            }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.folder.path().join(name), content).expect("writable");
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.folder.path().join(from), self.folder.path().join(to)).expect("renamed");
        }
    }

    fn plain(folder: &Path) {
        fs::write(folder.join("rollout.toml"), "1").expect("writable");
    }

    #[test]
    fn sees_a_rewrite_in_place() {
        let watched = Watched::new(plain);
        watched.write("rollout.toml", "2");
        watched.sees(Some("2"));
        watched.write("rollout.toml", "3");
        watched.sees(Some("3"));
    }

    #[test]
    fn sees_one_atomic_rename_after_another() {
        let watched = Watched::new(plain);
        for content in ["2", "3", "4"] {
            watched.write(".rollout.toml.swp", content);
            watched.rename(".rollout.toml.swp", "rollout.toml");
            watched.sees(Some(content));
        }
    }

    #[test]
    fn sees_a_file_go_and_come_back() {
        let watched = Watched::new(plain);
        fs::remove_file(watched.folder.path().join("rollout.toml")).expect("removed");
        watched.sees(None);
        watched.write("rollout.toml", "2");
        watched.sees(Some("2"));
    }

    #[cfg(unix)]
    #[test]
    fn sees_every_swap_of_a_config_map() {
        use std::os::unix::fs::symlink;

        let version = |folder: &Path, name: &str, content: &str| {
            fs::create_dir(folder.join(name)).expect("created");
            fs::write(folder.join(name).join("rollout.toml"), content).expect("writable");
        };
        let watched = Watched::new(|folder| {
            version(folder, "..1", "1");
            symlink("..1", folder.join("..data")).expect("linked");
            symlink("..data/rollout.toml", folder.join("rollout.toml")).expect("linked");
        });
        for content in ["2", "3"] {
            let name = format!("..{content}");
            version(watched.folder.path(), &name, content);
            symlink(&name, watched.folder.path().join("..data_tmp")).expect("linked");
            watched.rename("..data_tmp", "..data");
            watched.sees(Some(content));
        }
    }

    #[test]
    fn sees_changes_of_files_that_were_named_later() {
        let watched = Watched::new(plain);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let later = folder.path().join("later.pem");
        fs::write(&later, "1").expect("writable");
        let first = watched.folder.path().join("rollout.toml");
        watched.watch.paths().set(vec![first, later.clone()]);
        watched.sees(Some("1"));
        fs::write(&later, "2").expect("writable");
        watched.sees(Some("1"));
    }

    #[test]
    fn the_same_content_again_is_no_change() {
        let watched = Watched::new(plain);
        watched.write("rollout.toml", "1");
        watched.write("rollout.toml", "2");
        assert_eq!(watched.contents.recv_timeout(BOUND).expect("one report").as_deref(), Some("2"));
    }

    #[test]
    fn a_file_in_the_middle_of_being_written_is_waited_for() {
        let mut reads = ["half", "whole", "whole", "later"].into_iter();
        assert_eq!(settle(|| reads.next().expect("no more reads than needed"), || ()), "whole");
    }

    #[test]
    fn a_file_that_never_rests_is_reported_all_the_same() {
        let mut reads = 0;
        let last = settle(
            || {
                reads += 1;
                reads
            },
            || (),
        );
        assert_eq!(last, 4, "the first read, and one after each rest within the patience");
    }

    #[test]
    fn reading_is_no_news_but_writing_is() {
        let open = AccessKind::Open(AccessMode::Any);
        let read = AccessKind::Close(AccessMode::Read);
        let written = AccessKind::Close(AccessMode::Write);
        assert_eq!([open, read, written].map(|kind| is_reading(EventKind::Access(kind))), [true, true, false]);
        assert!(!is_reading(EventKind::Any));
    }

    #[test]
    fn ends_when_the_guard_is_dropped() {
        let watched = Watched::new(plain);
        let Watched { contents, watch, .. } = watched;
        drop(watch);
        assert!(contents.recv_timeout(BOUND).is_err(), "the sender went with the thread");
    }
}
