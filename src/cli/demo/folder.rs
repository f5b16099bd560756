//! The demo's own folder: both configuration files and the proxy's data; gone when the demo ends, however it ends.

use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names that are tried before giving up; a second one is needed once in 2^64 times.
const TRIES: usize = 8;

/// A folder that only this user can enter; removed with all its content when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it, with a random name, where the system keeps temporary files.
    pub(super) fn new() -> io::Result<Self> {
        let mut made = Err(io::ErrorKind::AlreadyExists.into());
        for _ in 0..TRIES {
            let name = format!("crossfade-demo-{:016x}", RandomState::new().hash_one(std::process::id()));
            let path = std::env::temp_dir().join(name);
            made = DirBuilder::new().mode(0o700).create(&path).map(|()| Self(path));
            if !matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        made
    }

    /// The file of the team that runs the proxy.
    pub(super) fn crossfade_toml(&self) -> PathBuf {
        self.0.join("crossfade.toml")
    }

    /// The file of the release managers.
    pub(super) fn rollout_toml(&self) -> PathBuf {
        self.0.join("rollout.toml")
    }

    /// Writes `crossfade.toml` for these backends.
    pub(super) fn write_crossfade(&self, v1: SocketAddr, v2: SocketAddr) -> io::Result<()> {
        fs::write(self.crossfade_toml(), crossfade(v1, v2))
    }

    /// Replaces `rollout.toml` in one step, as every careful editor does.
    pub(super) fn write_rollout(&self, text: &str) -> io::Result<()> {
        let new = self.0.join("rollout.toml.new");
        fs::write(&new, text)?;
        fs::rename(new, self.rollout_toml())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(%error, "{} is left behind", self.0.display());
        }
    }
}

fn crossfade(v1: SocketAddr, v2: SocketAddr) -> String {
    format!(
        r#"# Written by `crossfade demo`: the team that runs the proxy would write this once.
listen = ["127.0.0.1:0"]            # port 0: any free one
admin = "127.0.0.1:0"
rollout = "rollout.toml"
data_dir = "data"
workers = 2

[limits]
drain_timeout = "3s"

# Generous, since a busy machine may let everybody wait, which is no part of the story.
[dependency.recommendations]
v1 = {{ url = "http://{v1}", connect_timeout = "4s" }}
v2 = {{ url = "http://{v2}", connect_timeout = "2s", timeout = "4s" }}

[[dependency.recommendations.route]]
name = "list"
match = {{ methods = ["GET"], path = "/recommendations/{{user}}" }}

[dependency.recommendations.route.score]
status = [200]
required = ["/items"]               # absent: cause `missing`
non_empty = ["/items"]              # []: cause `empty`
max_latency = "2s"                  # later: cause `slow`
"#
    )
}

/// What the release manager writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// `shadow` or `cutover`.
    pub(super) stage: &'static str,
    /// Why, for the record.
    pub(super) reason: &'static str,
    /// Least time on a step, such as `8s`.
    pub(super) bake: &'static str,
}

impl Wish {
    /// The text of `rollout.toml`.
    pub(super) fn text(self) -> String {
        let Self { stage, reason, bake } = self;
        format!(
            r#"# Written by `crossfade demo`: release managers would edit this file. Change it while the demo runs, and watch.
[change]
by = "demo"
reason = "{reason}"

[recommendations]
stage = "{stage}"
percent = 100                       # the ceiling
steps = [1, 5, 25, 50, 100]         # the gate climbs them by itself
bake = "{bake}"                         # least time on a step; in production minutes to a day
slo = 0.95                          # V2 must answer rich at least this often
min_samples = 200
blip = "1s"                         # badness that lasts longer than this rolls back
rescue = true                       # where V2's answer is a fallback, serve V1's rich one
key = ["header:x-user-id", "client-ip"]
# The gate would measure for a minute by how much misses cluster. Here each request misses independently of all others.
overdispersion = "off"
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{check_deployment, check_rollouts};

    #[test]
    fn both_files_are_valid_and_without_warnings() {
        let address = SocketAddr::from(([127, 0, 0, 1], 7001));
        let (deployment, problems) = check_deployment(&crossfade(address, address), Path::new("crossfade.toml"));
        assert!(problems.is_empty(), "{problems}");
        for (stage, bake) in [("shadow", "0s"), ("cutover", "8s")] {
            let text = Wish { stage, bake, reason: "a test" }.text();
            let (rollouts, problems) = check_rollouts(&text, Path::new("rollout.toml"), deployment.as_ref());
            assert!(problems.is_empty(), "{problems}");
            assert!(rollouts.is_some());
        }
    }

    #[test]
    fn a_folder_goes_with_all_it_holds() {
        let folder = Folder::new().expect("temporary files can be made");
        let path = folder.path().to_owned();
        fs::create_dir(path.join("data")).expect("writable");
        folder.write_rollout("").expect("writable");
        assert_eq!(
            fs::read_dir(&path).expect("there").count(),
            2,
            "nothing but the file itself was left by the replacement"
        );
        drop(folder);
        assert!(!path.exists());
    }
}
