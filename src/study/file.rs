//! The samples on disk: `samples.jsonl`, one reservoir on a line, replaced whole.
//!
//! Samples are a convenience: a file that is absent, damaged or written by another version is passed over, and a disk that is
//! full costs the samples of the next start and nothing else.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::sample::Sample;
use super::samples::{MOST, Place, Samples};

/// What a line holds beside its samples, generously.
const LINES: usize = 1 << 20;

/// One reservoir.
#[derive(Deserialize)]
struct Line {
    /// How many samples fell out of the newest, ever.
    aged: u64,
    /// Those drawn from the older ones, then the newest.
    samples: Vec<Sample>,
}

/// Reads what is there.
pub(super) fn load(path: &Path, samples: &mut Samples) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file.take((MOST + LINES) as u64)).lines() {
        let Ok(Line { aged, samples: kept }) = serde_json::from_str(&line?) else { continue };
        let Some(place) = kept.first().map(Place::of) else { continue };
        let kept = kept.into_iter().filter(|sample| Place::of(sample) == place).collect();
        samples.restore(place, kept, aged);
    }
    Ok(())
}

/// What the file says.
pub(super) fn content(samples: &Samples) -> String {
    let mut lines = String::new();
    for (_, reservoir) in samples.reservoirs() {
        let texts: Vec<&str> = reservoir.iter().map(|written| written.text.as_str()).collect();
        let (aged, texts) = (reservoir.aged(), texts.join(","));
        writeln!(lines, "{{\"aged\":{aged},\"samples\":[{texts}]}}").expect("a String takes everything");
    }
    lines
}

/// Replaces the file: written beside it, then renamed, so that there is a whole one at every instant.
pub(super) fn save(path: &Path, content: &str) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Half a file on a full disk is of no use to anybody; that it stays is no worse than that it was made.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Cause;
    use crate::study::Side;

    fn sample(second: i64) -> Sample {
        Sample {
            time: jiff::Timestamp::from_second(second).expect("an instant"),
            dependency: "a".to_owned(),
            route: "list".to_owned(),
            cause: Cause::Missing,
            flaws: vec!["missing /items".to_owned()],
            trace_id: None,
            v1: Some(Side::default()),
            v2: Side { shape: Some(serde_json::json!({ "a": ["array(1)", "null"] })), ..Side::default() },
        }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("samples.jsonl");
        let (mut samples, mut loaded) = (Samples::default(), Samples::default());
        load(&path, &mut loaded).expect("no file is no error");
        (0..30).for_each(|second| samples.add(sample(second)));
        save(&path, &content(&samples)).expect("the folder is writable");
        load(&path, &mut loaded).expect("the file is there");
        assert_eq!(loaded.of("a", None, None), samples.of("a", None, None));
        assert_eq!(loaded.of("a", None, None).len(), 16);
    }

    #[test]
    fn a_damaged_line_costs_itself_only() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("samples.jsonl");
        let mut samples = Samples::default();
        samples.add(sample(1));
        save(&path, &content(&samples)).expect("the folder is writable");
        let text = fs::read_to_string(&path).expect("it was written");
        fs::write(&path, format!("{{}}\nnonsense\n{text}{}", &text[..40])).expect("the folder is writable");
        let mut loaded = Samples::default();
        load(&path, &mut loaded).expect("the file is there");
        assert_eq!(loaded.of("a", None, None).len(), 1);
    }
}
