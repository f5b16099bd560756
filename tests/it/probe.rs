//! V2 asked by hand: every way in which it can be wrong is told from every other, with what to mend.

mod running;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::world::{Authority, Behaviour, Identity, Origin, Peer, Reply, Speaks, soon};

/// What no output may ever hold.
const SECRET: &str = "canary-7f3a";

const ROUTES: &str = r#"
[[dependency.recs.route]]
name = "list"
match = { path = "/recommendations" }
score = { required = ["/items"], non_empty = ["/items"] }
[[dependency.recs.route]]
name = "one"
match = { path = "/recommendations/{user}" }
"#;

/// A `crossfade.toml` with files beside it, and no proxy.
struct Folder(TempDir);

impl Folder {
    /// By the lines of V2's table.
    fn new(v2: &str) -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder"));
        // A busy machine takes longer for a handshake than the default allows.
        let patient = if v2.contains("connect_timeout") { "" } else { "connect_timeout = \"2s\"" };
        let config = format!("listen = [\"127.0.0.1:0\"]\n[dependency.recs.v2]\n{v2}\n{patient}\n{ROUTES}");
        folder.write("v2.key", SECRET);
        folder.write("crossfade.toml", &config);
        folder
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.0.path().join(name), content).expect("the folder is writable");
    }

    fn with(self, files: &[(&str, &str)]) -> Self {
        for (name, content) in files {
            self.write(name, content);
        }
        self
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_crossfade"));
        command.args(["probe", "recs", "--config", "crossfade.toml"]).args(args);
        command.current_dir(self.0.path()).env("NO_COLOR", "1");
        let output = soon("the probe to end", command.output()).await.expect("the binary starts");
        let all = [output.stdout.clone(), output.stderr.clone()].concat();
        assert!(!String::from_utf8_lossy(&all).contains(SECRET), "{}", String::from_utf8_lossy(&all));
        output
    }

    async fn probe(&self, args: &[&str]) -> Probed {
        Probed::of(&self.run(&[&["--output", "json"], args].concat()).await)
    }
}

struct Probed {
    code: Option<i32>,
    report: Value,
}

impl Probed {
    fn of(output: &Output) -> Self {
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Self { code: output.status.code(), report }
    }

    fn steps(&self) -> &[Value] {
        self.report["steps"].as_array().expect("a list")
    }

    /// The states, such as `dns ok`, in order.
    fn states(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.steps().iter().map(|step| format!("{} {}", text(&step["step"]), text(&step["state"]))).collect()
    }

    /// The first step that failed: its name, what is wrong, the finding, the remedy.
    fn failure(&self) -> [&str; 4] {
        let failed = self.steps().iter().find(|step| step["state"] == "failed");
        let failed = failed.unwrap_or_else(|| panic!("nothing failed: {:#}", self.report));
        ["step", "wrong", "finding", "remedy"].map(|key| failed[key].as_str().unwrap_or_default())
    }

    fn assert_fails(&self, step: &str, wrong: &str, finding: &str, remedy: &str) {
        let failure = self.failure();
        assert_eq!((failure[0], failure[1]), (step, wrong), "{:#}", self.report);
        assert!(failure[2].contains(finding), "`{finding}` is not in `{}`", failure[2]);
        assert!(failure[3].contains(remedy), "`{remedy}` is not in `{}`", failure[3]);
        assert_eq!(self.code, Some(3));
        let after = self.states().into_iter().skip_while(|state| !state.ends_with(" failed")).skip(1);
        for state in after {
            assert!(state.ends_with(" not_reached") || state.starts_with("request "), "{state} after the failed step");
        }
    }
}

fn url(origin: &Origin) -> String {
    format!("url = \"http://{}\"", origin.address())
}

/// The URL of an origin, with TLS asked of it.
fn tls_url(origin: &Origin) -> String {
    format!("url = \"https://localhost:{}\"\ntls.ca = \"ca.pem\"", origin.address().port())
}

#[tokio::test]
async fn everything_right_is_one_line_for_each_step() {
    let origin = Origin::answering(Reply::rich());
    let port = origin.address().port();
    let folder = Folder::new(&format!(
        "url = \"http://localhost:{port}/api\"\nrequest = {{ path = \"/v2{{path}}\", remove = [\"cookie\"], \
         set = {{ x-api-key = {{ file = \"v2.key\" }} }} }}"
    ));
    let probed = folder.probe(&["--path", "/recommendations?q=canary-7f3a", "-H", "x-user-id: canary-7f3a"]).await;
    let states = probed.states();
    let expected = ["alpn skipped", "http ok", "credentials ok", "request ok"];
    assert_eq!((probed.code, &states[states.len() - 4..]), (Some(0), &expected.map(str::to_owned)[..]), "{states:?}");
    let credentials = probed.steps().iter().find(|step| step["step"] == "credentials").expect("a step");
    assert_eq!(credentials["finding"], "x-api-key from v2.key");
    let received = origin.received();
    let request = received.first().expect("one request");
    assert_eq!(request.target, "/api/v2/recommendations?q=canary-7f3a", "as real traffic would be mapped");
    assert_eq!(request.header("crossfade-role"), Some("probe"));
    assert_eq!(request.header("x-api-key"), Some(SECRET));
    assert_eq!(request.header("x-user-id"), Some(SECRET));
    let text = folder.run(&["--path", "/recommendations"]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("credentials  ok") && text.ends_with("recs: the probe passed\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "NO_COLOR is honoured: {text}");
}

/// An address that answers no more connections, as behind a firewall: nobody takes those that wait already.
fn busy() -> (SocketAddr, (Socket, Vec<TcpStream>)) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).and_then(|()| socket.listen(0)).expect("loopback has a free port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    (address, (socket, waiting))
}

#[tokio::test]
async fn a_wrong_host_is_told_by_how_nobody_answers() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let refused = format!("url = \"http://{nobody}\"");
    let (busy, _waiting) = busy();
    let silent = format!("url = \"http://{busy}\"\nconnect_timeout = \"300ms\"");
    let table = [
        ("url = \"http://v2.invalid:7002\"".to_owned(), "dns", "does not resolve", "`dependency.recs.v2.url`"),
        (refused, "tcp", "nobody listens on port", "`dependency.recs.v2.url`"),
        (silent, "tcp", "no answer within 300ms: a firewall", "`dependency.recs.v2.connect_timeout`"),
    ];
    for (v2, step, finding, remedy) in table {
        Folder::new(&v2).probe(&[]).await.assert_fails(step, "host", finding, remedy);
    }
}

#[tokio::test]
async fn a_wrong_certificate_is_told_by_what_is_wrong_with_it() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let table: [(Identity, &str, &str, &str); 5] = [
        (theirs.issue(), "", "an authority that is not trusted", "v2.tls.ca`"),
        (ours.issue_for(&["elsewhere"]), "", "not for `localhost`, but for", "v2.tls.server_name`"),
        (ours.issue(), "tls.server_name = \"elsewhere\"", "not for `elsewhere`", "v2.tls.server_name`"),
        (ours.issue_expired(), "", "has expired", "renew"),
        (ours.issue_for_later(), "", "not valid yet", "clock"),
    ];
    for (identity, lines, finding, remedy) in table {
        let speaks = Speaks::Tls(identity, None);
        let peer = Peer::start(speaks.clone());
        let folder = Folder::new(&format!("{}\ntls.ca = \"ca.pem\"\n{lines}", peer.url(&speaks)));
        let probed = folder.with(&[("ca.pem", &ours.pem())]).probe(&[]).await;
        probed.assert_fails("tls", "certificate", finding, remedy);
        assert_eq!(peer.requests(), 0);
    }
}

#[tokio::test]
async fn a_client_certificate_is_demanded_refused_or_accepted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let speaks = Speaks::Tls(ours.issue(), Some(ours.pem()));
    let peer = Peer::start(speaks.clone());
    let shown = "tls.client_cert = \"client.pem\"\ntls.client_key = \"client.key\"";
    let (good, stranger) = (ours.issue(), theirs.issue());
    for (client, lines, protocol) in [(&good, "", ""), (&stranger, shown, ""), (&good, shown, ""), (&good, "", "http1")]
    {
        let protocol = if protocol.is_empty() { String::new() } else { format!("protocol = \"{protocol}\"") };
        let v2 = format!("{}\ntls.ca = \"ca.pem\"\n{lines}\n{protocol}", peer.url(&speaks));
        let files = [("ca.pem", ours.pem()), ("client.pem", client.cert.clone()), ("client.key", client.key.clone())];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
        let probed = Folder::new(&v2).with(&files).probe(&["--path", "/recommendations"]).await;
        if lines.is_empty() {
            probed.assert_fails("tls", "certificate", "demands a client certificate", "v2.tls.client_cert`");
        } else if std::ptr::eq(client, &raw const stranger) {
            probed.assert_fails("tls", "certificate", "refuses the client certificate", "v2.tls.client_cert`");
        } else {
            assert_eq!(probed.code, Some(0), "{:#}", probed.report);
            let findings: Vec<&str> = probed.steps().iter().filter_map(|step| step["finding"].as_str()).collect();
            assert!(findings.contains(&"h2") && findings.contains(&"answered in HTTP/2.0"), "{findings:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_protocol_is_told_by_what_the_port_does_speak() {
    let authority = Authority::new("test");
    let http1 = Origin::answering(Reply::rich());
    let http2 = Peer::start(Speaks::Http2);
    let tls_speaks = Speaks::Tls(authority.issue(), None);
    let tls = Peer::start(tls_speaks.clone());
    let in_cleartext = |line: String| line.replace("https://localhost", "http://127.0.0.1");
    let over_tls = |line: String| {
        let line = line.replace("protocol = \"http2\"", "").replace("http://127.0.0.1", "https://localhost");
        format!("{line}\ntls.ca = \"ca.pem\"")
    };
    let garbage = Origin::start(Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()));
    let reset = Origin::start(Behaviour::ResetBeforeHead);
    let hang = Origin::start(Behaviour::Hang);
    let table = [
        (tls_url(&http1), "tls", "speaks HTTP/1 in cleartext, and no TLS", "write http://"),
        (over_tls(http2.url(&Speaks::Http2)), "tls", "speaks HTTP/2 in cleartext, and no TLS", "\"http2\""),
        (in_cleartext(tls.url(&tls_speaks)), "http", "speaks TLS, and was asked in cleartext", "write https://"),
        (http2.url(&Speaks::Http2).replace("\"http2\"", "\"http1\""), "http", "speaks HTTP/2 only", "= \"http2\""),
        (format!("{}\nprotocol = \"http2\"", url(&http1)), "http", "speaks HTTP/1, and was asked in HTTP/2", "take "),
        (url(&garbage), "http", "is no HTTP", "is an HTTP server behind that port"),
        (tls_url(&garbage), "tls", "no TLS is spoken", "v2.url`"),
        (url(&reset), "http", "closed without an answer", "is an HTTP server behind that port"),
        (format!("{}\ntimeout = \"300ms\"", url(&hang)), "http", "nothing is answered within 300ms", "is it well"),
    ];
    let (ca, mut cases) = (authority.pem(), JoinSet::new());
    for (v2, step, finding, remedy) in table {
        let folder = Folder::new(&v2).with(&[("ca.pem", &ca)]);
        cases.spawn(async move {
            let probed = folder.probe(&["--path", "/recommendations"]).await;
            probed.assert_fails(step, "protocol", finding, remedy);
        });
    }
    cases.join_all().await;
}

#[tokio::test]
async fn wrong_credentials_are_told_by_where_they_came_from() {
    let origin = |status| {
        Origin::answering(Reply::new(status, SECRET).header("www-authenticate", "Bearer realm=\"canary-7f3a\""))
    };
    let (unauthorized, forbidden) = (origin(401), origin(403));
    let from_file = "request.set = { x-api-key = { file = \"v2.key\" } }";
    let literal = "request.set = { authorization = \"Basic canary-7f3a\" }";
    let removed = "request.remove = [\"authorization\"]";
    let table = [
        (
            &unauthorized,
            from_file,
            "401: x-api-key from v2.key sent, and refused (the backend asks for Bearer)",
            "into v2.key (`dependency.recs.v2.request.set.x-api-key`)",
        ),
        (&forbidden, from_file, "403: x-api-key from v2.key sent, and not allowed", "into v2.key"),
        (
            &unauthorized,
            literal,
            "authorization as written in crossfade.toml sent, and refused",
            "correct `dependency.recs.v2.request.set.authorization`",
        ),
        (&unauthorized, "", "authorization of the probe itself sent, and refused", "--header"),
        (
            &unauthorized,
            removed,
            "401: the request carried no credential (the backend asks for Bearer); `dependency.recs.v2.request.remove` takes out authorization",
            "`dependency.recs.v2.request.set`",
        ),
    ];
    for (origin, lines, finding, remedy) in table {
        let given: &[&str] = if lines == literal || lines == from_file {
            &[]
        } else {
            &["--header", "authorization: Bearer canary-7f3a"]
        };
        let args = [given, &["--path", "/recommendations"]].concat();
        let probed = Folder::new(&format!("{}\n{lines}", url(origin))).probe(&args).await;
        probed.assert_fails("credentials", "credentials", finding, remedy);
    }
    let probed = Folder::new(&url(&forbidden)).probe(&[]).await;
    probed.assert_fails("credentials", "credentials", "403: the request carried no credential", "request.set`");
}

#[tokio::test]
async fn a_wrong_schema_is_told_by_the_rule_that_fails() {
    let json = |body: &str| Reply::new(200, body).header("content-type", "application/json");
    let table = [
        (
            json(r#"{"data":["canary-7f3a"],"meta":{}}"#),
            "/items is missing or null (the answer has data, meta)",
            "`score.required` of route `list`",
        ),
        (Reply::fallback(), "/items is empty", "`score.non_empty` of route `list`"),
        (json("<html>"), "no JSON", "`score.required`"),
        (Reply::new(503, ""), "503: the backend itself fails", "log"),
        (Reply::new(302, "").header("location", "/login?canary-7f3a"), "302: a redirect", "`dependency.recs.v2.url`"),
        (Reply::new(206, "{}"), "/items is missing", "`score.required`"),
        (Reply::new(404, "{}"), "404: the backend blames the request", "--path"),
    ];
    for (reply, finding, remedy) in table {
        let origin = Origin::answering(reply);
        Folder::new(&url(&origin)).probe(&[]).await.assert_fails("request", "schema", finding, remedy);
    }
    let cut = Origin::start(Behaviour::Truncated(Reply::rich()));
    Folder::new(&url(&cut)).probe(&[]).await.assert_fails(
        "http",
        "protocol",
        "broke before the answer was complete",
        "log",
    );
}

/// A TLS port that explains itself in cleartext, as nginx and Go do.
fn explaining_tls() -> SocketAddr {
    const ALERT: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 4096];
            let is_tls = stream.read(&mut buffer).is_ok_and(|_| buffer[0] == 0x16);
            let explained = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(if is_tls { ALERT } else { explained });
        }
    });
    address
}

#[tokio::test]
async fn a_tls_port_that_explains_itself_in_cleartext_is_seen_through() {
    let probed = Folder::new(&format!("url = \"http://{}\"", explaining_tls())).probe(&[]).await;
    probed.assert_fails("http", "protocol", "speaks TLS, and was asked in cleartext", "write https://");
}

/// Answers a bare OPTIONS, and nothing else.
fn slow_for_consumers() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut first = [0; 7];
            if stream.read_exact(&mut first).is_ok() && first == *b"OPTIONS" {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_slow_answer_is_told_from_a_port_that_is_silent() {
    let slow = format!("url = \"http://{}\"\ntimeout = \"5s\"", slow_for_consumers());
    let probed = Folder::new(&slow).probe(&["--timeout", "300ms"]).await;
    probed.assert_fails("http", "schema", "too slow: no whole answer within 300ms", "`dependency.recs.v2.timeout`");
}

#[tokio::test]
async fn each_path_and_each_backend_is_asked_as_often_as_wanted() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::HitRate(50)));
    let folder = Folder::new(&format!("{}\n[dependency.recs.v1]\n{}", url(&v2), url(&v1)));
    let args = ["--path", "/recommendations", "--path", "/recommendations/7", "--count", "4", "--backend", "v1"];
    let probed = folder.probe(&args).await;
    assert_eq!((probed.code, v1.count(), v2.count()), (Some(3), 8, 8), "{:#}", probed.report);
    let failure = probed.failure();
    assert!(failure[2].starts_with("2 of 4 rich"), "{failure:?}");
    let v1_rich = probed
        .steps()
        .iter()
        .filter(|step| step["backend"] == "v1" && step["step"] == "request" && step["state"] == "ok");
    assert_eq!(v1_rich.count(), 2, "{:#}", probed.report);
}

#[tokio::test]
async fn every_endpoint_has_its_own_steps() {
    let good = Origin::answering(Reply::rich());
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let folder = Folder::new(&format!("urls = [\"http://{}\", \"http://{nobody}\"]", good.address()));
    let probed = folder.probe(&[]).await;
    probed.assert_fails("tcp", "host", "nobody listens", "`dependency.recs.v2.urls`");
    let well = probed.steps().iter().filter(|step| step["endpoint"] == good.address().to_string().as_str());
    assert!(well.clone().count() > 5 && well.into_iter().all(|step| step["state"] != "failed"), "{:#}", probed.report);
}

#[tokio::test]
async fn what_makes_no_sense_is_wrong_usage() {
    let folder = Folder::new("url = \"http://127.0.0.1:1\"");
    for (args, said) in [
        (&["--path", "x"][..], "is no path"),
        (&["--method", "DELETE"], "--writes"),
        (&["--header", "canary-7f3a"], "no colon"),
        (&["--count", "0"], "between 1 and 100"),
        (&["--backend", "v1"], "has no `v1`"),
        (&["--backend", "v3"], "there are: v1, v2"),
    ] {
        let output = folder.run(args).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(said), "{args:?}: {text}");
    }
    folder.write("crossfade.toml", "listen = 1");
    assert_eq!(folder.run(&[]).await.status.code(), Some(2), "an invalid configuration");
}
