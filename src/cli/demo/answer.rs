//! What V1 and V2 answer: a pure function of the request, so that a consumer can tell whose bytes it got, and whether they
//! are the right ones.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::backend::Backend;

/// Share of V1's answers that are rich, from beginning to end.
pub(super) const V1_HIT_RATE: f64 = 0.8;
/// Consumers; one percent of the keys is some twenty of them.
const USERS: u64 = 2000;
/// Recommendations in a rich answer.
const ITEMS: u64 = 5;

/// What is right or wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the consumer hoped for.
    Rich,
    /// `recommendations` in place of `items`: cause `missing`.
    Renamed,
    /// No items: cause `empty`.
    Empty,
    /// Complete, and too late: cause `slow`.
    Late,
}

impl Kind {
    /// All kinds, the most frequent one first.
    const ALL: [Self; 4] = [Self::Rich, Self::Empty, Self::Renamed, Self::Late];

    /// The kind of one answer: rich with probability `hit_rate`, independently for each request and backend.
    pub(super) fn of(backend: Backend, request: u64, hit_rate: f64) -> Self {
        let draw = xxh3_64_with_seed(&request.to_le_bytes(), backend as u64) as f64 / 2_f64.powi(64);
        if draw < hit_rate {
            return Self::Rich;
        }
        match (backend, (draw - hit_rate) / (1.0 - hit_rate)) {
            (Backend::V2, at) if at < 0.45 => Self::Renamed,
            (Backend::V2, at) if at >= 0.975 => Self::Late,
            _ => Self::Empty,
        }
    }
}

/// Who sends a request.
pub(super) fn user(request: u64) -> String {
    format!("user-{}", xxh3_64_with_seed(&request.to_le_bytes(), 2) % USERS)
}

/// The whole answer of one backend.
pub(super) fn content(backend: Backend, user: &str, request: u64, kind: Kind) -> String {
    let place = if kind == Kind::Renamed { "recommendations" } else { "items" };
    let mut text = format!(r#"{{"user":"{user}","request":{request},"source":"{backend}","{place}":["#);
    let items = if kind == Kind::Empty { 0 } else { ITEMS };
    for item in 0..items {
        let id = xxh3_64_with_seed(user.as_bytes(), item) % 100_000;
        let comma = if item > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, r#"{comma}{{"id":"item-{id}","score":0.{}}}"#, 99 - item);
    }
    text.push_str(if kind == Kind::Late { r#"],"degraded":true}"# } else { "]}" });
    text
}

/// Whose answer these bytes are, and of what kind; `None` when no backend gives such an answer to this request.
pub(super) fn recognise(user: &str, request: u64, bytes: &[u8]) -> Option<(Backend, Kind)> {
    let v1 = Kind::of(Backend::V1, request, V1_HIT_RATE);
    let v2 = Kind::ALL.into_iter().map(|kind| (Backend::V2, kind));
    std::iter::once((Backend::V1, v1))
        .chain(v2)
        .find(|(backend, kind)| content(*backend, user, request, *kind).as_bytes() == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_recognised_and_no_other_one() {
        for request in 0..200 {
            let user = user(request);
            let v1 = Kind::of(Backend::V1, request, V1_HIT_RATE);
            let v2 = Kind::of(Backend::V2, request, 0.3);
            for (backend, kind) in [(Backend::V1, v1), (Backend::V2, v2)] {
                let text = content(backend, &user, request, kind);
                assert_eq!(recognise(&user, request, text.as_bytes()), Some((backend, kind)));
                assert_eq!(recognise(&user, request + 1, text.as_bytes()), None, "the answer to another request");
                assert_eq!(recognise(&user, request, &text.as_bytes()[1..]), None, "a byte is missing");
            }
        }
    }

    #[test]
    fn hit_rates_are_what_was_asked_for() {
        for (backend, hit_rate) in [(Backend::V1, 0.8), (Backend::V2, 0.6), (Backend::V2, 0.98)] {
            let rich = (0..100_000).filter(|n| Kind::of(backend, *n, hit_rate) == Kind::Rich).count();
            assert!((rich as f64 / 1e5 - hit_rate).abs() < 0.008, "{backend}: {rich} of 100 000");
        }
    }

    #[test]
    fn backends_miss_independently() {
        let miss = |backend, hit_rate| move |n: &u64| Kind::of(backend, *n, hit_rate) != Kind::Rich;
        let both = (0..100_000).filter(miss(Backend::V1, 0.8)).filter(miss(Backend::V2, 0.6)).count();
        assert!((both as f64 / 1e5 - 0.08).abs() < 0.005, "{both} of 100 000");
    }

    #[test]
    fn only_a_rich_or_late_answer_has_items() {
        let has_items = |kind| {
            let text = content(Backend::V2, "ada", 7, kind);
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            json["items"].as_array().is_some_and(|items| !items.is_empty())
        };
        assert_eq!(Kind::ALL.map(has_items), [true, false, false, true]);
    }
}
