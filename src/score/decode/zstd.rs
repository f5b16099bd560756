//! zstd (RFC 8878).

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;

use super::{Output, Undecodable};

/// One frame, which ends where the input ends.
pub(super) fn zstd(mut input: &[u8], output: &mut Output) -> Result<(), Undecodable> {
    let mut decoder = StreamingDecoder::new(&mut input).map_err(|_| Undecodable::Broken)?;
    let mut piece = [0; 16 << 10];
    loop {
        match decoder.read(&mut piece).map_err(|_| Undecodable::Broken)? {
            0 => break,
            length => output.push(&piece[..length])?,
        }
    }
    if input.is_empty() { Ok(()) } else { Err(Undecodable::Broken) }
}
