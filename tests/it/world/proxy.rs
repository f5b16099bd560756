//! The proxy as a process of its own, with its two files in a folder of its own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use super::certificates::Identity;
use super::client::{Client, Request, Response, ask};
use super::metrics::Metrics;
use super::origin::Origin;
use super::{PATIENCE, soon};

/// What is to be started: one dependency, `recs`, with a route `list` for `/recommendations/{user}` whose `/items` must
/// not be empty; anything else falls to the implied route.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    v1: Vec<String>,
    v2: Vec<String>,
    limits: Vec<String>,
    top: Vec<String>,
    files: Vec<(String, String)>,
    routes: Option<String>,
    diff: Option<String>,
    rollout: String,
    config_map: bool,
}

const ROUTE: &str = r#"
[[dependency.recs.route]]
name = "list"
match = { path = "/recommendations/{user}" }
score = { non_empty = ["/items"] }
"#;

impl World {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn v1(mut self, origin: &Origin) -> Self {
        self.v1.push(format!("url = \"http://{}\"", origin.address()));
        self
    }

    /// V1 by the lines of its table.
    pub(crate) fn v1_with(mut self, lines: &str) -> Self {
        self.v1.push(lines.to_owned());
        self
    }

    pub(crate) fn v2(mut self, origin: &Origin) -> Self {
        self.v2.push(format!("url = \"http://{}\"", origin.address()));
        self
    }

    /// A file beside the configuration.
    pub(crate) fn file(mut self, name: &str, content: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Certificate and key beside the configuration, as `NAME.pem` and `NAME.key`.
    pub(crate) fn identity(self, name: &str, identity: &Identity) -> Self {
        self.file(&format!("{name}.pem"), &identity.cert).file(&format!("{name}.key"), &identity.key)
    }

    /// A backend at an address, whoever is there.
    pub(crate) fn v1_at(mut self, address: SocketAddr) -> Self {
        self.v1.push(format!("url = \"http://{address}\""));
        self
    }

    /// The same for V2.
    pub(crate) fn v2_at(mut self, address: SocketAddr) -> Self {
        self.v2.push(format!("url = \"http://{address}\""));
        self
    }

    /// More lines for V2's table.
    pub(crate) fn v2_with(mut self, lines: &str) -> Self {
        self.v2.push(lines.to_owned());
        self
    }

    /// Lines for the table of limits.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        self.limits.push(lines.to_owned());
        self
    }

    /// Lines for the top of the file; tables come last.
    pub(crate) fn top(mut self, lines: &str) -> Self {
        self.top.push(lines.to_owned());
        self
    }

    /// Other routes than the default one.
    pub(crate) fn routes(mut self, tables: &str) -> Self {
        self.routes = Some(tables.to_owned());
        self
    }

    /// Lines for the table that says how answers are compared. By default V1 is never called twice, so that calls can be
    /// counted.
    pub(crate) fn diff(mut self, lines: &str) -> Self {
        self.diff = Some(lines.to_owned());
        self
    }

    /// Lines for the dependency's table of the rollout file.
    pub(crate) fn rollout(mut self, lines: &str) -> Self {
        self.rollout = entry(lines);
        self
    }

    /// Mounts the rollout file as Kubernetes mounts a `ConfigMap`: behind two symbolic links.
    pub(crate) fn behind_links(mut self) -> Self {
        self.config_map = true;
        self
    }

    /// Writes both files, starts the process and waits until it listens.
    pub(crate) async fn start(self) -> Proxy {
        let folder = TempDir::new().expect("a temporary folder");
        let Self { v1, v2, limits, top, files, routes, diff, rollout, config_map } = self;
        let diff = diff.unwrap_or_else(|| "noise = 0".to_owned());
        let routes = routes.unwrap_or_else(|| ROUTE.to_owned());
        let config = format!(
            "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nworkers = 2\n{}\n\
             [limits]\n{}\n[dependency.recs.v1]\n{}\n[dependency.recs.v2]\n{}\n\
             [dependency.recs.diff]\n{diff}\n{routes}",
            top.join("\n"),
            limits.join("\n"),
            v1.join("\n"),
            v2.join("\n"),
        );
        fs::write(folder.path().join("crossfade.toml"), config).expect("the folder is writable");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("the folder is writable");
        }
        let files = Files { folder, versions: 0 };
        let mut proxy = Proxy { files, process: None };
        if config_map {
            proxy.files.swap_link(&rollout);
            symlink("..data/rollout.toml", proxy.files.rollout()).expect("the folder is writable");
        } else {
            fs::write(proxy.files.rollout(), rollout).expect("the folder is writable");
        }
        proxy.restart().await;
        proxy
    }
}

fn entry(lines: &str) -> String {
    format!("[recs]\n{lines}\n")
}

/// How a file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// Opened, truncated, written.
    InPlace,
    /// Written beside, then renamed over.
    Rename,
    /// The link to its folder is replaced, as Kubernetes does; needs [`World::behind_links`].
    LinkSwap,
    /// Removed, then created.
    Recreate,
}

/// The folder with both files.
struct Files {
    folder: TempDir,
    versions: u32,
}

impl Files {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn rollout(&self) -> PathBuf {
        self.path().join("rollout.toml")
    }

    fn write(&mut self, how: Write, text: &str) {
        let path = self.rollout();
        let done = match how {
            Write::InPlace => fs::write(path, text),
            Write::Recreate => fs::remove_file(&path).and_then(|()| fs::write(path, text)),
            Write::Rename => {
                let beside = self.path().join(".rollout.toml.new");
                fs::write(&beside, text).and_then(|()| fs::rename(beside, path))
            }
            Write::LinkSwap => {
                self.swap_link(text);
                Ok(())
            }
        };
        done.expect("the folder is writable");
    }

    fn swap_link(&mut self, text: &str) {
        self.versions += 1;
        let version = format!("..version_{}", self.versions);
        let folder = self.path().join(&version);
        let swapped = fs::create_dir(&folder)
            .and_then(|()| fs::write(folder.join("rollout.toml"), text))
            .and_then(|()| symlink(version, self.path().join("..data_tmp")))
            .and_then(|()| fs::rename(self.path().join("..data_tmp"), self.path().join("..data")));
        swapped.expect("the folder is writable");
    }
}

/// A running proxy. Dropping it kills the process.
pub(crate) struct Proxy {
    files: Files,
    process: Option<Process>,
}

pub(crate) struct Process {
    child: Child,
    ports: Ports,
    log: Log,
}

/// Where the process listens.
#[derive(Debug, Clone, Copy)]
struct Ports {
    listen: SocketAddr,
    /// Where it does.
    tls: Option<SocketAddr>,
    admin: SocketAddr,
}

/// What the process wrote to stderr so far.
#[derive(Clone)]
struct Log(Arc<watch::Sender<Vec<String>>>);

impl Log {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    fn push(&self, line: String) {
        self.0.send_modify(|lines| lines.push(line));
    }

    fn text(&self) -> String {
        self.0.borrow().join("\n")
    }
}

/// The program under test, and how it is started.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_crossfade");
pub(crate) const RUN: [&str; 3] = ["run", "--config", "crossfade.toml"];

impl Process {
    async fn start(folder: &Path, extra: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(RUN).args(extra);
        Self::start_as(command, folder).await
    }

    /// With files that may not grow beyond one byte.
    async fn start_on_full_disk(folder: &Path) -> Self {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=1:unlimited", BINARY]).args(RUN);
        Self::start_as(command, folder).await
    }

    async fn start_as(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("it is piped");
        let (announce, announced) = oneshot::channel();
        let log = Log::new();
        let copy = log.clone();
        std::thread::spawn(move || follow(stderr, &copy, announce));
        if let Ok(Ok(ports)) = tokio::time::timeout(PATIENCE, announced).await {
            return Self { child, ports, log };
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the proxy did not say where it listens; it said:\n{}", log.text());
    }
}

impl Process {
    /// Waits for it to end by itself.
    pub(crate) async fn exit(mut self) -> ExitStatus {
        let (pid, log) = (self.child.id(), self.log.clone());
        let waiting = tokio::task::spawn_blocking(move || self.child.wait());
        let Ok(ended) = tokio::time::timeout(2 * PATIENCE, waiting).await else {
            signal(pid, "KILL");
            panic!("waited in vain for the process to end; it said:\n{}", log.text());
        };
        ended.expect("waiting does not panic").expect("the process is ours")
    }
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
    assert!(sent.is_ok_and(|status| status.success()), "process {pid} can be sent {signal}");
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy's log\n{}\n---", self.log.text());
        }
    }
}

/// Copies the log, and hands over the addresses as soon as they are known: that of the admin port comes last.
fn follow(stderr: ChildStderr, log: &Log, announce: oneshot::Sender<Ports>) {
    let (mut listen, mut tls, mut announce) = (None, None, Some(announce));
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        listen = listen.or_else(|| announced(&line, "listening on"));
        tls = tls.or_else(|| announced(&line, "listening with TLS on"));
        let admin = announced(&line, "admin on");
        log.push(line);
        if let Some((listen, admin)) = listen.zip(admin)
            && let Some(announce) = announce.take()
        {
            let _ = announce.send(Ports { listen, tls, admin });
        }
    }
}

/// The first address after some words of a log line, whatever stands around it.
fn announced(line: &str, words: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once(words)?;
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    after.split(|c| !is_part(c)).find_map(|word| word.parse().ok())
}

impl Proxy {
    fn process(&self) -> &Process {
        self.process.as_ref().expect("the proxy runs")
    }

    /// Where consumers connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.process().ports.listen
    }

    /// Where consumers connect with TLS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.process().ports.tls.expect("the test has asked for it")
    }

    /// The path of a file beside the configuration.
    pub(crate) fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// Replaces a file beside the configuration.
    pub(crate) fn write_file(&self, name: &str, content: &str) {
        let beside = self.files.path().join(format!(".{name}.new"));
        let written = fs::write(&beside, content).and_then(|()| fs::rename(beside, self.files.path().join(name)));
        written.expect("the folder is writable");
    }

    /// Replaces certificate and key, the key first: for a moment they do not match.
    pub(crate) fn write_identity(&self, name: &str, identity: &Identity) {
        self.write_file(&format!("{name}.key"), &identity.key);
        self.write_file(&format!("{name}.pem"), &identity.cert);
    }

    /// A consumer's connection.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address()).await.expect("the proxy accepts")
    }

    /// One request on a connection of its own; must be answered.
    pub(crate) async fn send(&self, request: &Request) -> Response {
        ask(self.address(), request).await.expect("an answer")
    }

    pub(crate) async fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target)).await
    }

    /// That many requests, one after the other on one connection, each by another user: `/recommendations/user-N`, with
    /// the same in `x-user-id`.
    pub(crate) async fn burst(&self, users: std::ops::Range<usize>) -> Vec<Response> {
        let mut client = self.connect().await;
        let mut answers = Vec::new();
        for user in users {
            let request =
                Request::get(&format!("/recommendations/user-{user}")).header("x-user-id", format!("user-{user}"));
            answers.push(soon("an answer", client.send(&request)).await.expect("an answer"));
        }
        answers
    }

    /// Where people and Prometheus connect.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.process().ports.admin
    }

    /// `GET` on the admin port.
    pub(crate) async fn admin_get(&self, path: &str) -> Response {
        self.admin(&Request::get(path)).await
    }

    /// `POST` on the admin port, with a JSON body.
    pub(crate) async fn admin_post(&self, path: &str, body: &str) -> Response {
        self.admin(&Request::post(path, body).header("content-type", "application/json")).await
    }

    async fn admin(&self, request: &Request) -> Response {
        let request = request.clone().header("connection", "close");
        ask(self.admin_address(), &request).await.expect("the admin port answers")
    }

    /// One of the human verbs.
    pub(crate) async fn verb(&self, verb: &str) -> Response {
        self.admin_post(&format!("/api/v1/dependencies/recs/{verb}"), r#"{"by":"test","reason":"test"}"#).await
    }

    /// The status of everything.
    pub(crate) async fn status(&self) -> serde_json::Value {
        self.admin_get("/api/v1/dependencies").await.json()
    }

    /// The status of the dependency.
    pub(crate) async fn dependency(&self) -> serde_json::Value {
        self.admin_get("/api/v1/dependencies/recs").await.json()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::parse(self.admin_get("/metrics").await.text())
    }

    /// Scrapes until the metrics are as wanted, and returns them; fails the test when they never are.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Metrics) -> bool) -> Metrics {
        let begun = Instant::now();
        loop {
            let metrics = self.metrics().await;
            if is_so(&metrics) {
                return metrics;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for: {what}; last seen:\n{metrics:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until nothing is under way and the accounts are closed.
    pub(crate) async fn at_rest(&self) -> Metrics {
        let zero = |metrics: &Metrics, name| metrics.value(name, &[]) == Some(0.0);
        self.until("accounts that close", |metrics| {
            zero(metrics, "crossfade_in_flight")
                && zero(metrics, "crossfade_shadow_in_flight")
                && zero(metrics, "crossfade_accounting_imbalance")
        })
        .await
    }

    /// Replaces the dependency's table of the rollout file.
    pub(crate) fn write_rollout(&mut self, how: Write, lines: &str) {
        self.files.write(how, &entry(lines));
    }

    /// Replaces the dependency's table of the rollout file, and returns when it is in force.
    pub(crate) async fn apply(&mut self, lines: &str) {
        self.write_rollout(Write::Rename, lines);
        let answer = self.admin_post("/api/v1/reload", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Replaces the whole rollout file.
    pub(crate) fn write_rollout_file(&mut self, text: &str) {
        self.files.write(Write::Rename, text);
    }

    /// What `crossfade.toml` says.
    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.files.path().join("crossfade.toml")).expect("it was written")
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.process().child.id(), name);
    }

    /// Listens to events, with more header lines, until the stream holds a text; returns what it held.
    pub(crate) async fn listen(&self, lines: &str, until: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream =
            tokio::net::TcpStream::connect(self.process().ports.admin).await.expect("the admin port accepts");
        let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.expect("the admin port reads");
        let mut text = String::new();
        let all = async {
            let mut buffer = [0; 4096];
            while !text.contains(until) {
                let read = stream.read(&mut buffer).await.expect("the stream goes on");
                assert!(read > 0, "the stream ended:\n{text}");
                text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        };
        soon(until, all).await;
        text
    }

    /// A command of the binary in the folder of the proxy, told where its admin port is.
    pub(crate) async fn command(&self, args: &[&str]) -> std::process::Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_crossfade"));
        command.args(args).current_dir(self.files.path()).env("NO_COLOR", "1");
        command.env("CROSSFADE_ADMIN", format!("http://{}", self.process().ports.admin));
        soon("the command to end", command.output()).await.expect("the binary starts")
    }

    /// From now on no file of the process may be written beyond so many bytes, as on a full disk; `None`: as before.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.process().child.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status();
        assert!(set.is_ok_and(|status| status.success()), "process {pid} can be limited");
    }

    /// Ends the process at once, as `kill -9` does.
    pub(crate) async fn kill9(&mut self) {
        self.signal("KILL");
        assert_eq!(self.exit().await.signal(), Some(9));
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        self.process.take().expect("the proxy runs").exit().await
    }

    /// Starts another process in the same folder, which takes the place of this one; returns that one.
    pub(crate) async fn succeed(&mut self) -> Process {
        let next = Process::start(self.files.path(), &["--take-over"]).await;
        self.process.replace(next).expect("the proxy runs")
    }

    /// Ends the process, and starts another one by a command of its own.
    pub(crate) async fn restart_as(&mut self, command: Command) {
        drop(self.process.take());
        self.process = Some(Process::start_as(command, self.files.path()).await);
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.process().child.id()
    }

    /// Starts the process again in the same folder; the ports are new ones.
    pub(crate) async fn restart(&mut self) {
        drop(self.process.take());
        self.process = Some(Process::start(self.files.path(), &[]).await);
    }

    /// The same, logging so much.
    pub(crate) async fn restart_logging(&mut self, filter: &str) {
        drop(self.process.take());
        self.process = Some(Process::start(self.files.path(), &["--log", filter]).await);
    }

    /// The same on a disk that takes nothing.
    pub(crate) async fn restart_with_full_disk(&mut self) {
        drop(self.process.take());
        self.process = Some(Process::start_on_full_disk(self.files.path()).await);
    }

    /// Renames the data folder, or gives it its name back in place of what has it now.
    pub(crate) fn move_data(&self, away: bool) {
        let (data, aside) = (self.files.path().join("data"), self.files.path().join("aside"));
        let moved =
            if away { fs::rename(data, aside) } else { fs::remove_file(&data).and_then(|()| fs::rename(aside, data)) };
        moved.expect("the folder is writable");
    }

    /// Overwrites every file of the data folder with something else.
    pub(crate) fn damage_state(&self) {
        for file in fs::read_dir(self.files.path().join("data")).expect("there is a data folder") {
            let path = file.expect("the folder is readable").path();
            if path.is_file() {
                fs::write(path, "damaged").expect("the folder is writable");
            }
        }
    }

    /// Waits until the log holds a text.
    pub(crate) async fn until_logged(&self, text: &str) {
        let mut lines = self.process().log.0.subscribe();
        let is_there = lines.wait_for(|lines| lines.iter().any(|line| line.contains(text)));
        soon(&format!("`{text}` in the log"), is_there).await.expect("the proxy runs");
    }

    /// What the process wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        self.process().log.text()
    }

    /// Whether a new connection is refused.
    pub(crate) async fn refuses(&self) -> bool {
        matches!(Client::connect(self.address()).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}
