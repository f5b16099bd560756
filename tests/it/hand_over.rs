//! One process takes the place of another: no request fails, and nothing that was decided is lost.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Version;
use http_body_util::BodyExt;
use tokio::task::JoinSet;

use crate::world::{
    BINARY, Behaviour, Client, Consumer, Metrics, Origin, Proxy, RUN, Reply, Request, World, content, signal, soon,
};

const ENFORCED: &str = "stage = \"cutover\"\npercent = 50\nsteps = [20, 50]\nslo = 0.95\nblip = \"0s\"\nbake = \"0s\"\n\
                        min_samples = 50\noverdispersion = \"off\"\napprove = [50]\nkey = [\"header:x-user-id\"]";

async fn world() -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let proxy = World::new().v1(&v1).v2(&v2).rollout(ENFORCED).start().await;
    (proxy, v1, v2)
}

/// Consumers that ask one request after the other, some of them on a new connection each time. None of it may fail, and
/// whoever is told that a connection ends with its answer opens another.
struct Load {
    going: Arc<AtomicBool>,
    consumers: JoinSet<u64>,
}

impl Load {
    fn start(proxy: &Proxy) -> Self {
        let mut load = Self::of(proxy.address(), "/recommendations/1", Some(&Reply::rich().body));
        load.consumers.spawn(speak_http_2(proxy.address(), Arc::clone(&load.going)));
        load
    }

    /// Over HTTP/1.1; `body` is what every answer should be, where that is known.
    fn of(address: SocketAddr, target: &'static str, body: Option<&[u8]>) -> Self {
        let (going, mut consumers) = (Arc::new(AtomicBool::new(true)), JoinSet::new());
        for number in 0..8 {
            let (going, keeps, body) = (Arc::clone(&going), number % 2 == 0, body.map(<[u8]>::to_vec));
            consumers.spawn(async move {
                let (mut asked, mut kept) = (0, None);
                while going.load(Ordering::Relaxed) {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => Client::connect(address).await.expect("the port is open all the while"),
                    };
                    let user = format!("user-{}", asked % 100);
                    let request = Request::get(target).header("x-user-id", user);
                    let answer = client.send(&request).await.unwrap_or_else(|error| {
                        panic!("request {asked} on a {} connection: {error}", if keeps { "kept" } else { "new" })
                    });
                    assert_eq!((answer.status, &answer.body), (200, body.as_ref().unwrap_or(&answer.body)));
                    kept = (keeps && answer.header("connection") != Some("close")).then_some(client);
                    asked += 1;
                }
                asked
            });
        }
        Self { going, consumers }
    }

    /// How many requests were answered.
    async fn end(self) -> u64 {
        self.going.store(false, Ordering::Relaxed);
        soon("the last answers", self.consumers.join_all()).await.into_iter().sum()
    }
}

/// On one connection, until it is told that no more requests are taken there (GOAWAY), then on the next one.
async fn speak_http_2(address: SocketAddr, going: Arc<AtomicBool>) -> u64 {
    let mut asked = 0;
    while going.load(Ordering::Relaxed) {
        let Consumer::Http2(mut sender) = Consumer::connect(address, Version::HTTP_2).await else {
            unreachable!("HTTP/2 was asked for")
        };
        while going.load(Ordering::Relaxed) && sender.ready().await.is_ok() {
            let request = hyper::Request::get(format!("http://{address}/recommendations/1"));
            let request = request.header("x-user-id", "user-1").body(content("", &[])).expect("valid");
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    assert_eq!(answer.status(), 200);
                    let body = answer.into_body().collect().await.expect("a whole answer");
                    assert_eq!(body.to_bytes(), Reply::rich().body);
                    asked += 1;
                }
                Err(mut failed) => {
                    let was_sent = failed.take_message().is_none();
                    assert!(!was_sent, "request {asked} in HTTP/2: {:?}", failed.into_error());
                    // The word came in between.
                    break;
                }
            }
        }
    }
    asked
}

fn is_at(percent: f64) -> impl Fn(&Metrics) -> bool {
    move |metrics| metrics.percent("effective") == Some(percent)
}

/// Every event of the ledger, the oldest first.
async fn events(proxy: &Proxy) -> Vec<u64> {
    let reading = async {
        loop {
            let answer = proxy.admin_get("/api/v1/dependencies/recs/history").await;
            if answer.status == 200 {
                return answer.json();
            }
        }
    };
    let events = soon("the ledger", reading).await;
    events.as_array().expect("a list").iter().rev().map(|event| event["id"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn no_request_fails_when_another_process_takes_over_and_the_ledger_goes_on() {
    let (mut proxy, v1, v2) = world().await;
    let load = Load::start(&proxy);
    proxy.until("20 %", is_at(20.0)).await;
    for _ in 0..3 {
        let before = (proxy.metrics().await.percent("allowed"), events(&proxy).await);
        let old = proxy.succeed().await;
        assert_eq!((proxy.metrics().await.percent("allowed"), events(&proxy).await), before);
        assert_eq!(old.exit().await.code(), Some(0));
        assert_eq!(proxy.admin_get("/readyz").await.status, 200);
        let seen = v2.count();
        v1.until_received(v1.count() + 100).await;
        v2.until_received(seen + 100).await;
        proxy.verb("pause").await;
        proxy.verb("resume").await;
    }
    let ids = events(&proxy).await;
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    assert!(load.end().await > 300);
}

#[tokio::test]
async fn whoever_asks_the_admin_port_is_answered_as_well_all_the_while() {
    let (mut proxy, _v1, _v2) = world().await;
    let (scrapes, looks) = (Load::of(proxy.admin_address(), "/metrics", None), proxy.admin_address());
    let looks = Load::of(looks, "/livez", Some(b"ok\n"));
    for _ in 0..5 {
        let old = proxy.succeed().await;
        assert_eq!(old.exit().await.code(), Some(0));
    }
    assert!(scrapes.end().await > 0 && looks.end().await > 0);
}

#[tokio::test]
async fn a_process_that_drains_follows_each_step_down_of_its_successor() {
    let (mut proxy, v1, v2) = world().await;
    let load = Load::start(&proxy);
    proxy.until("20 %", is_at(20.0)).await;
    load.end().await;
    let mut users = (0..100).map(|user| format!("user-{user}"));
    let moved = users.find(|user| crossfade::bucket::bucket("recs", user.as_bytes()) < 20_000).expect("one in five");
    let request = Request::get("/recommendations/1").header("x-user-id", moved);
    let mut client = proxy.connect().await;
    assert_eq!(client.send(&request).await.expect("an answer").header("crossfade-served-by"), Some("v2"));
    let old = proxy.succeed().await;
    v2.behave(Behaviour::Answer(Reply::fallback()));
    let load = Load::start(&proxy);
    proxy.until("a rollback", is_at(0.0)).await;
    // It is told within some milliseconds; what waits for V1 meanwhile shows that they are over.
    v1.until_received(v1.count() + 500).await;
    let answer = client.send(&request).await.expect("the connection is held open for one more request");
    assert_eq!((answer.header("crossfade-served-by"), answer.header("connection")), (Some("v1"), Some("close")));
    assert_eq!(old.exit().await.code(), Some(0));
    load.end().await;
}

#[tokio::test]
async fn a_successor_that_does_not_come_to_serve_changes_nothing() {
    let (mut proxy, v1, _v2) = world().await;
    let load = Load::start(&proxy);
    proxy.until("20 %", is_at(20.0)).await;
    let before = (proxy.metrics().await.percent("allowed"), events(&proxy).await);
    let door = proxy.path("data/hand-over.sock");
    let given_up = tokio::task::spawn_blocking(move || {
        let mut successor = UnixStream::connect(door).expect("there is a door");
        successor.write_all(b"crossfade take over 1\n").expect("it is heard");
        let mut said = Vec::new();
        while !said.ends_with(b"released\n") {
            let mut bytes = [0; 64];
            let length = successor.read(&mut bytes).expect("it is open");
            said.extend_from_slice(&bytes[..length]);
        }
    });
    soon("the ledger", given_up).await.expect("the process lets it go");
    proxy.until_logged("this one goes on").await;
    proxy.until("the next start", |metrics| metrics.percent("allowed") == before.0).await;
    assert_eq!(events(&proxy).await, before.1);
    v1.until_received(v1.count() + 100).await;
    // The next one has more luck.
    let old = proxy.succeed().await;
    assert_eq!(old.exit().await.code(), Some(0));
    v1.until_received(v1.count() + 100).await;
    load.end().await;
}

#[tokio::test]
async fn nobody_takes_over_unasked() {
    let (proxy, _v1, _v2) = world().await;
    let folder = Path::new(&proxy.path(".")).to_owned();
    let second = tokio::task::spawn_blocking(move || Command::new(BINARY).args(RUN).current_dir(folder).output());
    let second = soon("the end of the second process", second).await.expect("no panic").expect("the binary starts");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("--take-over"), "{said}");
    assert_eq!(proxy.get("/recommendations/1").await.status, 200);
}

/// Kills a process that is nobody's child any more.
struct Stray(u32);

impl Drop for Stray {
    fn drop(&mut self) {
        if Path::new(&format!("/proc/{}", self.0)).exists() {
            signal(self.0, "KILL");
        }
    }
}

/// What systemd would be told next, besides signs of life.
async fn told(supervisor: &UnixDatagram) -> String {
    let supervisor = supervisor.try_clone().expect("there are descriptors");
    let heard = tokio::task::spawn_blocking(move || {
        let mut said = [0; 200];
        loop {
            let length = supervisor.recv(&mut said).expect("something is said");
            let said = String::from_utf8_lossy(&said[..length]).trim().to_owned();
            if said != "WATCHDOG=1" {
                return said;
            }
        }
    });
    soon("a message for the supervisor", heard).await.expect("no panic")
}

#[tokio::test]
async fn sigusr2_starts_the_installed_version_and_systemd_is_told_of_each_step() {
    let (mut proxy, _v1, _v2) = world().await;
    let (program, notify) = (proxy.path("installed"), proxy.path("notify.sock"));
    let supervisor = UnixDatagram::bind(&notify).expect("the folder is writable");
    supervisor.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
    fs::copy(BINARY, &program).expect("the folder is writable");
    let mut command = Command::new(&program);
    command.args(RUN).env("NOTIFY_SOCKET", &notify).env("WATCHDOG_USEC", "60000000");
    proxy.restart_as(command).await;
    assert_eq!(told(&supervisor).await, "READY=1");
    proxy.signal("HUP");
    let reloading = told(&supervisor).await;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(&supervisor).await, "READY=1");
    let load = Load::start(&proxy);
    // As a package manager does it: the file of the running program is another one from now on.
    fs::copy(BINARY, proxy.path("new")).expect("the folder is writable");
    fs::rename(proxy.path("new"), &program).expect("the folder is writable");
    proxy.signal("USR2");
    let mut told_by_both = [told(&supervisor).await, told(&supervisor).await];
    told_by_both.sort();
    let [next, ready] = told_by_both;
    assert_eq!(ready, "READY=1");
    let next: u32 = next.strip_prefix("MAINPID=").and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{next}"));
    let stray = Stray(next);
    assert_ne!(next, proxy.pid());
    let runs = fs::read_link(format!("/proc/{next}/exe")).expect("it runs");
    assert_eq!(runs, fs::canonicalize(&program).expect("it is there"));
    assert_eq!(proxy.exit().await.code(), Some(0));
    assert!(load.end().await > 0);
    signal(next, "TERM");
    assert_eq!(told(&supervisor).await, "STOPPING=1");
    soon("its end", async { while Path::new(&format!("/proc/{next}/fd/0")).exists() {} }).await;
    drop(stray);
}

#[tokio::test]
async fn sockets_of_the_supervisor_are_used_and_hold_connections_over_a_restart() {
    const OPEN: &str = "import os, socket, sys
s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
open('given', 'w').write(os.readlink('/proc/self/fd/3'))
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='crossfade.socket')
os.execv(sys.argv[2], sys.argv[2:])";
    let (mut proxy, _v1, _v2) = world().await;
    let mut command = Command::new("python3");
    command.args(["-c", OPEN, "0", BINARY]).args(RUN);
    proxy.restart_as(command).await;
    let load = Load::start(&proxy);
    let links = |pid: u32| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect::<Vec<_>>()
    };
    let given = fs::read_to_string(proxy.path("given")).expect("it was opened").into();
    assert!(links(proxy.pid()).iter().filter(|link| **link == given).count() > 2, "each worker has it");
    let old = proxy.succeed().await;
    assert_eq!(old.exit().await.code(), Some(0));
    assert!(links(proxy.pid()).contains(&given), "the next process has the same one");
    assert!(load.end().await > 0);
}
