//! The gate's state as versions before the ledger kept it: a small file, checked when read.
//!
//! The first line names format and checksum, the second one is the state as JSON. It is read once, and its content goes into
//! the ledger.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
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

/// Moves a damaged file out of the way, for people to look at, and says where it is now.
///
/// # Errors
/// [`StateError::Io`]
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, StateError> {
    rename(path, "damaged")
}

/// Moves a state whose content is elsewhere now out of the way.
///
/// # Errors
/// [`StateError::Io`]
pub(super) fn retire(path: &Path) -> Result<(), StateError> {
    rename(path, "retired").map(|_| ())
}

fn rename(path: &Path, ending: &str) -> Result<PathBuf, StateError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    let aside = PathBuf::from(name);
    fs::rename(path, &aside).map_err(|source| StateError::Io { path: path.to_owned(), source })?;
    Ok(aside)
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

    /// As versions before the ledger wrote it.
    fn save(path: &Path, body: &str) {
        fs::write(path, format!("{}\n{body}\n", header(body))).expect("the folder is writable");
    }

    #[test]
    fn reads_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("gate.state");
        assert_eq!(load::<Vec<u32>>(&path).expect("no file is no error"), None);
        save(&path, "[3]");
        assert_eq!(load::<Vec<u32>>(&path).expect("it is whole"), Some(vec![3]));
    }

    proptest! {
        #[test]
        fn a_file_cut_or_changed_anywhere_is_refused(at in 0usize..60, cut: bool) {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let path = folder.path().join("gate.state");
            save(&path, "[1000000,1000000,1000000,1000000]");
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
