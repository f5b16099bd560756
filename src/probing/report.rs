//! What a probe found, step by step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::outcome::{Cause, Outcome};

/// What a probe found. Holds names, statuses, sizes and times, and no value of a header or body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which dependency.
    pub dependency: String,
    /// No step failed.
    pub passed: bool,
    /// In the order in which a request takes them, endpoint by endpoint.
    pub steps: Vec<Step>,
    /// What the answers were worth, for the counters of role `probe`.
    #[serde(skip)]
    pub scored: Vec<Scored>,
}

/// What one request of a probe was worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// To which backend.
    pub backend: Backend,
    /// On which route.
    pub route: String,
    /// What its answer was worth.
    pub outcome: Outcome,
    /// From the request to the end of the answer's head; `None` without an answer.
    pub latency: Option<Duration>,
}

impl Report {
    /// The first step that failed.
    pub fn failure(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.state == State::Failed)
    }

    /// How many steps say something that is to be known, and is no failure.
    pub fn warnings(&self) -> usize {
        self.steps.iter().filter(|step| step.state == State::Warning).count()
    }

    /// One sentence, for the ledger and the log. Only whoever has probed knows of the requests: they are not in the JSON.
    pub fn sentence(&self) -> String {
        let all = self.scored.len();
        let rich = self.scored.iter().filter(|scored| scored.outcome == Outcome::Rich).count();
        match self.failure() {
            Some(step) => {
                let wrong = step.wrong.map_or("", Wrong::as_str);
                format!("probe of {} at {}: wrong {wrong}: {}", step.backend, step.endpoint, step.finding)
            }
            None if all == 0 => "probe passed, without a request that is scored".to_owned(),
            None => format!("probe passed: {rich} of {all} requests rich"),
        }
    }
}

/// One step of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Of which backend.
    pub backend: Backend,
    /// Of which endpoint: host and port, as configured.
    pub endpoint: String,
    /// Which address of it, once it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// Which step.
    #[serde(rename = "step")]
    pub name: StepName,
    /// Of a request: its method and path, and its route.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<String>,
    /// How it went.
    pub state: State,
    /// How long it took, in milliseconds; absent where nothing was done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ms: Option<f64>,
    /// What is wrong, where something is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrong: Option<Wrong>,
    /// The cause that scoring would count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<Cause>,
    /// What was seen.
    pub finding: String,
    /// What to mend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

/// The steps, in the order in which a request takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepName {
    /// The name of the endpoint has addresses.
    Dns,
    /// An address accepts connections.
    Tcp,
    /// Both sides agree on TLS, and the certificate is right.
    Tls,
    /// Both sides agree on a version of HTTP.
    Alpn,
    /// A request is answered in HTTP.
    Http,
    /// The backend accepts whoever asks.
    Credentials,
    /// The answer meets the rules of its route.
    Request,
}

impl StepName {
    /// The name used in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Alpn => "alpn",
            Self::Http => "http",
            Self::Credentials => "credentials",
            Self::Request => "request",
        }
    }
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should.
    Ok,
    /// Something is to be known, but requests get through.
    Warning,
    /// Requests fail here.
    Failed,
    /// There is no such step, as with TLS on `http://`.
    Skipped,
    /// A step before it failed.
    NotReached,
}

impl State {
    /// The words used in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
            Self::Skipped => "-",
            Self::NotReached => "not reached",
        }
    }
}

/// What is wrong: what has to be mended, and so by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrong {
    /// The name has no address, or nobody answers there.
    Host,
    /// One side's certificate is not accepted by the other side.
    Certificate,
    /// The port speaks something else than configured.
    Protocol,
    /// 401, 403, or their like.
    Credentials,
    /// The answers do not meet the rules of their route.
    Schema,
}

impl Wrong {
    /// The word used in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Certificate => "certificate",
            Self::Protocol => "protocol",
            Self::Credentials => "credentials",
            Self::Schema => "schema",
        }
    }
}

/// What a step found, before it is known whose step it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) state: State,
    pub(super) wrong: Option<Wrong>,
    pub(super) cause: Option<Cause>,
    pub(super) finding: String,
    pub(super) remedy: Option<String>,
}

impl Found {
    pub(super) fn ok(finding: impl Into<String>) -> Self {
        Self { state: State::Ok, wrong: None, cause: None, finding: finding.into(), remedy: None }
    }

    pub(super) fn skipped(finding: impl Into<String>) -> Self {
        Self { state: State::Skipped, ..Self::ok(finding) }
    }

    pub(super) fn not_reached() -> Self {
        Self { state: State::NotReached, ..Self::ok("") }
    }

    pub(super) fn warning(finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warning, remedy: Some(remedy.into()), ..Self::ok(finding) }
    }

    pub(super) fn failed(wrong: Wrong, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Failed, wrong: Some(wrong), remedy: Some(remedy.into()), ..Self::ok(finding) }
    }

    /// The same, with the cause that scoring would count.
    pub(super) fn because(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }
}
