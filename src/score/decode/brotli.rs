//! br (RFC 7932), without the large windows that the RFC does not know.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Output, Undecodable};

/// Bytes decoded in one go.
const PIECE: usize = 16 << 10;

/// One stream, which ends where the input ends.
pub(super) fn brotli(input: &[u8], output: &mut Output) -> Result<(), Undecodable> {
    let alloc = StandardAlloc::default();
    let mut state = BrotliState::new_strict(alloc, alloc, alloc);
    let (mut available, mut read, mut total) = (input.len(), 0, 0);
    let mut piece = [0; PIECE];
    loop {
        let (mut room, mut written) = (PIECE, 0);
        let result = BrotliDecompressStream(
            &mut available,
            &mut read,
            input,
            &mut room,
            &mut written,
            &mut piece,
            &mut total,
            &mut state,
        );
        output.push(&piece[..written])?;
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess if available == 0 => return Ok(()),
            BrotliResult::ResultSuccess | BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(Undecodable::Broken);
            }
        }
    }
}
