//! The rules of a route, compiled, and the order in which they are asked.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};

use super::answer::{Answer, Body};
use super::decode::{Undecodable, decode};
use super::documents::{Documents, names_lines};
use super::flaws::{Catalogue, Finding, Flaws};
use super::grpc::{self, is_grpc};
use super::jq::{JqFault, Program};
use super::mapping::{Lookups, Mapping, MappingFault};
use super::probe::{Probe, Shape};
use super::rules::Rules;
use super::settle::Score;
use crate::outcome::Cause;

/// Coded bytes that are decoded without a second thought; they may well become a thousand times as many.
const MOST_CODED: u64 = 8 << 10;
/// Bytes that patterns are held against without a second thought.
const MOST_MATCHED: u64 = 4 << 10;
/// Bytes that are looked through for places without a second thought: some 120 us.
const MOST_READ: u64 = 256 << 10;
/// Bytes that become a tree, are mapped, and written again, without a second thought.
const MOST_MAPPED: u64 = 32 << 10;
/// The largest encoded body that may decode to nothing: the framing of the known codings, several times over.
const MAY_BE_EMPTY: u64 = 64;

/// The rules of one route, ready to score answers.
///
/// When several causes apply, the first of this order counts: excluded by a rule; `auth`; `status`; `slow`; `too_large`;
/// `decode`; `missing`; `empty`; `rule`.
#[derive(Debug, Clone)]
pub struct Scorer {
    rules: Rules,
    /// Looks for `required` first, then for `non_empty`.
    probe: Probe,
    catalogue: Arc<Catalogue>,
    /// For each place that the probe looks for, the numbers of its flaws: absent, and empty where that is one.
    flaws: Vec<(usize, Option<usize>)>,
    mapping: Option<Arc<Mapping>>,
    /// Where the probe's places stand before answers are mapped, if that is all that rules ask of them.
    lookups: Option<Lookups>,
}

/// Why scoring ends before all rules were asked.
enum Stop {
    /// The answer fails, with this cause.
    Flaw(Cause),
    /// Nobody can say, for this reason.
    Unknown(Cause),
}

impl Scorer {
    /// Compiles the rules.
    pub fn new(rules: Rules) -> Self {
        let probe = Probe::new(rules.required.iter().chain(&rules.non_empty));
        let mut catalogue = Catalogue::default();
        let mut flaws: Vec<_> =
            rules.required.iter().map(|place| (catalogue.enter(Cause::Missing, place), None)).collect();
        flaws.extend(
            rules
                .non_empty
                .iter()
                .map(|place| (catalogue.enter(Cause::Missing, place), Some(catalogue.enter(Cause::Empty, place)))),
        );
        Self { rules, probe, catalogue: Arc::new(catalogue), flaws, mapping: None, lookups: None }
    }

    /// Holds the rules against what a mapping makes of answers that are [unmapped](Answer::unmapped).
    #[must_use]
    pub fn with_mapping(self, mapping: Option<Arc<Mapping>>) -> Self {
        let places = || self.rules.required.iter().chain(&self.rules.non_empty);
        let lookups =
            mapping.as_ref().filter(|_| !self.reads_whole()).and_then(|mapping| Lookups::new(mapping, places()));
        Self { mapping, lookups, ..self }
    }

    /// What answers are mapped by before rules are held against them.
    pub const fn mapping(&self) -> Option<&Arc<Mapping>> {
        self.mapping.as_ref()
    }

    /// Whether an answer, as it came, is one that has to be mapped.
    pub fn maps(&self, method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
        self.mapping.is_some() && Mapping::concerns(method, status, headers)
    }

    /// What the numbers of flaws mean.
    pub const fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The rules as configured.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether scoring wants the answer's content ([`Body::Kept`](super::Body::Kept)); where it does not, counting the bytes suffices.
    ///
    /// True for a status that can be rich, when a rule looks into the body or a content coding hides its size.
    pub fn needs_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.accepts(status) && self.looks_into(headers) && !is_grpc(headers)
    }

    /// Whether scoring an answer may take longer than an event loop may be held up: jq, much to decode, much to read.
    pub fn is_slow(&self, answer: &Answer<'_>) -> bool {
        let size = answer.body.size();
        let maps = self.mapping.is_some() && answer.unmapped;
        let is_read = self.accepts(answer.status) && !is_grpc(answer.headers) && (self.reads_body() || maps);
        if size == 0 || !is_read || !matches!(answer.body, Body::Kept(_)) {
            return false;
        }
        let limits = [
            (answer.headers.contains_key(header::CONTENT_ENCODING), MOST_CODED),
            (self.rules.text.has_patterns(), MOST_MATCHED),
            (maps && self.lookups.is_none(), MOST_MAPPED),
        ];
        let most = limits.into_iter().filter(|(applies, _)| *applies).map(|(_, most)| most).min().unwrap_or(MOST_READ);
        self.rules.rich.is_some() || size > most
    }

    /// The texts of the rules whose time depends on the answer in ways that its size does not tell: jq and patterns.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.rules.rich.iter().map(Program::text).chain(self.rules.text.patterns())
    }

    /// What an answer is worth that could not be scored, for no fault of its own.
    pub fn unscored(&self) -> Score {
        Score::Excluded(if self.programs().next().is_some() { Cause::Rule } else { Cause::TooLarge })
    }

    /// Of an answer's headers, those that scoring reads. Mostly there are none, and nothing is allocated.
    pub fn headers(&self, of: &HeaderMap) -> HeaderMap {
        let mut kept = HeaderMap::new();
        // Of the many content types, scoring knows lines of JSON, and gRPC.
        let says_more = |kind: &[u8]| names_lines(kind) || grpc::names_grpc(kind);
        for (name, value) in of {
            let is_read = *name == header::CONTENT_ENCODING
                || *name == grpc::STATUS
                || (*name == header::CONTENT_TYPE && says_more(value.as_bytes()));
            if is_read || self.rules.headers.iter().any(|wanted| wanted.name == *name) {
                kept.append(name.clone(), value.clone());
            }
        }
        kept
    }

    /// What the answer is worth, and what is wrong with it. `cap` bounds its decoded size, in bytes.
    ///
    /// - `HEAD`: status and latency only, since there is no body to judge.
    /// - 304 to a conditional request: rich, for the consumer already holds the content (RFC 9110, section 15.4.5).
    ///   Without a condition it is like any other status: a fallback unless listed.
    /// - 204 and other bodies of zero bytes: a fallback `empty`, but rich where the route lists the status 204 or 205 or has
    ///   `min_bytes = 0`, and no rule asks for a place in the body.
    /// - gRPC (`application/grpc`): by `grpc-status`, and by `min_bytes`; what the messages hold is no JSON. Cancelled (1) is
    ///   excluded as `aborted`; invalid argument (3), not found (5), already exists (6), failed precondition (9) and out of
    ///   range (11) are client errors; permission denied (7) and unauthenticated (16) are `auth`, the rest `status`.
    /// - JSON is read from UTF-8, with or without a byte order mark; of a key that is there twice the last value counts. In
    ///   lines of JSON (`application/x-ndjson` and the like) the places have to be in every line that is not blank, jq sees an
    ///   array of all of them, and none at all is `empty`.
    /// - jq that says no, or fails on the answer, is a fallback `rule`. Where it could not be asked to the end, the answer is
    ///   excluded as `rule`, unless something else is wrong with it.
    /// - Without rules that look into it, a body of any kind counts, unless it decodes to nothing.
    ///
    /// Takes long where [`is_slow`](Self::is_slow), and for jq also [stack](super::JQ_STACK).
    pub fn score(&self, answer: &Answer<'_>, cap: usize) -> Finding {
        if let Some(score) = self.by_status(answer).or_else(|| Self::by_grpc(answer)) {
            return score.into();
        }
        let mut flaws = Flaws::default();
        if self.rules.max_latency.is_some_and(|max| answer.head_latency > max) {
            flaws.insert(Cause::Slow);
        }
        if answer.status != StatusCode::NOT_MODIFIED && !self.rules.headers.iter().all(|it| it.holds(answer.headers)) {
            flaws.insert(Cause::Rule);
        }
        match self.judge_body(answer, cap, &mut flaws) {
            Err(Stop::Unknown(Cause::TooLarge)) if self.is_unservable(answer, cap) => flaws.insert(Cause::TooLarge),
            Err(Stop::Unknown(cause)) if flaws.is_empty() => return Score::Excluded(cause).into(),
            Err(Stop::Flaw(cause)) => flaws.insert(cause),
            Ok(()) | Err(Stop::Unknown(_)) => {}
        }
        Finding { score: self.first(flaws), flaws }
    }

    /// The first cause, in the order of [`Scorer`].
    fn first(&self, flaws: Flaws) -> Score {
        const ORDER: [Cause; 6] =
            [Cause::Slow, Cause::TooLarge, Cause::Decode, Cause::Missing, Cause::Empty, Cause::Rule];
        let causes = flaws.numbers().filter_map(|number| Some(self.catalogue.flaw(number)?.cause));
        let first = causes.min_by_key(|cause| ORDER.iter().position(|ordered| ordered == cause));
        first.map_or(Score::Rich, Score::Fallback)
    }

    fn by_status(&self, answer: &Answer<'_>) -> Option<Score> {
        let status = answer.status;
        if self.rules.exclude.status.contains(&status) {
            return Some(Score::Excluded(Cause::Rule));
        }
        if self.accepts(status) || is_confirmation(answer) {
            return None;
        }
        Some(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Score::Fallback(Cause::Auth),
            status if is_client_error(status) => Score::ClientError(status),
            _ => Score::Fallback(Cause::Status),
        })
    }

    fn by_grpc(answer: &Answer<'_>) -> Option<Score> {
        if is_grpc(answer.headers) { grpc::judge(answer.headers, answer.trailers) } else { None }
    }

    /// Adds what is wrong with the content.
    ///
    /// # Errors
    /// Why the content could not be looked into.
    fn judge_body(&self, answer: &Answer<'_>, cap: usize, flaws: &mut Flaws) -> Result<(), Stop> {
        if answer.method == Method::HEAD || answer.status == StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        let size = answer.body.size();
        if is_grpc(answer.headers) {
            self.weigh(size, flaws);
            return Ok(());
        }
        if size == 0 {
            return if self.allows_empty(answer.status) { Ok(()) } else { Err(Stop::Flaw(Cause::Empty)) };
        }
        let mapping = self.mapping.as_ref().filter(|_| answer.unmapped);
        let indifferent = !self.looks_into(answer.headers) || size > MAY_BE_EMPTY && !self.reads_body();
        if indifferent && mapping.is_none() {
            return Ok(());
        }
        let content = content(answer, cap)?;
        if content.is_empty() && !self.allows_empty(answer.status) {
            return Err(Stop::Flaw(Cause::Empty));
        }
        match mapping.filter(|_| !content.is_empty()) {
            Some(mapping) => self.judge_unmapped(mapping, &content, flaws),
            None => self.judge_content(answer.headers, &content, flaws),
        }
    }

    fn judge_content(&self, headers: &HeaderMap, content: &[u8], flaws: &mut Flaws) -> Result<(), Stop> {
        self.weigh(content.len() as u64, flaws);
        if !self.rules.text.hold(content) {
            flaws.insert(Cause::Rule);
        }
        if self.reads_json() { self.judge_json(&Documents::of(headers, content), flaws) } else { Ok(()) }
    }

    /// Without mapping it, where that can be told from its places.
    fn judge_unmapped(&self, mapping: &Mapping, content: &[u8], flaws: &mut Flaws) -> Result<(), Stop> {
        let Some(lookups) = &self.lookups else {
            let mapped = mapping.apply(content).map_err(|fault| match MappingFault::cause(fault) {
                Cause::TooLarge => Stop::Unknown(Cause::TooLarge),
                cause => Stop::Flaw(cause),
            })?;
            // What is mapped is one document.
            return self.judge_content(&HeaderMap::new(), &mapped, flaws);
        };
        let shapes = lookups.shapes(content).map_err(|_| Stop::Flaw(Cause::Decode))?;
        self.note(shapes, flaws);
        Ok(())
    }

    fn judge_json(&self, documents: &Documents<'_>, flaws: &mut Flaws) -> Result<(), Stop> {
        if documents.is_empty() {
            return Err(Stop::Flaw(Cause::Empty));
        }
        if self.has_places() {
            documents.iter().try_for_each(|document| self.find_places(document, flaws))?;
        }
        let Some(rich) = &self.rules.rich else { return Ok(()) };
        let is_true = match documents {
            Documents::One(document) => rich.is_true_of(document),
            Documents::Lines(_) => rich.is_true_of_all(documents.iter()),
        };
        match is_true {
            Ok(true) => Ok(()),
            Err(JqFault::Exhausted) => Err(Stop::Unknown(Cause::Rule)),
            Err(JqFault::NotJson) => Err(Stop::Flaw(Cause::Decode)),
            Ok(false) | Err(JqFault::Failed | JqFault::NoOutput | JqFault::SeveralOutputs) => {
                Err(Stop::Flaw(Cause::Rule))
            }
        }
    }

    fn find_places(&self, document: &[u8], flaws: &mut Flaws) -> Result<(), Stop> {
        let shapes = self.probe.shapes(document).map_err(|_| Stop::Flaw(Cause::Decode))?;
        self.note(shapes, flaws);
        Ok(())
    }

    /// Whether an answer is too large to be mapped, and so to be served; not one that only lacked room on our side.
    fn is_unservable(&self, answer: &Answer<'_>, cap: usize) -> bool {
        let kept = matches!(answer.body, Body::Kept(_));
        self.mapping.is_some() && answer.unmapped && (kept || answer.body.size() > cap as u64)
    }

    fn weigh(&self, size: u64, flaws: &mut Flaws) {
        if size < self.rules.min_bytes.unwrap_or(0) {
            flaws.insert(Cause::Empty);
        }
    }

    fn note(&self, shapes: impl Iterator<Item = Shape>, flaws: &mut Flaws) {
        for (shape, &(absent, empty)) in shapes.zip(&self.flaws) {
            match shape {
                Shape::Absent | Shape::Null => flaws.insert_number(absent),
                Shape::Empty => empty.into_iter().for_each(|empty| flaws.insert_number(empty)),
                Shape::Filled => {}
            }
        }
    }

    fn accepts(&self, status: StatusCode) -> bool {
        if self.rules.status.is_empty() { status.is_success() } else { self.rules.status.contains(&status) }
    }

    /// Whether nothing at all can be rich under this status.
    fn allows_empty(&self, status: StatusCode) -> bool {
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        let listed = bodiless && self.rules.status.contains(&status) && self.rules.min_bytes.is_none();
        !self.reads_json() && self.rules.text.is_empty() && (listed || self.rules.min_bytes == Some(0))
    }

    /// Whether the size as sent does not tell enough about the content.
    fn looks_into(&self, headers: &HeaderMap) -> bool {
        let may_hide_nothing = self.rules.min_bytes != Some(0) && headers.contains_key(header::CONTENT_ENCODING);
        self.reads_body() || may_hide_nothing
    }

    /// Whether a rule looks at the content.
    fn reads_body(&self) -> bool {
        self.has_places() || self.reads_whole()
    }

    /// Whether a rule looks at more than places.
    fn reads_whole(&self) -> bool {
        self.rules.rich.is_some() || !self.rules.text.is_empty() || self.rules.min_bytes.is_some_and(|min| min > 0)
    }

    /// Whether a rule takes the content for JSON.
    fn reads_json(&self) -> bool {
        self.has_places() || self.rules.rich.is_some()
    }

    fn has_places(&self) -> bool {
        !(self.rules.required.is_empty() && self.rules.non_empty.is_empty())
    }
}

/// The decoded content of an answer.
fn content<'a>(answer: &Answer<'a>, cap: usize) -> Result<Cow<'a, [u8]>, Stop> {
    let sent = answer.body.whole().ok_or(Stop::Unknown(Cause::TooLarge))?;
    decode(answer.headers, sent, cap).map_err(|error| match error {
        Undecodable::Broken => Stop::Flaw(Cause::Decode),
        Undecodable::TooLarge => Stop::Unknown(Cause::TooLarge),
    })
}

/// 304 as the answer to a condition that the request named.
fn is_confirmation(answer: &Answer<'_>) -> bool {
    answer.status == StatusCode::NOT_MODIFIED && answer.conditional
}

/// The statuses that blame the request and not the backend.
fn is_client_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 405 | 409 | 410 | 412..=417 | 422 | 429)
}

#[cfg(test)]
mod tests;
