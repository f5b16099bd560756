//! Huffman codes of literals (RFC 8878, section 4.2).

use super::bits::{Backward, Input};
use super::fse::Table;
use crate::score::decode::Undecodable;

/// Longest code, in bits (section 4.2.1).
const MAX_BITS: u32 = 11;
/// Weights that can be described; the last symbol's is implied.
const MAX_WEIGHTS: usize = 255;
/// Largest accuracy of the table that codes the weights (section 4.2.1.1).
const WEIGHTS_ACCURACY: u32 = 6;

/// A decoding table with one entry per `bits` next bits: symbol and length of its code.
#[derive(Debug, Clone)]
pub(super) struct Huffman {
    bits: u32,
    entries: Vec<(u8, u8)>,
}

impl Huffman {
    /// Reads a tree description.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, Undecodable> {
        let header = usize::from(input.byte()?);
        let weights =
            if header < 128 { compressed_weights(input.take(header)?)? } else { plain_weights(input, header - 127)? };
        Self::build(weights)
    }

    fn build(mut weights: Vec<u8>) -> Result<Self, Undecodable> {
        if weights.iter().any(|&weight| u32::from(weight) > MAX_BITS) {
            return Err(Undecodable::Broken);
        }
        let share = |weight: u8| if weight == 0 { 0 } else { 1u32 << (weight - 1) };
        let sum: u32 = weights.iter().copied().map(share).sum();
        let bits = sum.checked_ilog2().ok_or(Undecodable::Broken)? + 1;
        let rest = (1 << bits) - sum;
        if bits > MAX_BITS || !rest.is_power_of_two() {
            return Err(Undecodable::Broken);
        }
        weights.push(rest.ilog2() as u8 + 1);
        let mut entries = Vec::with_capacity(1 << bits);
        for weight in 1..=bits as u8 {
            for (symbol, _) in weights.iter().enumerate().filter(|(_, of)| **of == weight) {
                let entry = (symbol as u8, bits as u8 + 1 - weight);
                entries.resize(entries.len() + share(weight) as usize, entry);
            }
        }
        Ok(Self { bits, entries })
    }

    /// Decodes exactly `count` symbols from one stream, which holds nothing else.
    pub(super) fn decode(&self, stream: &[u8], count: usize, out: &mut Vec<u8>) -> Result<(), Undecodable> {
        let mut bits = Backward::new(stream)?;
        for _ in 0..count {
            let (symbol, length) = self.entries[bits.peek(self.bits) as usize];
            bits.skip(u32::from(length));
            out.push(symbol);
        }
        if bits.is_exhausted() { Ok(()) } else { Err(Undecodable::Broken) }
    }
}

/// Four bits each, the first one in the upper half.
fn plain_weights(input: &mut Input<'_>, count: usize) -> Result<Vec<u8>, Undecodable> {
    let packed = input.take(count.div_ceil(2))?;
    let both = packed.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    Ok(both.take(count).collect())
}

/// Two interleaved states of one table, until the bits run out.
fn compressed_weights(bytes: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let mut input = Input(bytes);
    let table = Table::read(&mut input, MAX_BITS as u8 + 1, WEIGHTS_ACCURACY)?;
    let mut bits = Backward::new(input.0)?;
    let (mut state, mut other) = (table.start(&mut bits), table.start(&mut bits));
    let mut weights = Vec::new();
    while weights.len() < MAX_WEIGHTS {
        weights.push(table.symbol(state));
        state = table.next(state, &mut bits);
        if bits.is_overrun() {
            weights.push(table.symbol(other));
            break;
        }
        (state, other) = (other, state);
    }
    if bits.is_overrun() && weights.len() <= MAX_WEIGHTS { Ok(weights) } else { Err(Undecodable::Broken) }
}
