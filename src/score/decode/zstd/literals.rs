//! The literals section of a block (RFC 8878, section 3.1.1.3.1).

use super::MAX_BLOCK;
use super::bits::Input;
use super::huffman::Huffman;
use crate::score::decode::Undecodable;

/// Reads the section into `literals`, replacing what is there. `huffman` is the code of the block before.
pub(super) fn read(
    block: &mut Input<'_>,
    huffman: &mut Option<Huffman>,
    literals: &mut Vec<u8>,
) -> Result<(), Undecodable> {
    literals.clear();
    let first = *block.0.first().ok_or(Undecodable::Broken)?;
    match first & 3 {
        0 => {
            let size = plain_size(block, first)?;
            literals.extend_from_slice(block.take(size)?);
        }
        1 => {
            let size = plain_size(block, first)?;
            literals.resize(size, block.byte()?);
        }
        kind => {
            let (size, section) = coded_section(block, first)?;
            let is_single = first & 0b1100 == 0;
            return coded(section, size, is_single, kind == 2, huffman, literals);
        }
    }
    Ok(())
}

/// The size of a raw or repeated section: 5, 12 or 20 bits.
fn plain_size(block: &mut Input<'_>, first: u8) -> Result<usize, Undecodable> {
    let size = match first >> 2 & 3 {
        1 => block.number(2)? >> 4,
        3 => block.number(3)? >> 4,
        _ => block.number(1)? >> 3,
    };
    if size as usize > MAX_BLOCK { Err(Undecodable::Broken) } else { Ok(size as usize) }
}

/// The decoded size of a coded section, and its bytes.
fn coded_section<'a>(block: &mut Input<'a>, first: u8) -> Result<(usize, Input<'a>), Undecodable> {
    let (length, width) = [(3, 10), (3, 10), (4, 14), (5, 18)][usize::from(first >> 2 & 3)];
    let header = block.number(length)? >> 4;
    let size = (header & ((1 << width) - 1)) as usize;
    if size > MAX_BLOCK {
        return Err(Undecodable::Broken);
    }
    Ok((size, Input(block.take((header >> width) as usize)?)))
}

fn coded(
    mut section: Input<'_>,
    size: usize,
    is_single: bool,
    has_tree: bool,
    huffman: &mut Option<Huffman>,
    literals: &mut Vec<u8>,
) -> Result<(), Undecodable> {
    if has_tree {
        *huffman = Some(Huffman::read(&mut section)?);
    }
    let huffman = huffman.as_ref().ok_or(Undecodable::Broken)?;
    if is_single {
        return huffman.decode(section.0, size, literals);
    }
    let lengths = [section.number(2)?, section.number(2)?, section.number(2)?];
    let quarter = size.div_ceil(4);
    for length in lengths {
        huffman.decode(section.take(length as usize)?, quarter, literals)?;
    }
    let rest = size.checked_sub(literals.len()).ok_or(Undecodable::Broken)?;
    huffman.decode(section.0, rest, literals)
}
