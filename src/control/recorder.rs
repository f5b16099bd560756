//! Keeps the recording: what is written next, and when a new file begins.

use super::recording::{Config, Now, Record, write};
use crate::store::Block;

/// Bytes after which a new file begins.
const FILE: usize = 32 << 20;
/// Bytes that wait for the disk at most; beyond them the recording has a gap.
const WAITING: usize = 4 << 20;

/// What is written next.
#[derive(Default)]
pub(super) struct Recorder {
    bytes: Vec<u8>,
    /// Of the last tick.
    last: Now,
    number: u64,
    begins: bool,
    /// Written to the present file.
    written: usize,
    has_gap: bool,
}

impl Recorder {
    /// A file begins: with this process, or where the one before it is full.
    pub(super) fn begin(&mut self, config: Config) {
        self.last = Now::default();
        self.begins = true;
        self.has_gap = false;
        self.written = 0;
        self.put(&Record::Begin(config));
    }

    /// A new file is due, once what waits is taken.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.is_empty() && (self.has_gap || self.written > FILE)
    }

    /// Whether what was recorded last is lost, so that the next file does not go on where the last one ends.
    pub(super) const fn has_gap(&self) -> bool {
        self.has_gap
    }

    pub(super) fn put(&mut self, record: &Record) {
        if self.has_gap {
            return;
        }
        write(record, &mut self.last, &mut self.bytes);
        if self.bytes.len() > WAITING {
            self.bytes = Vec::new();
            self.has_gap = true;
        }
    }

    /// What is there so far, as the next block.
    pub(super) fn take(&mut self) -> Option<Block> {
        if self.bytes.is_empty() {
            return None;
        }
        self.number += 1;
        self.written += self.bytes.len();
        let begins = std::mem::take(&mut self.begins);
        Some(Block { number: self.number, begins, bytes: std::mem::take(&mut self.bytes) })
    }
}
