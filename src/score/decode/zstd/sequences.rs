//! The sequences section of a block and its execution (RFC 8878, sections 3.1.1.3.2 and 3.1.1.4).

use super::MAX_BLOCK;
use super::bits::{Backward, Input};
use super::fse::Table;
use crate::score::decode::{Output, Undecodable};

/// How one of the three numbers of a sequence is coded when the block does not say (section 3.1.1.3.2.2).
struct Kind {
    max_accuracy: u32,
    default_accuracy: u32,
    default_counts: &'static [i16],
    max_symbol: u8,
}

const LITERALS: Kind = Kind {
    max_accuracy: 9,
    default_accuracy: 6,
    #[rustfmt::skip]
    default_counts: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
    max_symbol: 35,
};
const OFFSETS: Kind = Kind {
    max_accuracy: 8,
    default_accuracy: 5,
    #[rustfmt::skip]
    default_counts: &[
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ],
    max_symbol: 31,
};
const MATCHES: Kind = Kind {
    max_accuracy: 9,
    default_accuracy: 6,
    #[rustfmt::skip]
    default_counts: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    max_symbol: 52,
};

/// Literal lengths from code 16 on: least length and extra bits; smaller codes are the length itself.
#[rustfmt::skip]
const LITERAL_LENGTHS: [(u32, u32); 20] = [
    (16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4), (64, 6), (128, 7), (256, 8),
    (512, 9), (1_024, 10), (2_048, 11), (4_096, 12), (8_192, 13), (16_384, 14), (32_768, 15), (65_536, 16),
];
/// Match lengths from code 32 on: least length and extra bits; smaller codes are the length less 3.
#[rustfmt::skip]
const MATCH_LENGTHS: [(u32, u32); 21] = [
    (35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4), (99, 5), (131, 7),
    (259, 8), (515, 9), (1_027, 10), (2_051, 11), (4_099, 12), (8_195, 13), (16_387, 14), (32_771, 15), (65_539, 16),
];

/// What one block hands to the next: the tables, and the last three offsets, latest first.
pub(super) struct Codes {
    tables: Tables,
    recent: [u32; 3],
}

#[derive(Default)]
struct Tables {
    literals: Option<Table>,
    offsets: Option<Table>,
    matches: Option<Table>,
}

impl Default for Codes {
    fn default() -> Self {
        Self { tables: Tables::default(), recent: [1, 4, 8] }
    }
}

/// Reads the rest of a block and writes what it stands for; no match reaches behind `frame_start`.
pub(super) fn execute(
    mut block: Input<'_>,
    codes: &mut Codes,
    mut literals: &[u8],
    frame_start: usize,
    output: &mut Output,
) -> Result<(), Undecodable> {
    let count = read_count(&mut block)?;
    if count == 0 {
        return if block.0.is_empty() { output.push(literals) } else { Err(Undecodable::Broken) };
    }
    let block_start = output.bytes.len();
    codes.tables.read(&mut block)?;
    let mut sequences = Sequences::start(&codes.tables, Backward::new(block.0)?)?;
    for nth in 1..=count {
        let Sequence { literals: length, offset, matched } = sequences.read();
        let copied = literals.split_off(..length as usize).ok_or(Undecodable::Broken)?;
        if output.bytes.len() - block_start + copied.len() + matched as usize > MAX_BLOCK {
            return Err(Undecodable::Broken);
        }
        output.push(copied)?;
        let offset = resolve(&mut codes.recent, offset, length == 0);
        repeat(output, frame_start, offset as usize, matched as usize)?;
        if nth < count {
            sequences.advance();
        }
        if sequences.bits.is_overrun() {
            return Err(Undecodable::Broken);
        }
    }
    if !sequences.bits.is_exhausted() {
        return Err(Undecodable::Broken);
    }
    output.push(literals)
}

fn read_count(block: &mut Input<'_>) -> Result<usize, Undecodable> {
    Ok(match usize::from(block.byte()?) {
        few @ 0..128 => few,
        255 => block.number(2)? as usize + 0x7F00,
        more => (more - 128) << 8 | usize::from(block.byte()?),
    })
}

impl Tables {
    fn read(&mut self, block: &mut Input<'_>) -> Result<(), Undecodable> {
        let modes = block.byte()?;
        if modes & 3 != 0 {
            return Err(Undecodable::Broken);
        }
        read_table(block, modes >> 6, &LITERALS, &mut self.literals)?;
        read_table(block, modes >> 4 & 3, &OFFSETS, &mut self.offsets)?;
        read_table(block, modes >> 2 & 3, &MATCHES, &mut self.matches)
    }
}

fn read_table(block: &mut Input<'_>, mode: u8, kind: &Kind, table: &mut Option<Table>) -> Result<(), Undecodable> {
    *table = Some(match mode {
        0 => Table::build(kind.default_counts, kind.default_accuracy)?,
        1 => match block.byte()? {
            symbol if symbol <= kind.max_symbol => Table::constant(symbol),
            _ => return Err(Undecodable::Broken),
        },
        2 => Table::read(block, kind.max_symbol, kind.max_accuracy)?,
        _ => {
            return if table.is_some() { Ok(()) } else { Err(Undecodable::Broken) };
        }
    });
    Ok(())
}

/// So many literals, then so many bytes from so far back.
struct Sequence {
    literals: u32,
    /// 1 to 3: a recent offset; else the offset plus 3.
    offset: u32,
    matched: u32,
}

/// The three interleaved states of the sequences' bits.
struct Sequences<'a> {
    tables: [&'a Table; 3],
    states: [usize; 3],
    bits: Backward<'a>,
}

impl<'a> Sequences<'a> {
    fn start(tables: &'a Tables, mut bits: Backward<'a>) -> Result<Self, Undecodable> {
        let [Some(literals), Some(offsets), Some(matches)] = [&tables.literals, &tables.offsets, &tables.matches]
        else {
            return Err(Undecodable::Broken);
        };
        let tables = [literals, offsets, matches];
        let states = [0, 1, 2].map(|which| tables[which].start(&mut bits));
        Ok(Self { tables, states, bits })
    }

    fn read(&mut self) -> Sequence {
        let [literals, offset, matched] = [0, 1, 2].map(|which| self.tables[which].symbol(self.states[which]));
        // The order of the extra bits is the specification's.
        let offset = (1 << offset) + self.bits.read(u32::from(offset));
        let matched = length(&mut self.bits, matched, 32, 3, &MATCH_LENGTHS);
        let literals = length(&mut self.bits, literals, 16, 0, &LITERAL_LENGTHS);
        Sequence { literals, offset, matched }
    }

    fn advance(&mut self) {
        for which in [0, 2, 1] {
            self.states[which] = self.tables[which].next(self.states[which], &mut self.bits);
        }
    }
}

fn length(bits: &mut Backward<'_>, code: u8, plain: u8, least: u32, coded: &[(u32, u32)]) -> u32 {
    match code.checked_sub(plain) {
        None => u32::from(code) + least,
        Some(code) => {
            let (base, extra) = coded[usize::from(code)];
            base + bits.read(extra)
        }
    }
}

/// The offset that is meant, in bytes, and the new list of recent ones (section 3.1.1.5). 0 is broken.
fn resolve(recent: &mut [u32; 3], offset: u32, no_literals: bool) -> u32 {
    let [first, second, third] = *recent;
    let (resolved, list) = match offset + u32::from(offset <= 3 && no_literals) {
        1 if offset <= 3 => (first, [first, second, third]),
        2 => (second, [second, first, third]),
        3 => (third, [third, first, second]),
        4 if offset <= 3 => (first - 1, [first - 1, first, second]),
        far => (far - 3, [far - 3, first, second]),
    };
    *recent = list;
    resolved
}

/// Appends `length` bytes from `offset` back, which may overlap what is being written.
fn repeat(output: &mut Output, frame_start: usize, offset: usize, length: usize) -> Result<(), Undecodable> {
    let produced = output.bytes.len() - frame_start;
    if offset == 0 || offset > produced {
        return Err(Undecodable::Broken);
    }
    output.reserve(length)?;
    let start = output.bytes.len() - offset;
    let end = output.bytes.len() + length;
    while output.bytes.len() < end {
        let available = output.bytes.len() - start;
        let piece = available.min(end - output.bytes.len());
        output.bytes.extend_from_within(start..start + piece);
    }
    Ok(())
}
