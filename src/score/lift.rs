//! Why V2 falls back, and what mending each reason would give.
//!
//! An answer with several flaws is rich only once all of them are mended, so a flaw's count says little of what mending it
//! brings. Each fallback is therefore counted with the whole set of its flaws ([`Flaws`]), and what mending would give is
//! exact: the hit rate over the same answers, those counted as rich whose flaws are all mended. It assumes that an answer
//! without flaws in one place is not given new ones by the mending.
//!
//! Rows are in the order in which to mend: first the flaw that gives most alone, then the one that gives most after that.

use serde::{Deserialize, Serialize};

use super::advice::{RetryAdvice, Trials};
use super::flaws::{Catalogue, Flaws};
use crate::outcome::Cause;

/// One fallback of V2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Failed {
    /// What is wrong with it.
    pub flaws: Flaws,
    /// What V1 made of the same request.
    pub v1: Beside,
}

/// V1's answer to the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Beside {
    /// V1 was not asked, or its answer is in no hit rate.
    Nothing,
    /// A rich answer.
    Rich,
    /// A fallback as well, with these flaws.
    Fallback(Flaws),
}

/// What was counted of V2's answers on one route.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Rich answers.
    pub rich: u64,
    /// Fallbacks, those that are alike counted together.
    pub failed: Vec<(Failed, u64)>,
    /// Pairs of scored answers, by whether V1's and V2's was rich.
    pub pairs: [[u64; 2]; 2],
    /// Rich and fallback as they would have been without retries.
    pub first_try: [u64; 2],
    /// Failures that were tried once more, where no retry is configured.
    pub trials: Trials,
}

/// Why V2 falls back on one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// V2's scored answers.
    pub answers: u64,
    /// Of these, the fallbacks.
    pub fallbacks: u64,
    /// Of the answers, the share that is rich; `None` without answers.
    pub hit_rate: Option<f64>,
    /// The same without retries; `None` without answers.
    pub first_try_hit_rate: Option<f64>,
    /// One flaw each, in the order in which to mend them.
    pub rows: Vec<Row>,
    /// The pairs.
    pub quadrants: Quadrants,
    /// What retries would save; `None` where they are configured already, or nobody knows.
    pub retry: Option<RetryAdvice>,
}

/// One flaw of V2's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is wrong.
    pub cause: Cause,
    /// Where, as a JSON Pointer; `None` where the cause has no place.
    pub place: Option<String>,
    /// Fallbacks that have it, whatever else is wrong with them.
    pub count: u64,
    /// Their share of the fallbacks.
    pub share: f64,
    /// V2's hit rate if this flaw alone were mended.
    pub alone: f64,
    /// V2's hit rate if this flaw and those of all rows above were mended.
    pub together: f64,
    /// Of `count`, those where V1 answered the same request with the same flaw: the bug is inherited.
    pub inherited: u64,
}

/// Pairs of scored answers to the same requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quadrants {
    /// Both rich.
    pub both_rich: u64,
    /// V1 rich, V2 a fallback: what customers would lose.
    pub only_v1_rich: u64,
    /// V2 rich, V1 a fallback: what customers would gain.
    pub only_v2_rich: u64,
    /// Both a fallback: missing data, or a bug that V2 inherited.
    pub neither_rich: u64,
}

impl Lift {
    /// Ranks what is wrong. The numbers of flaws mean what `catalogue` says.
    pub fn of(counted: &Counted, catalogue: &Catalogue) -> Self {
        let failed: u64 = counted.failed.iter().map(|(_, count)| count).sum();
        let answers = counted.rich + failed;
        let [rich, fallback] = counted.first_try;
        Self {
            answers,
            fallbacks: failed,
            hit_rate: ratio(counted.rich, answers),
            first_try_hit_rate: ratio(rich, rich + fallback),
            rows: rows(counted, failed, catalogue),
            retry: RetryAdvice::of(&counted.trials, counted.rich, answers, |cause| {
                counted.sum(|failed| failed.flaws == Flaws::only(cause as usize))
            }),
            quadrants: Quadrants {
                both_rich: counted.pairs[1][1],
                only_v1_rich: counted.pairs[1][0],
                only_v2_rich: counted.pairs[0][1],
                neither_rich: counted.pairs[0][0],
            },
        }
    }
}

fn rows(counted: &Counted, failed: u64, catalogue: &Catalogue) -> Vec<Row> {
    let all = counted.failed.iter().fold(Flaws::default(), |all, (failed, _)| all.union(failed.flaws));
    let mut left: Vec<usize> = all.numbers().collect();
    let (mut mended, mut rows) = (Flaws::default(), Vec::new());
    let hit_rate = |mended| ratio(counted.rich + counted.without(mended), counted.rich + failed).unwrap_or_default();
    while let Some(at) = counted.most_worth(&left, mended) {
        let number = left.remove(at);
        let flaw = Flaws::only(number);
        mended = mended.union(flaw);
        let Some(known) = catalogue.flaw(number) else { continue };
        let count = counted.having(flaw);
        rows.push(Row {
            cause: known.cause,
            place: known.place.map(|place| place.to_string()),
            count,
            share: ratio(count, failed).unwrap_or_default(),
            alone: hit_rate(flaw),
            together: hit_rate(mended),
            inherited: counted.inherited(flaw),
        });
    }
    rows
}

impl Counted {
    /// The place in `left` of the flaw to mend next: that which makes most answers rich, else the most frequent one.
    fn most_worth(&self, left: &[usize], mended: Flaws) -> Option<usize> {
        let worth = |&number: &usize| {
            let flaw = Flaws::only(number);
            (self.without(mended.union(flaw)), self.having(flaw))
        };
        // The first of equals, so that the order is the same from call to call.
        (0..left.len()).rev().max_by_key(|&at| worth(&left[at]))
    }

    /// Fallbacks that would be rich if these flaws were mended.
    fn without(&self, mended: Flaws) -> u64 {
        self.sum(|failed| failed.flaws.is_within(mended))
    }

    fn having(&self, flaw: Flaws) -> u64 {
        self.sum(|failed| flaw.is_within(failed.flaws))
    }

    fn inherited(&self, flaw: Flaws) -> u64 {
        self.sum(|failed| {
            let inherits = matches!(failed.v1, Beside::Fallback(flaws) if flaw.is_within(flaws));
            inherits && flaw.is_within(failed.flaws)
        })
    }

    fn sum(&self, wanted: impl Fn(&Failed) -> bool) -> u64 {
        self.failed.iter().filter(|(failed, _)| wanted(failed)).map(|(_, count)| count).sum()
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pointer::Pointer;
    use super::*;

    /// A catalogue with `missing /name` and `empty /items`, and the numbers of the two.
    fn catalogue() -> (Catalogue, [usize; 2]) {
        let mut catalogue = Catalogue::default();
        let mut enter = |cause, place| catalogue.enter(cause, &Pointer::parse(place).expect("a pointer"));
        let numbers = [enter(Cause::Missing, "/name"), enter(Cause::Empty, "/items")];
        (catalogue, numbers)
    }

    fn set(numbers: &[usize]) -> Flaws {
        numbers.iter().fold(Flaws::default(), |set, &number| set.union(Flaws::only(number)))
    }

    fn failed(flaws: Flaws, v1: Beside) -> Failed {
        Failed { flaws, v1 }
    }

    #[test]
    fn tells_what_mending_gives_alone_and_after_the_rows_above() {
        let (catalogue, [name, items]) = catalogue();
        let auth = Cause::Auth as usize;
        let counted = Counted {
            rich: 60,
            failed: vec![
                (failed(set(&[name]), Beside::Rich), 10),
                (failed(set(&[name, items]), Beside::Rich), 15),
                (failed(set(&[items]), Beside::Fallback(set(&[items]))), 5),
                (failed(set(&[auth]), Beside::Nothing), 10),
            ],
            pairs: [[5, 2], [25, 58]],
            first_try: [50, 50],
            ..Counted::default()
        };
        let lift = Lift::of(&counted, &catalogue);
        assert_eq!((lift.answers, lift.hit_rate, lift.first_try_hit_rate), (100, Some(0.6), Some(0.5)));
        let told: Vec<_> = lift
            .rows
            .iter()
            .map(|row| {
                let of_hundred = |rate: f64| (rate * 100.0).round();
                let place = row.place.as_deref().unwrap_or("-");
                (row.cause, place, row.count, of_hundred(row.alone), of_hundred(row.together), row.inherited)
            })
            .collect();
        assert_eq!(
            told,
            [
                (Cause::Missing, "/name", 25, 70.0, 70.0, 0),
                (Cause::Empty, "/items", 20, 65.0, 90.0, 5),
                (Cause::Auth, "-", 10, 70.0, 100.0, 0),
            ]
        );
        assert_eq!(lift.quadrants, Quadrants { both_rich: 58, only_v1_rich: 25, only_v2_rich: 2, neither_rich: 5 });
    }

    #[test]
    fn says_nothing_where_nothing_was_counted() {
        let lift = Lift::of(&Counted::default(), &Catalogue::default());
        assert_eq!((lift.hit_rate, lift.first_try_hit_rate, lift.rows.len()), (None, None, 0));
    }

    proptest! {
        #[test]
        fn mending_everything_leaves_no_fallback_and_never_lowers_the_hit_rate(
            rich in 0u64..100,
            failed in prop::collection::vec((1u16..1 << 10, 1u64..50), 0..20),
        ) {
            let of = |bits: u16| set(&(0..10).filter(|bit| bits >> bit & 1 == 1).collect::<Vec<_>>());
            let failed: Vec<_> =
                failed.into_iter().map(|(bits, count)| (super::Failed { flaws: of(bits), v1: Beside::Nothing }, count)).collect();
            let lift = Lift::of(&Counted { rich, failed, ..Counted::default() }, &Catalogue::default());
            let mut before = lift.hit_rate.unwrap_or_default();
            for row in &lift.rows {
                prop_assert!(row.together >= before && row.together >= row.alone);
                before = row.together;
            }
            if let Some(last) = lift.rows.last() {
                prop_assert!((last.together - 1.0).abs() < 1e-12);
            }
        }
    }
}
