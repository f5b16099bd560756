//! Where the answers of a dependency differ, as plain data for people and programs.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::score::diff::{DiffRow, Ignore, Study, Suggestion, to_toml};

/// Where the answers of a dependency differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Differences {
    /// By name.
    pub routes: Vec<RouteDifferences>,
    /// What would make V1's answers of V2's, as lines of `crossfade.toml`, of all these routes together: of two suggestions for
    /// one place that with more support. Empty where nothing can be suggested.
    pub map: String,
}

/// Where the answers of one route differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteDifferences {
    /// Its name.
    pub route: String,
    /// Pairs of V1's and V2's answers.
    pub pairs: u64,
    /// Pairs of two answers of V1 to the same request.
    pub noise_pairs: u64,
    /// The findings first, then by evidence.
    pub rows: Vec<DiffRow>,
    /// What rules set aside today.
    pub ignored: Vec<DiffRow>,
    /// The rules that do so, and those that do so no longer.
    pub rules: Vec<Rule>,
    /// What would make V1's answers of V2's, by V1's place.
    pub suggestions: Vec<Suggestion>,
    /// Differences at more places than are kept.
    pub overflow: u64,
    /// Pairs that were not compared to their end: too large, too deep, or too different.
    pub truncated: u64,
}

/// A rule that sets differences aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The place, and all below it.
    pub path: String,
    /// The last day on which it holds, in UTC.
    pub until: Date,
    /// Why it does not matter.
    pub reason: String,
    /// Whether it holds today.
    pub holds: bool,
}

impl RouteDifferences {
    pub(super) fn of(route: &str, study: &Study, rules: &[Ignore], today: Date) -> Self {
        let report = study.report(today);
        let rule = |rule: &Ignore| Rule {
            path: rule.path.to_string(),
            until: rule.until,
            reason: rule.reason.clone(),
            holds: rule.holds(today),
        };
        Self {
            route: route.to_owned(),
            pairs: report.pairs,
            noise_pairs: report.noise_pairs,
            rows: report.rows,
            ignored: report.ignored,
            rules: rules.iter().map(rule).collect(),
            suggestions: study.suggestions(),
            overflow: report.overflow,
            truncated: report.truncated,
        }
    }
}

impl Differences {
    pub(super) fn of(dependency: &str, routes: Vec<RouteDifferences>) -> Self {
        let suggested = together(routes.iter().flat_map(|route| &route.suggestions));
        Self { map: to_toml(dependency, &suggested), routes }
    }
}

/// One suggestion for each of V1's places.
fn together<'a>(suggestions: impl Iterator<Item = &'a Suggestion>) -> Vec<Suggestion> {
    let mut places: BTreeMap<&str, Vec<Suggestion>> = BTreeMap::new();
    for suggestion in suggestions {
        let rivals = places.entry(&suggestion.v1).or_default();
        let same = rivals.iter_mut().find(|it| it.v2 == suggestion.v2 && it.transform == suggestion.transform);
        match same {
            Some(same) => {
                same.support += suggestion.support;
                same.of += suggestion.of;
            }
            None => rivals.push(suggestion.clone()),
        }
    }
    places.into_values().filter_map(|rivals| rivals.into_iter().max_by_key(|it| it.support)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::diff::Transform;

    fn suggestion(v1: &str, v2: &str, support: u64) -> Suggestion {
        Suggestion { v1: v1.to_owned(), v2: v2.to_owned(), transform: Transform::Same, support, of: support + 1 }
    }

    #[test]
    fn routes_that_say_the_same_add_up_and_of_two_that_do_not_the_stronger_one_counts() {
        let all = [
            suggestion("/a", "/x", 5),
            suggestion("/b", "/y", 9),
            suggestion("/a", "/x", 6),
            suggestion("/b", "/z", 8),
        ];
        let merged = together(all.iter());
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[0].support, merged[0].of), (11, 13));
        assert_eq!(merged[1].v2, "/y");
    }
}
