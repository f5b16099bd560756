//! `crossfade simulate`: observations in, verdicts out, as JSON lines.
//!
//! The gate of the proxy on recorded or invented traffic. Time is the stream's own: the wall clock is never
//! read. A malformed line ends the program with its number, since a gate that skips what it does not
//! understand would be judged on something else than what was written.

mod line;
mod run;

use std::io::{self, BufRead, Read, Write};

use line::Line;
use run::Run;

/// Longest accepted line; a configuration with some thousands of routes fits.
const LONGEST_LINE: u64 = 1 << 20;

/// Why the simulation ended early.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A line is not what the protocol asks for.
    #[error("line {line}: {reason}")]
    Malformed {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("failed to read observations or to write verdicts")]
    Io(#[from] io::Error),
}

/// Reads observations until the end of the input, and writes a line for each change of the verdict.
///
/// # Errors
/// [`SimulateError::Malformed`] at the first line that breaks the protocol; verdicts up to there are written.
pub fn run(mut input: impl BufRead, mut output: impl Write) -> Result<(), SimulateError> {
    let mut buffer = Vec::new();
    let mut current = None;
    let mut number = 0;
    loop {
        buffer.clear();
        number += 1;
        if input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut buffer)? == 0 {
            break;
        }
        if let Err(error) = one_line(&buffer, &mut current, &mut output) {
            output.flush()?;
            return Err(error.at(number));
        }
    }
    output.flush()?;
    Ok(())
}

fn one_line(bytes: &[u8], current: &mut Option<Run>, output: &mut impl Write) -> Result<(), LineError> {
    if bytes.len() as u64 >= LONGEST_LINE {
        return Err(LineError::Malformed(format!("longer than {LONGEST_LINE} bytes")));
    }
    match bytes.trim_ascii_start().first() {
        None => return Ok(()),
        Some(b'{') => {}
        // Derived parsers take a list of the values for an object.
        Some(_) => return Err(LineError::Malformed("a line is a JSON object".into())),
    }
    let line: Line<'_> = serde_json::from_slice(bytes)?;
    if line.k == "config" {
        *current = Some(Run::new(serde_json::from_slice(bytes)?)?);
        return Ok(());
    }
    let Some(run) = current else {
        return Err(LineError::Malformed("no run has begun: a line with \"k\":\"config\" comes first".into()));
    };
    if run.take(&line, output)?.is_over() {
        *current = None;
    }
    Ok(())
}

/// What can go wrong with one line, before its number is known.
#[derive(Debug)]
enum LineError {
    Malformed(String),
    Io(io::Error),
}

impl LineError {
    fn at(self, line: u64) -> SimulateError {
        match self {
            Self::Malformed(reason) => SimulateError::Malformed { line, reason },
            Self::Io(error) => SimulateError::Io(error),
        }
    }
}

impl From<io::Error> for LineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<serde_json::Error> for LineError {
    fn from(error: serde_json::Error) -> Self {
        // serde_json counts lines too, within the one line it was given: its column is what helps.
        if error.is_io() {
            return Self::Io(error.into());
        }
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default();
        Self::Malformed(format!("{reason} (column {})", error.column()))
    }
}

#[cfg(test)]
mod tests;
