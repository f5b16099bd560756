//! Pairs of answers of one route, with noise, and with edits of V2's.

use crossfade::score::diff::{Content, DiffReport, Options, Reply, Study};
use jiff::civil::{Date, date};
use serde_json::Value;

use crate::corpus::Shape;
use crate::edit::Edit;
use crate::random::Random;

/// Pairs after which somebody looks at the report.
pub(crate) const LOOKS: &[u64] = &[50, 100, 200, 400, 700, 1000];
/// Shares of V2's answers that have an edit.
pub(crate) const RATES: [f64; 3] = [1.0, 0.3, 0.05];
/// The share of V2's answers with an edit that is hard to see.
pub(crate) const RARE: f64 = 0.05;
/// Pairs after which somebody looks at it.
pub(crate) const LONG_LOOKS: &[u64] = &[1000, 2000, 4000, 6000];
const TODAY: Date = date(2026, 11, 20);

/// A route's stream.
pub(crate) struct Scenario {
    shape: &'static Shape,
    seed: u64,
    pub(crate) edits: Vec<Injected>,
}

/// An edit that V2 makes.
pub(crate) struct Injected {
    pub(crate) path: &'static str,
    pub(crate) edit: Edit,
    /// Which of [`RATES`].
    pub(crate) rate: usize,
}

impl Injected {
    pub(crate) fn paths(&self) -> Vec<String> {
        self.edit.paths(self.path)
    }
}

/// What is known at one look, by two studies: one had a noise pair for each pair, one for each tenth.
pub(crate) struct Reports {
    pub(crate) all: DiffReport,
    pub(crate) tenth: DiffReport,
}

impl Scenario {
    /// Without edits.
    pub(crate) fn quiet(shape: &'static Shape, seed: u64) -> Self {
        Self { shape, seed, edits: Vec::new() }
    }

    /// With up to three edits, in different places and different shares of the answers.
    pub(crate) fn edited(shape: &'static Shape, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xed17);
        let count = 1 + random.below(3) as usize;
        let edits = choose(shape, &mut random, count).into_iter();
        let rate = |random: &mut Random| random.below(RATES.len() as u64) as usize;
        let edits = edits.map(|(path, edit)| Injected { path, edit, rate: rate(&mut random) }).collect();
        Self { shape, seed: seed + 1000, edits }
    }

    /// With up to three edits in few of the answers.
    pub(crate) fn rare(shape: &'static Shape, seed: u64) -> Self {
        let mut scenario = Self::edited(shape, seed + 100);
        let rare = RATES.iter().position(|rate| *rate == RARE).expect("one of the rates");
        scenario.edits.iter_mut().for_each(|edit| edit.rate = rare);
        scenario
    }

    /// Whether a finding at `path` is due to an edit; a reversed array may also differ in its elements.
    pub(crate) fn is_right(&self, path: &str) -> bool {
        let below = |edit: &Injected| matches!(edit.edit, Edit::Reverse) && path.starts_with(edit.path);
        self.edits.iter().any(|edit| below(edit) || edit.paths().iter().any(|right| right == path))
    }

    /// Plays all pairs, and returns what is known at each look.
    pub(crate) fn play(&self) -> Vec<Reports> {
        let mut random = Random::new(self.seed);
        let (mut all, mut tenth) = (Study::new(Options::default()), Study::new(Options::default()));
        let mut looks = Vec::new();
        for at in 1..=LOOKS[LOOKS.len() - 1] {
            let [v1, again, v2] = self.answers(&mut random).map(Content::Json);
            for study in [&mut all, &mut tenth] {
                study.pair(&reply(&v1), &reply(&v2));
            }
            all.noise(&reply(&v1), &reply(&again));
            if at % 10 == 0 {
                tenth.noise(&reply(&v1), &reply(&again));
            }
            if LOOKS.contains(&at) {
                looks.push(Reports { all: all.report(TODAY), tenth: tenth.report(TODAY) });
            }
        }
        looks
    }

    /// Plays more pairs, with a noise pair for a tenth of them.
    pub(crate) fn play_long(&self) -> Vec<DiffReport> {
        let mut random = Random::new(self.seed);
        let mut study = Study::new(Options::default());
        let mut looks = Vec::new();
        for at in 1..=LONG_LOOKS[LONG_LOOKS.len() - 1] {
            let [v1, again, v2] = self.answers(&mut random).map(Content::Json);
            study.pair(&reply(&v1), &reply(&v2));
            if at % 10 == 0 {
                study.noise(&reply(&v1), &reply(&again));
            }
            if LONG_LOOKS.contains(&at) {
                looks.push(study.report(TODAY));
            }
        }
        looks
    }

    /// V1's answer, V1's again, V2's.
    fn answers(&self, random: &mut Random) -> [Value; 3] {
        let truth = (self.shape.truth)(random);
        let mut answers = [truth.clone(), truth.clone(), truth];
        for answer in &mut answers {
            (self.shape.noise)(random, answer);
        }
        for edit in &self.edits {
            if random.chance(RATES[edit.rate]) {
                edit.edit.make(&mut answers[2], edit.path);
            }
        }
        answers
    }
}

pub(crate) fn reply(content: &Content) -> Reply<'_> {
    Reply { status: 200, content_type: Some("application/json"), content }
}

/// Edits of a shape, none of them inside of another one's place.
pub(crate) fn choose(shape: &Shape, random: &mut Random, count: usize) -> Vec<(&'static str, Edit)> {
    let mut all = shape.edits.to_vec();
    random.shuffle(&mut all);
    let mut chosen: Vec<(&'static str, Edit)> = Vec::new();
    for (path, edit) in all {
        let meets = |other: &str| other.starts_with(path) || path.starts_with(other);
        if chosen.len() < count && !chosen.iter().any(|(other, _)| meets(other)) {
            chosen.push((path, edit));
        }
    }
    chosen
}
