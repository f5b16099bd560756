//! All samples, within one bound for all of them together.

use std::collections::BTreeMap;

use super::reservoir::Reservoir;
use super::sample::Sample;
use crate::outcome::Cause;
use crate::random::Random;

/// Most bytes of all samples together, as they are written to disk.
pub(super) const MOST: usize = 4 << 20;

/// Where a sample belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) dependency: String,
    pub(super) route: String,
    pub(super) cause: Cause,
}

/// A sample and its text, which is what it costs.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) sample: Sample,
    pub(super) text: String,
}

/// A few samples of each route and cause.
#[derive(Debug, Default)]
pub(super) struct Samples {
    places: BTreeMap<Place, Reservoir<Written>>,
    bytes: usize,
    random: Random,
}

impl Samples {
    pub(super) fn add(&mut self, sample: Sample) {
        let Some(written) = Written::of(sample) else { return };
        let place = Place::of(&written.sample);
        self.bytes += written.text.len();
        let fallen = self.places.entry(place).or_default().push(written, &self.random);
        self.forget(fallen);
        self.shrink();
    }

    /// Puts back what was kept before, oldest first as [`reservoirs`](Self::reservoirs) tells it.
    pub(super) fn restore(&mut self, place: Place, samples: Vec<Sample>, aged: u64) {
        let written: Vec<_> = samples.into_iter().filter_map(Written::of).collect();
        let reservoir = Reservoir::restored(written, aged);
        self.bytes += reservoir.iter().map(|written| written.text.len()).sum::<usize>();
        if let Some(old) = self.places.insert(place, reservoir) {
            old.iter().for_each(|written| self.bytes -= written.text.len());
        }
        self.shrink();
    }

    /// Newest first.
    pub(super) fn of(&self, dependency: &str, route: Option<&str>, cause: Option<Cause>) -> Vec<Sample> {
        let wanted = self.places.iter().filter(|(place, _)| {
            place.dependency == dependency
                && route.is_none_or(|route| place.route == route)
                && cause.is_none_or(|cause| place.cause == cause)
        });
        let mut found: Vec<_> =
            wanted.flat_map(|(_, reservoir)| reservoir.iter()).map(|written| written.sample.clone()).collect();
        found.sort_by_key(|sample| std::cmp::Reverse(sample.time));
        found
    }

    /// Keeps those of some routes only; the arguments are the names of dependency and route.
    pub(super) fn retain(&mut self, stays: impl Fn(&str, &str) -> bool) {
        self.places.retain(|place, _| stays(&place.dependency, &place.route));
        self.bytes = self.places.values().flat_map(Reservoir::iter).map(|written| written.text.len()).sum();
    }

    /// Everything, for the disk.
    pub(super) fn reservoirs(&self) -> impl Iterator<Item = (&Place, &Reservoir<Written>)> {
        self.places.iter()
    }

    fn forget(&mut self, written: Option<Written>) {
        self.bytes -= written.map_or(0, |written| written.text.len());
    }

    /// Whoever has most gives first.
    fn shrink(&mut self) {
        while self.bytes > MOST {
            let size = |reservoir: &Reservoir<Written>| reservoir.iter().map(|it| it.text.len()).sum::<usize>();
            let largest = self.places.values_mut().max_by_key(|reservoir| size(reservoir));
            let given = largest.and_then(Reservoir::pop);
            if given.is_none() {
                return;
            }
            self.forget(given);
            self.places.retain(|_, reservoir| !reservoir.is_empty());
        }
    }
}

impl Place {
    pub(super) fn of(sample: &Sample) -> Self {
        Self { dependency: sample.dependency.clone(), route: sample.route.clone(), cause: sample.cause }
    }
}

impl Written {
    fn of(sample: Sample) -> Option<Self> {
        let text = serde_json::to_string(&sample).ok()?;
        Some(Self { sample, text })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::sample::Side;
    use super::*;

    fn sample(route: &str, cause: Cause, second: i64, size: usize) -> Sample {
        Sample {
            time: Timestamp::from_second(second).expect("an instant"),
            dependency: "a".to_owned(),
            route: route.to_owned(),
            cause,
            flaws: Vec::new(),
            trace_id: None,
            v1: None,
            v2: Side { shape: Some("x".repeat(size).into()), ..Side::default() },
        }
    }

    #[test]
    fn are_found_by_route_and_cause_newest_first() {
        let mut samples = Samples::default();
        for second in 0..3 {
            samples.add(sample("list", Cause::Empty, second, 1));
        }
        samples.add(sample("other", Cause::Reset, 9, 1));
        assert_eq!(samples.of("a", None, None).len(), 4);
        let list = samples.of("a", Some("list"), Some(Cause::Empty));
        assert_eq!(list.iter().map(|it| it.time.as_second()).collect::<Vec<_>>(), [2, 1, 0]);
        assert!(samples.of("b", None, None).is_empty());
        samples.retain(|_, route| route != "list");
        assert_eq!(samples.of("a", None, None).len(), 1);
    }

    #[test]
    fn take_a_bounded_room_and_rare_causes_keep_theirs() {
        let mut samples = Samples::default();
        samples.add(sample("list", Cause::Auth, 0, 10));
        for cause in Cause::ALL {
            for second in 0..40 {
                samples.add(sample("list", cause, second, 50_000));
                assert!(samples.bytes <= MOST);
            }
        }
        let counted: usize = samples.places.values().flat_map(Reservoir::iter).map(|it| it.text.len()).sum();
        assert_eq!(counted, samples.bytes);
        for cause in Cause::ALL {
            assert!(!samples.of("a", None, Some(cause)).is_empty(), "{cause}");
        }
    }
}
