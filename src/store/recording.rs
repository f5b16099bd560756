//! What the judge saw, for `backtest`: a ring of files that are appended to, and read while they are.
//!
//! A file has a first line and then blocks: length, number, checksum and content (raw deflate, RFC 1951). A block that a crash
//! cut short ends the file for its readers, and is cut off before the next one is written. The oldest files go when they are
//! older than [`KEPT`] or when all together are larger than [`MOST`]. Blocks are not flushed one by one: they survive the
//! process, and the last seconds of them not the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Files older than this go.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Bytes of all files together, above which the oldest go.
const MOST: u64 = 256 << 20;

const MAGIC: &[u8] = b"crossfade recording 1\n";
const HEAD: usize = 4 + 8 + 8;
/// Largest content of a block, as written and as read.
const LARGEST: u64 = 64 << 20;

/// Bytes that are written together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// Grows with each block of a process; one that is there already is not read twice.
    pub number: u64,
    /// Whether a file begins with it.
    pub begins: bool,
    /// The content.
    pub bytes: Vec<u8>,
}

/// The writing end, owned by the ledger's thread.
#[derive(Debug)]
pub(super) struct Recording {
    folder: PathBuf,
    /// The open file, and how much of it is whole.
    open: Option<(File, u64)>,
}

impl Recording {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder, open: None }
    }

    /// Appends a block.
    ///
    /// # Errors
    /// When the disk does not take it; what it took is cut off before the next block.
    pub(super) fn append(&mut self, block: &Block) -> io::Result<()> {
        if block.begins || self.open.is_none() {
            self.open = Some(self.begin()?);
        }
        let Some((file, whole)) = &mut self.open else { return Ok(()) };
        let frame = frame(block)?;
        file.set_len(*whole)?;
        file.seek(SeekFrom::Start(*whole))?;
        file.write_all(&frame)?;
        *whole += frame.len() as u64;
        Ok(())
    }

    fn begin(&self) -> io::Result<(File, u64)> {
        fs::create_dir_all(&self.folder)?;
        let files = files(&self.folder)?;
        prune(&files);
        let number = files.last().map_or(0, |(number, _)| *number) + 1;
        let path = self.folder.join(format!("{number:010}.rec"));
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(MAGIC)?;
        Ok((file, MAGIC.len() as u64))
    }
}

fn frame(block: &Block) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEAD];
    DeflateEncoder::new(block.bytes.as_slice(), Compression::fast()).read_to_end(&mut frame)?;
    let length = (frame.len() - HEAD) as u32;
    let checksum = xxh3_64_with_seed(&frame[HEAD..], block.number);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..12].copy_from_slice(&block.number.to_le_bytes());
    frame[12..HEAD].copy_from_slice(&checksum.to_le_bytes());
    Ok(frame)
}

/// What cannot be removed now is tried again with the next file.
fn prune(files: &[(u64, PathBuf)]) {
    let mut size = 0;
    for (_, path) in files.iter().rev() {
        let Ok(metadata) = fs::metadata(path) else { continue };
        size += metadata.len();
        let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
        if size > MOST || age > KEPT {
            let _ = fs::remove_file(path);
        }
    }
}

/// The files of a recording, oldest first, with their numbers.
fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "rec")) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Shows the whole blocks of a recording, oldest first; `true`: the block begins a file.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn read_recording(folder: &Path, mut show: impl FnMut(bool, &[u8])) -> io::Result<()> {
    for (_, path) in files(folder)? {
        let mut file = match File::open(&path) {
            Ok(file) => io::BufReader::new(file),
            // It was the oldest, and has gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut magic = vec![0; MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != MAGIC {
            continue;
        }
        let mut last = None;
        while let Some((number, bytes)) = read_block(&mut file) {
            if last.is_none_or(|last| number > last) {
                show(last.is_none(), &bytes);
                last = Some(number);
            }
        }
    }
    Ok(())
}

/// The next block, if it is whole.
fn read_block(file: &mut impl Read) -> Option<(u64, Vec<u8>)> {
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?);
    let number = u64::from_le_bytes(head[4..12].try_into().ok()?);
    let checksum = u64::from_le_bytes(head[12..].try_into().ok()?);
    let mut packed = Vec::new();
    file.take(length.into()).read_to_end(&mut packed).ok()?;
    if packed.len() != length as usize || xxh3_64_with_seed(&packed, number) != checksum {
        return None;
    }
    let mut bytes = Vec::new();
    DeflateDecoder::new(packed.as_slice()).take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some((number, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(number: u64, begins: bool) -> Block {
        Block { number, begins, bytes: format!("block {number}").into_bytes() }
    }

    fn read(folder: &Path) -> Vec<(bool, String)> {
        let mut read = Vec::new();
        read_recording(folder, |begins, bytes| read.push((begins, String::from_utf8_lossy(bytes).into_owned())))
            .expect("readable");
        read
    }

    #[test]
    fn blocks_are_read_in_order_and_once() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut recording = Recording::new(folder.path().to_owned());
        for (number, begins) in [(1, true), (2, false), (2, false), (3, true)] {
            recording.append(&block(number, begins)).expect("writable");
        }
        let names = read(folder.path());
        assert_eq!(names, [(true, "block 1".to_owned()), (false, "block 2".into()), (true, "block 3".into())]);
        // A new process never appends to a file of another one.
        Recording::new(folder.path().to_owned()).append(&block(1, true)).expect("writable");
        assert_eq!(read(folder.path()).len(), 4);
    }

    proptest! {
        #[test]
        fn a_torn_file_gives_whole_blocks_only(at in 0usize..200, cut: bool) {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let mut recording = Recording::new(folder.path().to_owned());
            for number in 1..=3 {
                recording.append(&block(number, number == 1)).expect("writable");
            }
            let path = files(folder.path()).expect("readable").remove(0).1;
            let mut bytes = fs::read(&path).expect("readable");
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] ^= 0x55 }
            fs::write(&path, bytes).expect("writable");
            let read: Vec<_> = read(folder.path()).into_iter().map(|(_, text)| text).collect();
            let whole: Vec<_> = (1..=read.len()).map(|number| format!("block {number}")).collect();
            prop_assert_eq!(read, whole);
        }
    }
}
