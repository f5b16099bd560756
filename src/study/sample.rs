//! One fallback of V2, kept for people to look at: shapes, lengths and hashes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::{Answer, Exchange, Leg};
use super::shape::{Seal, clipped, shape};
use crate::config;
use crate::outcome::{Cause, Outcome};
use crate::score::Scorer;

/// Longest value shown of a header on the allow list, in bytes.
const HEADER_BYTES: usize = 256;

/// One fallback of V2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was studied, which is soon after both answers were there.
    pub time: Timestamp,
    /// Whose it was.
    pub dependency: String,
    /// On which route.
    pub route: String,
    /// Why it is a fallback.
    pub cause: Cause,
    /// Everything that was wrong with it, such as `missing /items`.
    pub flaws: Vec<String>,
    /// The trace it belonged to, where its consumer named one.
    pub trace_id: Option<String>,
    /// V1's side, where V1 was called and its outcome counted.
    pub v1: Option<Side>,
    /// V2's side.
    pub v2: Side,
}

/// What one backend answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// `rich`, `fallback` or `excluded`.
    pub outcome: String,
    /// Why, if it is not rich.
    pub cause: Option<Cause>,
    /// Of the answer; like all of the following absent where there was no whole answer, or it was not kept.
    pub status: Option<u16>,
    /// `json`, `xml`, `html`, `text` or `other`: what the answer says it is.
    pub kind: Option<String>,
    /// To the end of the answer's head, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Of its content as sent.
    pub bytes: Option<u64>,
    /// Of the allow list, with their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// Of its decoded content: types, lengths, names of keys and hashes; a value only at an allowed place.
    pub shape: Option<Value>,
}

impl Sample {
    /// What is kept of V2's fallback; `None` where it is none.
    pub(super) fn of(exchange: &Exchange, time: Timestamp, seal: &Seal) -> Option<Self> {
        let v2 = exchange.v2.as_ref().filter(|_| exchange.is_sample)?;
        let Outcome::Fallback(cause) = v2.outcome else { return None };
        let deployment = &exchange.live.deployment;
        let look = Look { study: &deployment.study, most: deployment.limits.score_body, seal };
        Some(Self {
            time,
            dependency: exchange.dependency.name.clone(),
            route: exchange.dependency.routes.get(exchange.route)?.name.clone(),
            cause,
            flaws: flaws(v2, &exchange.scorer),
            trace_id: exchange.trace.clone(),
            v1: exchange.v1.as_ref().map(|leg| look.side(leg)),
            v2: look.side(v2),
        })
    }
}

fn flaws(leg: &Leg, scorer: &Scorer) -> Vec<String> {
    let known = leg.flaws.numbers().filter_map(|number| scorer.catalogue().flaw(number));
    let told = known.map(|flaw| match flaw.place {
        Some(place) => format!("{} {place}", flaw.cause),
        None => flaw.cause.to_string(),
    });
    told.collect()
}

/// How closely answers are looked at.
struct Look<'a> {
    study: &'a config::Study,
    /// Largest decoded content, in bytes.
    most: usize,
    seal: &'a Seal,
}

impl Look<'_> {
    fn side(&self, leg: &Leg) -> Side {
        let side = leg.answer.as_ref().map(|answer| self.answer(answer)).unwrap_or_default();
        Side { outcome: leg.outcome.as_str().to_owned(), cause: leg.outcome.cause(), ..side }
    }

    fn answer(&self, answer: &Answer) -> Side {
        let allowed = self.study.allow_headers.iter().filter_map(|name| {
            let value = String::from_utf8_lossy(answer.headers.get(name)?.as_bytes()).into_owned();
            Some((name.to_string(), clipped(&value, HEADER_BYTES).to_owned()))
        });
        Side {
            status: Some(answer.status.as_u16()),
            kind: answer.kind.as_str().map(ToOwned::to_owned),
            latency_ms: Some((answer.latency.as_secs_f64() * 1e5).round() / 100.0),
            bytes: Some(answer.size),
            headers: allowed.collect(),
            shape: self.shape(answer),
            ..Side::default()
        }
    }

    fn shape(&self, answer: &Answer) -> Option<Value> {
        answer.content.as_ref()?;
        // What cannot be mapped is shown as V2 sent it.
        let Some(content) = answer.shown(self.most).or_else(|| answer.decoded(self.most)) else {
            return Some("not decodable".into());
        };
        if content.is_empty() {
            return Some("empty".into());
        }
        let document = serde_json::from_slice(&content).ok();
        let opaque = || format!("no JSON, {} bytes #{}", content.len(), self.seal.of(&content)).into();
        Some(document.map_or_else(opaque, |document| shape(&document, &self.study.allow, self.seal)))
    }
}
