//! From text to validated types, by hand over a spanned TOML document: every problem of a file in one pass.
//!
//! `serde` would stop at the first problem, and lose the place of many (`untagged`, `flatten`).

mod backend;
mod deployment;
mod fit;
mod gate;
mod headers;
mod jq;
mod ladder;
mod mapping;
mod resilience;
mod rollouts;
mod route;
mod sink;
mod study;
mod suggest;
mod table;
mod tls;
mod value;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

use super::deployment::Deployment;
use super::problem::Problems;
use super::rollout::Rollouts;

/// Largest file that is read, in bytes; a thousand dependencies fit into a fraction of it.
const MAX_FILE: u64 = 4 << 20;

/// Which of the two files a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `crossfade.toml`
    Deployment,
    /// `rollout.toml`
    Rollouts,
}

impl FileKind {
    /// Top-level keys that no rollout file has.
    const OF_DEPLOYMENT: [&str; 8] =
        ["listen", "listen_tls", "admin", "admin_auth", "dependency", "limits", "data_dir", "workers"];

    /// By the keys in the text; the name of the file decides where there are none.
    pub fn of(source: &str, path: &Path) -> Self {
        let (root, _) = DeTable::parse_recoverable(source);
        let root = root.get_ref();
        let named = path.file_stem().is_some_and(|stem| stem == "crossfade");
        if Self::OF_DEPLOYMENT.iter().any(|key| root.contains_key(*key)) || (root.is_empty() && named) {
            Self::Deployment
        } else {
            Self::Rollouts
        }
    }

    /// `crossfade` or `rollout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "crossfade",
            Self::Rollouts => "rollout",
        }
    }
}

/// What a file says, if it can be used, and everything that is wrong with it: warnings too.
pub type Checked<T> = (Option<T>, Problems);

/// Reads the content of a `crossfade.toml`. Relative paths in it are relative to the folder of `path`; the files with
/// secrets that it names are read too.
///
/// # Errors
/// Every problem of the file, warnings included, when at least one of them is an error.
pub fn parse_deployment(source: &str, path: &Path) -> Result<Deployment, Problems> {
    strictly(check_deployment(source, path))
}

/// Like [`parse_deployment`], but hands back warnings also when there is no error.
pub fn check_deployment(source: &str, path: &Path) -> Checked<Deployment> {
    let folder = path.parent().unwrap_or(Path::new(""));
    sink::checked(source, path, |root| deployment::read(root, folder))
}

/// Reads a `crossfade.toml`.
///
/// # Errors
/// As [`parse_deployment`]; also when the file cannot be read, is not UTF-8 or exceeds 4 MiB.
pub fn load_deployment(path: &Path) -> Result<Deployment, Problems> {
    parse_deployment(&text(path)?, path)
}

/// Reads the content of a `rollout.toml`. With a deployment, names are checked against it, and V2's `timeout` becomes
/// the gate's deadline.
///
/// # Errors
/// Every problem of the file, warnings included, when at least one of them is an error.
pub fn parse_rollouts(source: &str, path: &Path, deployment: Option<&Deployment>) -> Result<Rollouts, Problems> {
    strictly(check_rollouts(source, path, deployment))
}

/// Like [`parse_rollouts`], but hands back warnings also when there is no error.
pub fn check_rollouts(source: &str, path: &Path, deployment: Option<&Deployment>) -> Checked<Rollouts> {
    sink::checked(source, path, |root| rollouts::read(root, deployment))
}

/// Reads a `rollout.toml`.
///
/// # Errors
/// As [`parse_rollouts`]; also when the file cannot be read, is not UTF-8 or exceeds 4 MiB.
pub fn load_rollouts(path: &Path, deployment: Option<&Deployment>) -> Result<Rollouts, Problems> {
    parse_rollouts(&text(path)?, path, deployment)
}

/// The content of a configuration file.
///
/// # Errors
/// One problem, about the whole file, when it cannot be read, is not UTF-8 or exceeds 4 MiB.
pub fn text(path: &Path) -> Result<String, Problems> {
    let bytes = bounded(path).map_err(|reason| Problems::unreadable(path, &reason))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problems::unreadable(path, &format!("it is not UTF-8 from byte {at} on"))
    })
}

/// The bytes of a file, or why there are none.
fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("it is larger than 4 MiB".to_owned());
    }
    Ok(bytes)
}

fn strictly<T>((value, problems): Checked<T>) -> Result<T, Problems> {
    value.ok_or(problems)
}

#[cfg(test)]
mod tests;
