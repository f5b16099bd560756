//! One guess at where V1's value comes from, and what speaks for it.
//!
//! That a guess holds says little where both sides are constant. So each is held against chance, which is measured, not guessed:
//! V1's value is also compared with what V2's answer to the request *before* would give. Only pairs in which V1's value is
//! another one than before count, and the decision is the one that differences are held against noise with.

use super::columns::{Column, Columns};
use super::relation::{Labels, Relation, Said, ratio};
use super::{MOST_CANDIDATES, MOST_WANTED, Transform};
use crate::score::diff::FALSE_DISCOVERIES;
use crate::score::diff::compare::is_telling;
use crate::score::diff::contrast::Contrast;

/// Tries after which a guess that holds in less than half of them makes room.
const PATIENCE: u64 = 12;
/// Least pairs that a suggestion rests on.
const LEAST_TRIES: u64 = 8;

/// A guess: V1's column at some path follows from V2's at `path`.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The digest of V2's path.
    pub(super) at: u64,
    pub(super) path: String,
    pub(super) relation: Relation,
    /// Pairs that said something, and those that spoke for it.
    pub(super) tries: u64,
    pub(super) support: u64,
    /// Pairs in which V2's place was not explained by V1's answer at the same place.
    offered: u64,
    /// Holding in pairs, against holding with the answer before.
    contrast: Contrast,
    before: Option<Said>,
    /// Whether the first value could be recognised.
    telling: bool,
}

impl Candidate {
    pub(super) fn new(at: u64, v2: &Column<'_>, relation: Relation) -> Self {
        Self {
            at,
            path: v2.path.clone(),
            relation,
            tries: 0,
            support: 0,
            offered: 0,
            contrast: Contrast::default(),
            before: None,
            telling: v2.first().is_some_and(is_telling),
        }
    }

    /// Takes in one pair.
    pub(super) fn see(&mut self, v1: &Column<'_>, answer: &Columns<'_>, is_offered: bool) {
        let v2 = answer.get(self.at);
        let Some(said) = self.relation.say(v1, v2) else { return };
        let holds = said.predicted == Some(said.actual);
        if !holds && self.support <= 1 {
            self.take_another_ratio(v1, v2);
        }
        self.tries += 1;
        self.support += u64::from(holds);
        self.offered += u64::from(is_offered);
        if let Some(before) = self.before.replace(said).filter(|before| before.actual != said.actual) {
            self.contrast.raw(holds);
            self.contrast.noise(before.predicted == Some(said.actual));
        }
    }

    /// The first pair may have been an odd one.
    fn take_another_ratio(&mut self, v1: &Column<'_>, v2: Option<&Column<'_>>) {
        if let (Relation::Ratio(old), Some(new)) = (&mut self.relation, v2.and_then(|v2| ratio(v1, v2))) {
            *old = new;
        }
    }

    /// Whether it is not worth its place.
    pub(super) fn is_hopeless(&self) -> bool {
        let is_full = matches!(&self.relation, Relation::Labels(labels) if labels.is_full);
        is_full || (self.tries >= PATIENCE && 2 * self.support < self.tries)
    }

    /// Whether it holds in nearly all pairs, and more often than by chance.
    ///
    /// A value that never changes cannot be held against chance; then it has to be one that can be recognised, at a place that
    /// only V2 has, without an exception.
    pub(super) fn is_convincing(&self, of: u64) -> bool {
        let least = if self.is_offered() { 0.9 } else { 0.98 };
        let hypotheses = (MOST_WANTED * MOST_CANDIDATES) as f64;
        let is_proven = self.contrast.log_e() >= (hypotheses / FALSE_DISCOVERIES).ln();
        let is_table = matches!(&self.relation, Relation::Labels(labels) if !labels.is_one_to_one());
        let is_constant = self.contrast.raw_share().of == 0 && self.telling && self.support == self.tries;
        let is_formal = matches!(self.relation, Relation::Form(..));
        self.tries >= LEAST_TRIES
            && 2 * self.tries >= of
            && self.share() >= least
            && !is_table
            && (is_proven || (is_constant && is_formal && self.is_offered()))
    }

    /// Whether V2's place mostly holds something that V1's same place does not explain.
    pub(super) fn is_offered(&self) -> bool {
        2 * self.offered > self.tries
    }

    pub(super) fn share(&self) -> f64 {
        self.support as f64 / self.tries.max(1) as f64
    }

    pub(super) fn transform(&self) -> Transform {
        match &self.relation {
            Relation::Form(_, transform) => transform.clone(),
            Relation::Ratio(ratio) => Transform::Scale { ratio: *ratio },
            Relation::Labels(labels) => Transform::Labels { labels: Labels::told(labels) },
        }
    }
}
