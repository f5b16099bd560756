//! Reading bytes and bits from a slice; a read past its end is an error, never a panic.

use crate::score::decode::Undecodable;

/// The bytes that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Undecodable::Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Undecodable> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of at most 8 bytes.
    pub(super) fn number(&mut self, length: usize) -> Result<u64, Undecodable> {
        Ok(word(self.take(length)?))
    }
}

/// The little-endian number in the first bytes of a slice, at most 8.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let length = bytes.len().min(8);
    word[..length].copy_from_slice(&bytes[..length]);
    u64::from_le_bytes(word)
}

/// `count` bits (at most 56) from bit `at` upwards; bits behind the end are 0.
fn bits_at(bytes: &[u8], at: usize, count: u32) -> u64 {
    let bytes = bytes.get(at / 8..).unwrap_or(&[]);
    let word = match bytes.first_chunk() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => word(bytes),
    };
    word >> (at % 8) & ((1 << count) - 1)
}

/// Bits read from the first one upwards.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Forward<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn peek(&self, count: u32) -> u32 {
        bits_at(self.bytes, self.at, count) as u32
    }

    pub(super) fn skip(&mut self, count: u32) -> Result<(), Undecodable> {
        self.at += count as usize;
        if self.at > self.bytes.len() * 8 { Err(Undecodable::Broken) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, count: u32) -> Result<u32, Undecodable> {
        let bits = self.peek(count);
        self.skip(count)?;
        Ok(bits)
    }

    /// The number of bytes that were touched.
    pub(super) fn bytes_read(&self) -> usize {
        self.at.div_ceil(8)
    }
}

/// Bits read from the last one downwards. The highest bit that is set marks the end and is not read.
#[derive(Debug)]
pub(super) struct Backward<'a> {
    bytes: &'a [u8],
    /// Bits that are still to be read.
    left: usize,
    is_overrun: bool,
}

impl<'a> Backward<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Undecodable> {
        let (last, rest) = bytes.split_last().ok_or(Undecodable::Broken)?;
        let mark = last.checked_ilog2().ok_or(Undecodable::Broken)?;
        let left = rest.len() * 8 + mark as usize;
        Ok(Self { bytes, left, is_overrun: false })
    }

    /// The next `count` bits (at most 32), 0 before the beginning of the slice.
    pub(super) fn peek(&self, count: u32) -> u32 {
        match self.left.checked_sub(count as usize) {
            Some(at) => bits_at(self.bytes, at, count) as u32,
            None => (bits_at(self.bytes, 0, self.left as u32) << (count as usize - self.left)) as u32,
        }
    }

    pub(super) fn skip(&mut self, count: u32) {
        let left = self.left.checked_sub(count as usize);
        self.is_overrun |= left.is_none();
        self.left = left.unwrap_or(0);
    }

    pub(super) fn read(&mut self, count: u32) -> u32 {
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// Whether more bits were read than there are.
    pub(super) const fn is_overrun(&self) -> bool {
        self.is_overrun
    }

    /// Whether every bit was read, and no more than that.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.left == 0 && !self.is_overrun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backward_reads_below_the_mark_and_zeros_before_the_beginning() {
        let mut bits = Backward::new(&[0b1010_0101, 0b0001_0110]).expect("there is a mark");
        assert_eq!(bits.read(3), 0b011);
        assert_eq!(bits.read(6), 0b01_0100);
        assert_eq!(bits.peek(5), 0b10100);
        assert_eq!(bits.read(3), 0b101);
        assert!(bits.is_exhausted() && !bits.is_overrun());
        assert_eq!(bits.read(32), 0);
        assert!(bits.is_overrun());
    }

    #[test]
    fn a_stream_without_a_mark_is_broken() {
        assert!(Backward::new(&[]).is_err());
        assert!(Backward::new(&[1, 0]).is_err());
    }

    #[test]
    fn forward_stops_at_the_end() {
        let mut bits = Forward::new(&[0b1100_0101]);
        assert_eq!(bits.read(3), Ok(0b101));
        assert_eq!(bits.read(5), Ok(0b11000));
        assert_eq!(bits.bytes_read(), 1);
        assert_eq!(bits.read(1), Err(Undecodable::Broken));
    }
}
