//! The commands that talk to a running proxy: status, the four human verbs, and the health check.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::client::{Client, ClientError};
use super::{Failure, Format, NO, Remote, Said, status};
use crate::console::{Event, Status, Verb};

/// How often `status --watch` looks.
const EACH: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line (ECMA-48).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(super) fn status(remote: &Remote, only: Option<&str>, watch: bool, format: Format) -> Result<(), Failure> {
    let client = client(remote)?;
    block_on(async {
        loop {
            let status: Status = client.get("/api/v1/dependencies").await?;
            known(&status, only)?;
            if watch && format == Format::Text {
                anstream::print!("{CLEAR}");
            }
            show(&status, only, format)?;
            if !watch {
                return Ok(());
            }
            tokio::time::sleep(EACH).await;
        }
    })
}

fn known(status: &Status, only: Option<&str>) -> Result<(), ClientError> {
    let Some(name) = only.filter(|name| status.dependency(name).is_none()) else { return Ok(()) };
    let known: Vec<&str> = status.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
    let detail = format!("no dependency is named `{name}`; there are: {}", known.join(", "));
    Err(ClientError::Refused { status: http::StatusCode::NOT_FOUND, detail })
}

fn show(status: &Status, only: Option<&str>, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match (format, only.and_then(|name| status.dependency(name))) {
        (Format::Text, _) => status::print(status, only, &mut out),
        (Format::Json, Some(one)) => print_json(one),
        (Format::Json, None) => print_json(status),
    }
}

pub(super) fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(io::stdout(), "{text}")
}

pub(super) fn order(said: &Said, verb: Verb) -> Result<(), Failure> {
    let client = client(&said.admin)?;
    let path = format!("/api/v1/dependencies/{}/{}", said.dependency, verb.as_str());
    let body = json!({ "by": said.by, "reason": said.reason }).to_string();
    let event: Event = block_on(async { Ok(client.post(&path, Bytes::from(body)).await?) })?;
    match said.output.format {
        Format::Json => print_json(&event)?,
        Format::Text => {
            let Event { dependency, kind, from, to, reason, .. } = event;
            writeln!(io::stdout(), "{dependency}: {}, allowed {from} % -> {to} %: {reason}", kind.as_str())?;
        }
    }
    Ok(())
}

pub(super) fn healthcheck(remote: &Remote) -> Result<(), Failure> {
    let client = client(remote)?;
    let asked: Result<Value, ClientError> = block_on(async { Ok(client.get("/readyz").await) })?;
    match asked {
        // `/readyz` answers in words, not in JSON.
        Ok(_) | Err(ClientError::Nonsense { .. }) => Ok(()),
        Err(ClientError::Refused { .. }) => Err(Failure::Code(NO)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn client(remote: &Remote) -> Result<Client, Failure> {
    Ok(Client::new(&remote.admin, remote.token_file.as_deref())?)
}

pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
