//! A place of V1's answer that V2's lacks or changes, and the guesses at where its value went.

use std::collections::{HashMap, HashSet};

use super::candidate::Candidate;
use super::columns::{Column, Columns, are_equal};
use super::form::Form;
use super::relation::{Labels, Relation, ratio};
use super::{MOST_CANDIDATES, Suggestion, Transform};

/// Least pairs in which a place was wanted before anything is said about it.
const LEAST_PAIRS: u64 = 8;
/// Most places of V2's answer with one value that are guessed at.
const MOST_ALIKE: usize = 4;
/// Most places of V2's answer at which numbers and labels are tried per pair.
const MOST_TRIED: usize = 8;

/// What V2's answer of one pair has to offer.
pub(super) struct Offers<'c, 'a> {
    answer: &'c Columns<'a>,
    /// Places that V1's answer does not explain: it has nothing there, or something else.
    unexplained: HashSet<u64>,
    /// The same in turns, another one first in each pair.
    turns: Vec<(u64, &'c Column<'a>)>,
    by_form: HashMap<(Form, u64), Vec<(u64, &'c Column<'a>)>>,
}

impl<'c, 'a> Offers<'c, 'a> {
    pub(super) fn new(v1: &Columns<'_>, answer: &'c Columns<'a>, pair: usize) -> Self {
        let columns = answer.sorted();
        let is_explained = |at: u64, column: &Column<'_>| v1.get(at).is_some_and(|same| are_equal(same, column));
        let (explained, mut turns): (Vec<_>, Vec<_>) =
            columns.into_iter().partition(|(at, column)| is_explained(*at, column));
        let mut by_form: HashMap<_, Vec<_>> = HashMap::new();
        for (at, column) in turns.iter().chain(&explained).copied() {
            for form in Form::ALL {
                let Some(digest) = column.digest(form) else { continue };
                let alike = by_form.entry((form, digest)).or_default();
                if alike.len() < MOST_ALIKE {
                    alike.push((at, column));
                }
            }
        }
        let unexplained = turns.iter().map(|(at, _)| *at).collect();
        let middle = pair * MOST_TRIED % turns.len().max(1);
        turns.rotate_left(middle);
        Self { answer, unexplained, turns, by_form }
    }

    fn in_form(&self, form: Form, digest: u64) -> &[(u64, &'c Column<'a>)] {
        self.by_form.get(&(form, digest)).map_or(&[], Vec::as_slice)
    }

    /// Where a number or a label may have gone: it is still there, or at a place that is not explained.
    fn near(&self, at: u64) -> impl Iterator<Item = (u64, &'c Column<'a>)> {
        let here = self.answer.get(at).map(|column| (at, column));
        here.into_iter().chain(self.turns.iter().copied().filter(move |(turn, _)| *turn != at).take(MOST_TRIED))
    }
}

/// A place of V1's answer.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    path: String,
    /// Pairs in which V1's answer had it, since it was first wanted.
    pub(super) present: u64,
    /// Pairs of these in which V2's answer did not.
    of: u64,
    /// Of these, those in which V2's answer had nothing there.
    lacking: u64,
    candidates: Vec<Candidate>,
}

impl Wanted {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), present: 0, of: 0, lacking: 0, candidates: Vec::new() }
    }

    /// Takes in a pair in which V2's answer lacks or changes what is `at` this place.
    pub(super) fn see(&mut self, at: u64, column: &Column<'_>, offers: &Offers<'_, '_>, revealed: bool) {
        self.of += 1;
        self.lacking += u64::from(offers.answer.get(at).is_none());
        for candidate in &mut self.candidates {
            candidate.see(column, offers.answer, offers.unexplained.contains(&candidate.at));
        }
        self.candidates.retain(|candidate| !candidate.is_hopeless());
        if self.candidates.len() < MOST_CANDIDATES {
            self.guess_forms(column, offers);
            self.guess_relations(at, column, offers, revealed);
        }
    }

    /// Takes in a pair in which both answers have the same at this place. A guess must hold then, too: of a value with two
    /// states, the pairs that differ alone would say that V2's is always the opposite.
    pub(super) fn see_same(&mut self, column: &Column<'_>, answer: &Columns<'_>) {
        for candidate in self.candidates.iter_mut().filter(|candidate| answer.get(candidate.at).is_some()) {
            candidate.see(column, answer, false);
        }
    }

    fn guess_forms(&mut self, column: &Column<'_>, offers: &Offers<'_, '_>) {
        for form in Form::ALL {
            let alike = column.digest(form).map_or(&[][..], |digest| offers.in_form(form, digest));
            for (at, v2) in alike {
                let transform = column.first().zip(v2.first()).and_then(|(v1, v2)| form.transform(v1, v2));
                if let Some(transform) = transform.filter(|_| stars(&column.path) == stars(&v2.path)) {
                    self.add(*at, v2, column, offers, Relation::Form(form, transform));
                }
            }
        }
    }

    fn guess_relations(&mut self, at: u64, column: &Column<'_>, offers: &Offers<'_, '_>, revealed: bool) {
        let are_labels = Labels::fit(column);
        for (place, v2) in offers.near(at).filter(|(_, v2)| stars(&v2.path) == stars(&column.path)) {
            if let Some(ratio) = ratio(column, v2) {
                self.add(place, v2, column, offers, Relation::Ratio(ratio));
            }
            if are_labels && Labels::fit(v2) {
                self.add(place, v2, column, offers, Relation::Labels(Labels::new(revealed)));
            }
        }
    }

    /// A new guess begins with the pair that suggested it.
    fn add(&mut self, at: u64, v2: &Column<'_>, v1: &Column<'_>, offers: &Offers<'_, '_>, relation: Relation) {
        let is_known = |known: &Candidate| {
            known.at == at && std::mem::discriminant(&known.relation) == std::mem::discriminant(&relation)
        };
        if self.candidates.len() < MOST_CANDIDATES && !self.candidates.iter().any(is_known) {
            let mut candidate = Candidate::new(at, v2, relation);
            candidate.see(v1, offers.answer, offers.unexplained.contains(&at));
            self.candidates.push(candidate);
        }
    }

    /// The best of the convincing guesses, if V2's answer lacks or changes the place in most pairs. In fewer of them, only where
    /// V2 has it elsewhere instead: moving what is not there changes nothing of the other answers.
    pub(super) fn best(&self) -> Option<Suggestion> {
        let is_rare = 2 * self.of < self.present;
        if self.of < LEAST_PAIRS || is_rare && self.lacking < self.of {
            return None;
        }
        let is_moved = |it: &Candidate| it.is_offered() && matches!(it.relation, Relation::Form(_, Transform::Same));
        let convincing = self.candidates.iter().filter(|it| it.is_convincing(self.of) && (!is_rare || is_moved(it)));
        let rank = |candidate: &Candidate| {
            let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
            let alike = strsim::jaro_winkler(&name(&self.path), &name(&candidate.path));
            let simple = -f64::from(effort(&candidate.relation));
            (f64::from(u8::from(candidate.is_offered())), candidate.share(), simple, alike)
        };
        let best = convincing.max_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal))?;
        Some(Suggestion {
            v1: self.path.clone(),
            v2: best.path.clone(),
            transform: best.transform(),
            support: best.support,
            of: best.tries,
        })
    }
}

/// How much a relation asks one to believe.
fn effort(relation: &Relation) -> u8 {
    match relation {
        Relation::Form(_, Transform::Same) => 0,
        Relation::Form(..) => 1,
        Relation::Ratio(_) => 2,
        Relation::Labels(_) => 3,
    }
}

/// How many arrays and maps a path goes through; values can only be paired where both go through as many.
fn stars(path: &str) -> usize {
    path.split('/').filter(|step| *step == "*").count()
}
