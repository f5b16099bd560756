//! Finite state entropy: tables and their descriptions (RFC 8878, section 4.1).

use super::bits::{Backward, Forward, Input};
use crate::score::decode::Undecodable;

/// A decoding table of `1 << accuracy` states.
#[derive(Debug, Clone)]
pub(super) struct Table {
    accuracy: u32,
    states: Vec<State>,
}

/// One state: the symbol it stands for, and how the next state follows from the next bits.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    symbol: u8,
    bits: u8,
    base: u16,
}

impl Table {
    /// The table of a single symbol, which takes no bits.
    pub(super) fn constant(symbol: u8) -> Self {
        Self { accuracy: 0, states: vec![State { symbol, bits: 0, base: 0 }] }
    }

    /// Reads a table description of symbols up to `max_symbol` (section 4.1.1).
    pub(super) fn read(input: &mut Input<'_>, max_symbol: u8, max_accuracy: u32) -> Result<Self, Undecodable> {
        let mut bits = Forward::new(input.0);
        let accuracy = bits.read(4)? + 5;
        if accuracy > max_accuracy {
            return Err(Undecodable::Broken);
        }
        let mut counts = Vec::new();
        let mut left = 1i16 << accuracy;
        while left > 0 {
            let count = read_count(&mut bits, left.unsigned_abs().into())?;
            left -= count.abs();
            counts.push(count);
            if count == 0 {
                skip_zeros(&mut bits, &mut counts, max_symbol)?;
            }
            if counts.len() > usize::from(max_symbol) + 1 {
                return Err(Undecodable::Broken);
            }
        }
        input.take(bits.bytes_read())?;
        if left < 0 { Err(Undecodable::Broken) } else { Self::build(&counts, accuracy) }
    }

    /// Spreads symbols over the states by their counts, where -1 is "less than one" (section 4.1.1, from figure 21 on).
    pub(super) fn build(counts: &[i16], accuracy: u32) -> Result<Self, Undecodable> {
        let size = 1usize << accuracy;
        let mut states = vec![State::default(); size];
        let mut next: Vec<u16> = counts.iter().map(|count| count.unsigned_abs()).collect();
        let mut high = size;
        for (symbol, _) in counts.iter().enumerate().filter(|(_, count)| **count == -1) {
            high -= 1;
            states[high].symbol = symbol as u8;
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (symbol, &count) in counts.iter().enumerate() {
            for _ in 0..count {
                states[at].symbol = symbol as u8;
                at = (at + step) % size;
                while at >= high {
                    at = (at + step) % size;
                }
            }
        }
        if at != 0 {
            return Err(Undecodable::Broken);
        }
        for state in &mut states {
            let next = &mut next[usize::from(state.symbol)];
            let bits = accuracy - next.ilog2();
            state.bits = bits as u8;
            state.base = ((u32::from(*next) << bits) - size as u32) as u16;
            *next += 1;
        }
        Ok(Self { accuracy, states })
    }

    /// The first state of a stream.
    pub(super) fn start(&self, bits: &mut Backward<'_>) -> usize {
        bits.read(self.accuracy) as usize
    }

    pub(super) fn symbol(&self, state: usize) -> u8 {
        self.states[state].symbol
    }

    pub(super) fn next(&self, state: usize, bits: &mut Backward<'_>) -> usize {
        let State { bits: count, base, .. } = self.states[state];
        usize::from(base) + bits.read(u32::from(count)) as usize
    }
}

/// One count: a number from -1 to `left`, in as many bits as that needs.
fn read_count(bits: &mut Forward<'_>, left: u32) -> Result<i16, Undecodable> {
    let width = (left + 1).ilog2() + 1;
    let short = (1 << (width - 1)) - 1;
    let threshold = (1 << width) - 1 - (left + 1);
    let value = bits.peek(width);
    let value = if value & short < threshold {
        bits.skip(width - 1)?;
        value & short
    } else {
        bits.skip(width)?;
        if value > short { value - threshold } else { value }
    };
    Ok(value as i16 - 1)
}

/// After a count of 0: how many more there are, in two bits at a time.
fn skip_zeros(bits: &mut Forward<'_>, counts: &mut Vec<i16>, max_symbol: u8) -> Result<(), Undecodable> {
    loop {
        let more = bits.read(2)? as usize;
        counts.resize(counts.len() + more, 0);
        if counts.len() > usize::from(max_symbol) + 1 {
            return Err(Undecodable::Broken);
        }
        if more < 3 {
            return Ok(());
        }
    }
}
