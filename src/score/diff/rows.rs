//! What is counted per path and kind, bounded, with keys that turn out to be data merged into `*`.

use std::collections::{HashMap, HashSet};

use super::contrast::Contrast;
use super::pattern::{Maps, steps};
use super::{Difference, Kind};

/// Most rows per route, each a path and a kind. Differences at further ones are counted together as overflow.
pub const MOST_ROWS: usize = 512;
/// An object under which so many different keys differed just once each is a map: its keys are data.
const MOST_NAMES: usize = 24;
/// Most objects of a route that can be found to be maps.
const MOST_MAPS: usize = 64;

/// One path and kind.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) to: Option<String>,
    pub(super) contrast: Contrast,
    /// The pair, with V2 or noise, in which it was seen first.
    first: u64,
    /// Whether it was seen in the pair that is being counted; nothing: that pair does not count.
    hit: Option<bool>,
}

/// All rows of a route.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    list: Vec<Row>,
    index: HashMap<(String, Kind), usize>,
    /// What a row would hold that was never seen.
    blank: Contrast,
    maps: Maps,
    pairs: u64,
    overflow: u64,
    /// Whether the pair that is being counted brought something new.
    news: bool,
}

impl Rows {
    pub(super) fn raw(&mut self, differences: Vec<Difference>) {
        self.count(differences, Contrast::raw);
    }

    pub(super) fn noise(&mut self, differences: Vec<Difference>) {
        self.count(differences, Contrast::noise);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.list.iter()
    }

    pub(super) fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Differences that were seen at paths beyond the cap.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    fn count(&mut self, differences: Vec<Difference>, add: impl Fn(&mut Contrast, bool)) {
        self.pairs += 1;
        self.news = false;
        for difference in differences {
            self.see(difference);
        }
        for row in &mut self.list {
            if let Some(hit) = row.hit.replace(false) {
                add(&mut row.contrast, hit);
            }
        }
        add(&mut self.blank, false);
        if self.news {
            self.learn();
        }
    }

    fn see(&mut self, Difference { path, kind, to }: Difference) {
        let key = (path, kind);
        if let Some(&at) = self.index.get(&key) {
            self.list[at].hit = Some(true);
            return;
        }
        self.news = true;
        if self.list.len() == MOST_ROWS {
            self.overflow += 1;
            return;
        }
        // Below a learned map the past is unknown: the row begins after this pair, so that its being seen now, which is why
        // it exists, counts for nothing.
        let learned = steps(&key.0).any(|(above, _)| self.maps.contains(&above));
        let contrast = if learned { Contrast::default() } else { self.blank };
        let row = Row { path: key.0.clone(), kind, to, contrast, first: self.pairs, hit: (!learned).then_some(true) };
        self.index.insert(key, self.list.len());
        self.list.push(row);
    }

    /// Finds objects whose keys are data: many different ones were seen once and, in later pairs, never again.
    fn learn(&mut self) {
        let mut names: HashMap<u64, HashSet<&str>> = HashMap::new();
        let once = |row: &&Row| {
            let seen = row.contrast.raw_share().hits + row.contrast.noise_share().hits;
            seen <= 1 && row.first < self.pairs
        };
        for row in self.list.iter().filter(once) {
            for (above, step) in steps(&row.path).filter(|(_, step)| *step != "*") {
                names.entry(above).or_default().insert(step);
            }
        }
        let many = names.into_iter().filter(|(_, names)| names.len() > MOST_NAMES).map(|(object, _)| object);
        let learned: HashSet<u64> = many.take(MOST_MAPS - self.maps.len()).collect();
        if !learned.is_empty() {
            self.forget_below(&learned);
            self.maps.extend(learned);
        }
    }

    fn forget_below(&mut self, learned: &HashSet<u64>) {
        let below = |path: &str| steps(path).any(|(above, step)| step != "*" && learned.contains(&above));
        self.list.retain(|row| !below(&row.path));
        self.index = self.list.iter().enumerate().map(|(at, row)| ((row.path.clone(), row.kind), at)).collect();
    }
}
