//! The differences of one route over many pairs of answers.

use jiff::civil::Date;

use super::contrast::threshold;
use super::rows::{Row, Rows};
use super::suggest::Search;
use super::{
    Comparer, Content, DiffReport, DiffRow, Difference, Ignore, Kind, MOST_ROWS, Options, Reply, Suggestion, Verdict,
};

/// At most this share of the rows that are called a difference is none.
pub const FALSE_DISCOVERIES: f64 = 0.01;

/// The differences of one route, counted pair by pair against their noise. Keeps paths and counts, no values.
#[derive(Debug, Clone, Default)]
pub struct Study {
    comparer: Comparer,
    rows: Rows,
    pairs: u64,
    noise_pairs: u64,
    truncated: u64,
    search: Search,
}

impl Study {
    /// Nothing counted yet.
    pub fn new(options: Options) -> Self {
        Self { comparer: Comparer::new(options), ..Self::default() }
    }

    /// Ignores something else from now on; what was counted stays.
    pub fn ignore(&mut self, rules: Vec<Ignore>) {
        self.comparer.ignore(rules);
    }

    /// Takes in V1's answer to a request and V2's, mapped, to the same one.
    pub fn pair(&mut self, v1: &Reply<'_>, v2: &Reply<'_>) {
        let differences = self.compare(v1, v2);
        self.pairs += 1;
        self.search(v1, v2, &differences);
        self.rows.raw(differences);
    }

    /// Takes in two answers of V1 to the same request. Noise pairs are to be spread evenly between the others.
    pub fn noise(&mut self, v1: &Reply<'_>, again: &Reply<'_>) {
        let differences = self.compare(v1, again);
        self.noise_pairs += 1;
        self.rows.noise(differences);
    }

    /// What was found so far. May be asked for at any time and as often as one likes: the share of false findings is bounded at
    /// each look. `today` decides which rules for ignoring hold.
    pub fn report(&self, today: Date) -> DiffReport {
        let (holding, expired): (Vec<_>, Vec<_>) =
            self.comparer.options().ignore.iter().partition(|rule| rule.holds(today));
        let is_ignored = |row: &&Row| holding.iter().any(|rule| rule.path.covers(&row.path));
        let (ignored, counted): (Vec<&Row>, Vec<&Row>) = self.rows.iter().partition(is_ignored);
        // Which paths were seen depends on the data, so all that could have been seen are the hypotheses.
        let evidence = counted.iter().map(|row| row.contrast.log_e()).collect();
        let enough = threshold(evidence, MOST_ROWS, FALSE_DISCOVERIES);
        let listed = |rows: Vec<&Row>| {
            let mut rows: Vec<_> = rows.into_iter().map(|row| told(row, enough)).collect();
            rows.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(a.p.total_cmp(&b.p)).then_with(|| b.raw.cmp(&a.raw)));
            rows
        };
        DiffReport {
            pairs: self.pairs,
            noise_pairs: self.noise_pairs,
            rows: listed(counted),
            ignored: listed(ignored),
            expired: expired.into_iter().cloned().collect(),
            overflow: self.rows.overflow(),
            truncated: self.truncated,
        }
    }

    /// What would make V1's answers of V2's, as far as the pairs say so, by V1's path.
    pub fn suggestions(&self) -> Vec<Suggestion> {
        self.search.suggestions()
    }

    fn search(&mut self, v1: &Reply<'_>, v2: &Reply<'_>, differences: &[Difference]) {
        let (Content::Json(document), Content::Json(other)) = (v1.content, v2.content) else { return };
        let lacks = |found: &Difference| !matches!(found.kind, Kind::Extra | Kind::Order | Kind::ContentType);
        if v1.status != v2.status {
            // Another kind of answer: nothing of the one can be made of the other.
        } else if differences.iter().any(lacks) {
            self.search.see(document, other, self.rows.maps(), self.comparer.options());
        } else {
            self.search.see_equal(document, self.rows.maps());
        }
    }

    fn compare(&mut self, v1: &Reply<'_>, v2: &Reply<'_>) -> Vec<Difference> {
        if v1.status != v2.status {
            return vec![of_answer(Kind::Status)];
        }
        let mut differences = match (v1.content, v2.content) {
            (Content::Json(v1), Content::Json(v2)) => {
                let compared = self.comparer.compare_with(self.rows.maps(), v1, v2);
                self.truncated += u64::from(compared.truncated);
                compared.differences
            }
            (v1, v2) if v1 != v2 => vec![of_answer(Kind::Body)],
            _ => Vec::new(),
        };
        if v1.media_type() != v2.media_type() {
            differences.push(of_answer(Kind::ContentType));
        }
        differences
    }
}

/// A difference of the answer as a whole.
fn of_answer(kind: Kind) -> Difference {
    Difference { path: String::new(), kind, to: None }
}

fn told(row: &Row, enough: f64) -> DiffRow {
    let (raw, noise) = (row.contrast.raw_share(), row.contrast.noise_share());
    let verdict = match row.contrast.log_e() {
        log_e if log_e >= enough => Verdict::Differs,
        _ if row.contrast.looks_like_noise() => Verdict::Noise,
        _ => Verdict::Unproven,
    };
    DiffRow {
        path: row.path.clone(),
        kind: row.kind,
        to: row.to.clone(),
        raw: raw.hits,
        raw_of: raw.of,
        noise: noise.hits,
        noise_of: noise.of,
        verdict,
        p: (-row.contrast.log_e()).exp().min(1.0),
    }
}
