//! Real peers: programs that know nothing of us.

use std::process::{Output, Stdio};

use super::soon;

/// What a program printed, and whether it was content.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a program of the system to its end.
pub(crate) async fn run(program: &str, args: &[&str]) -> Printed {
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let Output { status, stdout, stderr } =
        soon(program, command.output()).await.unwrap_or_else(|error| panic!("{program} is installed: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Printed { ok: status.success(), out: text(stdout), err: text(stderr) }
}

/// `curl`, printing the body, then a line with status and version of HTTP.
pub(crate) async fn curl(args: &[&str]) -> Printed {
    run("curl", &[&["-sS", "-w", "\n%{http_code} %{http_version}"], args].concat()).await
}
