//! What one answer is worth, and every rule that it fails: the first of them gives its cause, all of them tell what would
//! have to be mended before it were rich.

use super::pointer::Pointer;
use super::settle::Score;
use crate::outcome::Cause;

/// Numbers below this one are causes without a place.
const PLACES: usize = Cause::ALL.len();
/// A set holds this many numbers.
const MOST: usize = u64::BITS as usize;

/// The worth of an answer, with its reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What it is worth.
    pub score: Score,
    /// What is wrong with it; empty for what is rich or excluded.
    pub flaws: Flaws,
}

/// An answer that was never held against rules has its cause as its only flaw.
impl From<Score> for Finding {
    fn from(score: Score) -> Self {
        let mut flaws = Flaws::default();
        if let Score::Fallback(cause) = score {
            flaws.insert(cause);
        }
        Self { score, flaws }
    }
}

/// One thing that may be wrong with answers of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The cause it gives.
    pub cause: Cause,
    /// Where, for `missing` and `empty`; `None` elsewhere, for the body as a whole, and for the places beyond the fiftieth.
    pub place: Option<Pointer>,
}

/// A set of flaws of one route, by their numbers in its [`Catalogue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Flaws(u64);

impl Flaws {
    /// Adds a cause that has no place.
    pub fn insert(&mut self, cause: Cause) {
        self.insert_number(cause as usize);
    }

    /// Adds a flaw by its number.
    pub(super) fn insert_number(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    /// Whether nothing is wrong.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every flaw of this set is in the other one: an answer with these flaws would be rich if those were mended.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The flaws of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The numbers of the flaws, ascending.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let lowest = left.trailing_zeros() as usize;
            // The lowest bit of a number is taken off by this.
            left &= left.wrapping_sub(1);
            (lowest < MOST).then_some(lowest)
        })
    }

    /// The flaw of the lowest number, alone: the cause, where nobody keeps places apart.
    #[must_use]
    pub const fn first(self) -> Self {
        Self(self.0 & self.0.wrapping_neg())
    }

    /// The set of one flaw.
    pub const fn only(number: usize) -> Self {
        Self(1 << number)
    }
}

/// The flaws that answers of one route can have, numbered: every cause by its discriminant, then the places of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    places: Vec<Flaw>,
}

impl Catalogue {
    /// The number of a place's flaw, which is entered on first use. Where numbers have run out, the bare cause's.
    pub(super) fn enter(&mut self, cause: Cause, place: &Pointer) -> usize {
        let known = self.places.iter().position(|flaw| flaw.cause == cause && flaw.place.as_ref() == Some(place));
        let at = known.unwrap_or_else(|| {
            if PLACES + self.places.len() < MOST {
                self.places.push(Flaw { cause, place: Some(place.clone()) });
                self.places.len() - 1
            } else {
                MOST
            }
        });
        if at == MOST { cause as usize } else { PLACES + at }
    }

    /// What a number stands for; `None` for one that this route does not give.
    pub fn flaw(&self, number: usize) -> Option<Flaw> {
        match number.checked_sub(PLACES) {
            None => Some(Flaw { cause: Cause::ALL[number], place: None }),
            Some(at) => self.places.get(at).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).expect("a pointer")
    }

    #[test]
    fn a_place_has_one_number_however_often_it_is_entered() {
        let mut catalogue = Catalogue::default();
        let missing = catalogue.enter(Cause::Missing, &pointer("/a"));
        let empty = catalogue.enter(Cause::Empty, &pointer("/a"));
        assert_ne!(missing, empty);
        assert_eq!(catalogue.enter(Cause::Missing, &pointer("/a")), missing);
        assert_eq!(catalogue.flaw(empty), Some(Flaw { cause: Cause::Empty, place: Some(pointer("/a")) }));
        assert_eq!(catalogue.flaw(Cause::Reset as usize), Some(Flaw { cause: Cause::Reset, place: None }));
        assert_eq!(catalogue.flaw(63), None);
    }

    #[test]
    fn places_beyond_the_last_number_share_the_number_of_their_cause() {
        let mut catalogue = Catalogue::default();
        let numbers: Vec<_> =
            (0..60).map(|place| catalogue.enter(Cause::Missing, &pointer(&format!("/{place}")))).collect();
        assert_eq!(numbers[49], 63);
        assert!(numbers[50..].iter().all(|&number| number == Cause::Missing as usize));
        assert_eq!(catalogue.enter(Cause::Missing, &pointer("/7")), numbers[7]);
    }

    #[test]
    fn sets_know_what_mending_others_would_leave() {
        let [a, b] = [Flaws::only(3), Flaws::only(40)];
        assert!(a.is_within(a.union(b)) && !a.union(b).is_within(b));
        assert_eq!(a.union(b).numbers().collect::<Vec<_>>(), [3, 40]);
        assert_eq!((a.union(b).first(), a.is_empty()), (a, false));
        assert_eq!(Finding::from(Score::Rich).flaws, Flaws::default());
        assert_eq!(Finding::from(Score::Fallback(Cause::Tls)).flaws, Flaws::only(Cause::Tls as usize));
    }
}
