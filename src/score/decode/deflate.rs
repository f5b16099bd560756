//! gzip (RFC 1952), and `deflate`, which is zlib (RFC 1950) in the standard and raw (RFC 1951) from some servers.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::{Output, Undecodable};

/// Bytes decoded in one go.
const PIECE: usize = 16 << 10;

/// One or more gzip members, up to the end of the input.
pub(super) fn gzip(input: &[u8], output: &mut Output) -> Result<(), Undecodable> {
    let mut decoder = MultiGzDecoder::new(input);
    let mut piece = [0; PIECE];
    loop {
        match decoder.read(&mut piece).map_err(|_| Undecodable::Broken)? {
            0 => return Ok(()),
            length => output.push(&piece[..length])?,
        }
    }
}

/// A zlib stream where the header allows it, else a raw one; a raw stream may look like zlib by chance.
pub(super) fn deflate(input: &[u8], output: &mut Output) -> Result<(), Undecodable> {
    if has_zlib_header(input) {
        match inflate(Decompress::new(true), input, output) {
            Err(Undecodable::Broken) => output.bytes.clear(),
            done => return done,
        }
    }
    inflate(Decompress::new(false), input, output)
}

/// Method 8, and a header that is a multiple of 31 (RFC 1950, section 2.2).
fn has_zlib_header(input: &[u8]) -> bool {
    matches!(*input, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0)
}

fn inflate(mut decoder: Decompress, input: &[u8], output: &mut Output) -> Result<(), Undecodable> {
    let mut piece = [0; PIECE];
    loop {
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(&input[read as usize..], &mut piece, FlushDecompress::None)
            .map_err(|_| Undecodable::Broken)?;
        let length = (decoder.total_out() - written) as usize;
        output.push(&piece[..length])?;
        if status == Status::StreamEnd {
            let at_end = decoder.total_in() == input.len() as u64;
            return if at_end { Ok(()) } else { Err(Undecodable::Broken) };
        }
        if length == 0 && decoder.total_in() == read {
            return Err(Undecodable::Broken);
        }
    }
}
