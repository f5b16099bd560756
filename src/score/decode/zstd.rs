//! zstd (RFC 8878), written for a capped output.
//!
//! The crates at hand decode a block before anybody can look at its size, and one block of 128 KiB may claim to be
//! gigabytes. Here matches are copied straight into the capped output, which is also the window, so nothing is ever
//! larger than the cap but the literals of one block, at most 128 KiB.

mod bits;
mod fse;
mod huffman;
mod literals;
mod sequences;

use xxhash_rust::xxh64::xxh64;

use super::{Output, Undecodable};
use bits::Input;
use huffman::Huffman;
use sequences::Codes;

const MAGIC: u32 = 0xFD2F_B528;
/// The lowest of the 16 magic numbers of skippable frames.
const MAGIC_SKIPPABLE: u32 = 0x184D_2A50;
/// A window may not be larger in HTTP (RFC 9659, section 3).
const MAX_WINDOW: u64 = 8 << 20;
/// No block is larger, compressed or not (RFC 8878, section 3.1.1.2.4).
const MAX_BLOCK: usize = 128 << 10;

/// One or more frames, up to the end of the input.
pub(super) fn zstd(input: &[u8], output: &mut Output) -> Result<(), Undecodable> {
    let mut input = Input(input);
    loop {
        match input.number(4)? as u32 {
            MAGIC => frame(&mut input, output)?,
            magic if magic & !0xf == MAGIC_SKIPPABLE => {
                let length = input.number(4)? as usize;
                input.take(length)?;
            }
            _ => return Err(Undecodable::Broken),
        }
        if input.0.is_empty() {
            return Ok(());
        }
    }
}

/// What a frame says of itself before its first block.
struct Header {
    content_size: Option<u64>,
    has_checksum: bool,
}

impl Header {
    fn read(input: &mut Input<'_>) -> Result<Self, Undecodable> {
        let descriptor = input.byte()?;
        let single_segment = descriptor & 0x20 != 0;
        let is_reserved = descriptor & 0x08 != 0;
        let window = if single_segment { None } else { Some(window_size(input.byte()?)) };
        let dictionary = input.number([0, 1, 2, 4][usize::from(descriptor & 3)])?;
        let content_size = match descriptor >> 6 {
            0 if single_segment => Some(input.number(1)?),
            0 => None,
            1 => Some(input.number(2)? + 256),
            2 => Some(input.number(4)?),
            _ => Some(input.number(8)?),
        };
        let window = window.or(content_size).unwrap_or(0);
        // A dictionary would have to be agreed on by other means, which HTTP does not know under this coding.
        if is_reserved || dictionary != 0 || window > MAX_WINDOW {
            return Err(Undecodable::Broken);
        }
        Ok(Self { content_size, has_checksum: descriptor & 0x04 != 0 })
    }
}

/// RFC 8878, section 3.1.1.1.2.
fn window_size(descriptor: u8) -> u64 {
    let base = 1u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// What one block of a frame hands to the next.
struct Frame {
    /// Where the frame starts in the output; no match reaches behind it.
    start: usize,
    huffman: Option<Huffman>,
    codes: Codes,
    literals: Vec<u8>,
}

fn frame(input: &mut Input<'_>, output: &mut Output) -> Result<(), Undecodable> {
    let header = Header::read(input)?;
    let start = output.bytes.len();
    let mut frame = Frame { start, huffman: None, codes: Codes::default(), literals: Vec::new() };
    while !frame.block(input, output)? {}
    let content = &output.bytes[start..];
    let has_size = header.content_size.is_none_or(|size| size == content.len() as u64);
    let has_sum = !header.has_checksum || input.number(4)? == xxh64(content, 0) & 0xFFFF_FFFF;
    if has_size && has_sum { Ok(()) } else { Err(Undecodable::Broken) }
}

impl Frame {
    /// Decodes one block; true when it was the last of its frame.
    fn block(&mut self, input: &mut Input<'_>, output: &mut Output) -> Result<bool, Undecodable> {
        let header = input.number(3)? as usize;
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, header >> 3);
        if size > MAX_BLOCK {
            return Err(Undecodable::Broken);
        }
        match kind {
            0 => output.push(input.take(size)?)?,
            1 => {
                let byte = input.byte()?;
                output.reserve(size)?;
                output.bytes.resize(output.bytes.len() + size, byte);
            }
            2 => self.compressed(Input(input.take(size)?), output)?,
            _ => return Err(Undecodable::Broken),
        }
        Ok(is_last)
    }

    fn compressed(&mut self, mut block: Input<'_>, output: &mut Output) -> Result<(), Undecodable> {
        literals::read(&mut block, &mut self.huffman, &mut self.literals)?;
        sequences::execute(block, &mut self.codes, &self.literals, self.start, output)
    }
}
