//! How much misses cluster: in sessions, in keys, in outages.
//!
//! Clustered misses carry less evidence than their number says. Counts are cut into blocks of time;
//! phi is the variance of the blocks' misses over the variance of independent ones, and all evidence
//! is divided by it.

use serde::{Deserialize, Serialize};

/// A block has at least so many requests, else its rate says nothing.
const BLOCK_REQUESTS: f64 = 20.0;

/// Sums over closed blocks, and the block that is still open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clustering {
    blocks: u32,
    rich: f64,
    requests: f64,
    rich_rich: f64,
    rich_requests: f64,
    requests_requests: f64,
    open: Block,
    /// The factor from the closed blocks; kept, since it is read far more often than it changes.
    phi: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    rich: f64,
    requests: f64,
    seconds: f64,
}

impl Clustering {
    /// Takes in a stretch of `seconds`; closes the block once it is `block_s` long and full enough.
    pub(super) fn add(&mut self, rich: u64, fallback: u64, seconds: f64, block_s: f64) {
        self.open.rich += rich as f64;
        self.open.requests += (rich + fallback) as f64;
        self.open.seconds += seconds;
        // Stretches are sums of tenths: the slack keeps 50 of them from being just short of 5.
        if self.open.seconds + 1e-6 >= block_s && self.open.requests >= BLOCK_REQUESTS {
            self.close();
        }
    }

    fn close(&mut self) {
        let Block { rich, requests, .. } = std::mem::take(&mut self.open);
        self.blocks = self.blocks.saturating_add(1);
        self.rich += rich;
        self.requests += requests;
        self.rich_rich += rich * rich;
        self.rich_requests += rich * requests;
        self.requests_requests += requests * requests;
        self.phi = self.estimate();
    }

    fn estimate(&self) -> f64 {
        if self.blocks < 2 {
            return 1.0;
        }
        let blocks = f64::from(self.blocks);
        let p = (self.rich + 1.0) / (self.requests + 2.0);
        let spread = self.rich_rich - 2.0 * p * self.rich_requests + p * p * self.requests_requests;
        let independent = p * (1.0 - p) * self.requests;
        (blocks / (blocks - 1.0) * spread / independent).max(1.0)
    }

    /// Closed blocks so far.
    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// The factor by which evidence is divided, at least 1; 1 before the second block.
    pub(super) fn phi(&self) -> f64 {
        self.phi.max(1.0)
    }

    /// Leaves the open block, as after a gap in the record.
    pub(super) fn cut(&mut self) {
        self.open = Block::default();
    }
}
