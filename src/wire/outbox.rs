//! Bytes on their way out.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces up to this size are copied behind what waits before them; larger ones are written from where they are.
const COPIED: usize = 2 << 10;

/// Bytes that wait to be written: small ones behind one another, large pieces as they are.
#[derive(Debug, Default)]
pub struct Outbox {
    first: VecDeque<Bytes>,
    /// What comes after all of `first`.
    last: BytesMut,
    /// Bytes in `first`.
    queued: usize,
}

impl Outbox {
    /// The end of what waits, to write a head to.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.last
    }

    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPIED {
            self.last.extend_from_slice(&piece);
            return;
        }
        if !self.last.is_empty() {
            let before = self.last.split().freeze();
            self.queue(before);
        }
        self.queue(piece);
    }

    fn queue(&mut self, piece: Bytes) {
        self.queued += piece.len();
        self.first.push_back(piece);
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.queued + self.last.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills in what to write first, for one vectored write, and says how many slices that are.
    pub fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let last = (!self.last.is_empty()).then_some(&self.last[..]);
        let pieces = self.first.iter().map(|piece| &piece[..]).chain(last);
        into.iter_mut().zip(pieces).map(|(slot, piece)| *slot = IoSlice::new(piece)).count()
    }

    /// What can be written at once where there is no vectored write.
    pub fn first(&self) -> &[u8] {
        self.first.front().map_or(&self.last[..], |piece| &piece[..])
    }

    /// Takes off what was written.
    ///
    /// # Panics
    /// When more was written than there was.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.first.front_mut() {
            let taken = count.min(piece.len());
            self.queued -= taken;
            count -= taken;
            if taken < piece.len() {
                piece.advance(taken);
                return;
            }
            self.first.pop_front();
        }
        self.last.advance(count);
        if self.last.is_empty() {
            self.last.clear();
        }
    }

    /// Gives the memory back.
    pub fn release(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outbox: &mut Outbox, most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = outbox.slices(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert!(all.starts_with(outbox.first()));
            let taken = all.len().min(most);
            out.extend_from_slice(&all[..taken]);
            outbox.advance(taken);
        }
        out
    }

    #[test]
    fn pieces_go_out_in_order_however_little_is_written_at_once() {
        for most in [1, 7, 1000, 1 << 20] {
            let mut outbox = Outbox::default();
            let mut all = Vec::new();
            for size in [10, 5000, 0, 3, 3000, 4000, 2048, 2049, 1] {
                let piece = vec![size as u8; size];
                all.extend_from_slice(&piece);
                outbox.push(Bytes::from(piece));
                assert_eq!(outbox.len(), all.len());
            }
            assert_eq!(written(&mut outbox, most), all);
        }
    }
}
