//! A small state in one file: replaced whole, checked when read.
//!
//! The first line names format and checksum, the second one is the state as JSON. A new state is written beside the old
//! one, flushed to the disk and renamed over it, so a crash at any instant leaves one of the two, whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &str = "crossfade-state 1";

/// Why a state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system says no.
    #[error("failed to access {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file was written by another program or another version, or was damaged.
    #[error("{} is not a state of this version: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads a state; `None` when there is no file.
///
/// # Errors
/// As [`StateError`] tells. A damaged file is never half used.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(path, "it is not text")),
        Err(source) => return Err(StateError::Io { path: path.to_owned(), source }),
    };
    let (head, body) = text.split_once('\n').ok_or_else(|| damaged(path, "it has no first line"))?;
    let body = body.trim_end_matches('\n');
    if head != header(body) {
        return Err(damaged(path, "format or checksum differ"));
    }
    serde_json::from_str(body).map(Some).map_err(|error| damaged(path, &error.to_string()))
}

/// Moves a damaged state out of the way, for people to look at, and says where it is now.
///
/// # Errors
/// [`StateError::Io`]
pub fn set_aside(path: &Path) -> Result<PathBuf, StateError> {
    let aside = path.with_extension("state.damaged");
    fs::rename(path, &aside).map_err(|source| StateError::Io { path: path.to_owned(), source })?;
    Ok(aside)
}

/// Replaces a state. When this returns `Ok`, the state survives a crash of process or machine.
///
/// # Errors
/// [`StateError::Io`]; the old state is still there then.
pub fn save<T: Serialize>(path: &Path, state: &T) -> Result<(), StateError> {
    let failed = |source: io::Error| StateError::Io { path: path.to_owned(), source };
    let body = serde_json::to_string(state).map_err(|error| failed(error.into()))?;
    let beside = path.with_extension("state.new");
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(format!("{}\n{body}\n", header(&body)).as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    // The rename itself is in the directory.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn header(body: &str) -> String {
    format!("{MAGIC} {:016x}", xxh3_64(body.as_bytes()))
}

fn damaged(path: &Path, reason: &str) -> StateError {
    StateError::Damaged { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_was_written_last() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("gate.state");
        assert_eq!(load::<Vec<u32>>(&path).expect("no file is no error"), None);
        save(&path, &vec![1, 2]).expect("the folder is writable");
        save(&path, &vec![3]).expect("the folder is writable");
        assert_eq!(load::<Vec<u32>>(&path).expect("it is whole"), Some(vec![3]));
    }

    proptest! {
        #[test]
        fn a_file_cut_or_changed_anywhere_is_refused(at in 0usize..60, cut: bool) {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let path = folder.path().join("gate.state");
            save(&path, &vec![1_000_000; 4]).expect("the folder is writable");
            let mut bytes = fs::read(&path).expect("it was just written");
            // Its last byte is the line end, without which the state is still whole.
            let at = at.min(bytes.len() - 2);
            if cut { bytes.truncate(at) } else { bytes[at] ^= 1 }
            fs::write(&path, bytes).expect("the folder is writable");
            let is_damaged = matches!(load::<Vec<u32>>(&path), Err(StateError::Damaged { .. }));
            prop_assert!(is_damaged);
        }
    }
}
