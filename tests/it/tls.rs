//! TLS, with programs that know nothing of us at the other end.

use crate::world::{Authority, Identity, Metrics, Origin, Peer, Proxy, Reply, Request, Speaks, World, curl, run, soon};

/// As the world starts the proxy.
const WORKERS: usize = 2;

const SHADOW: &str = "stage = \"shadow\"\nslo = 0.95";
const TLS: &str = "listen_tls = [\"127.0.0.1:0\"]\n[tls]\ncert = \"server.pem\"\nkey = \"server.key\"";

async fn world(authority: &Authority, top: &str) -> (Proxy, Origin, Origin) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::answering(Reply::rich()));
    let world = World::new().v1(&v1).v2(&v2).rollout(SHADOW).top(top);
    let world = world.identity("server", &authority.issue()).file("ca.pem", authority.pem());
    (world.start().await, v1, v2)
}

fn url(proxy: &Proxy) -> String {
    format!("https://localhost:{}/recommendations/user-1", proxy.tls_address().port())
}

#[tokio::test]
async fn alpn_decides_between_http_2_and_http_1() {
    let (proxy, _v1, _v2) = world(&Authority::new("test"), TLS).await;
    let (url, ca) = (url(&proxy), proxy.path("ca.pem"));
    for (args, version) in [(&["--http2"][..], "2"), (&["--http1.1"], "1.1"), (&["--no-alpn"], "1.1")] {
        let answer = curl(&[args, &["--cacert", &ca, &url]].concat()).await;
        assert_eq!(answer.out, format!("{{\"items\":[1,2,3]}}\n200 {version}"), "{args:?}: {}", answer.err);
    }
    proxy.until("three shadows", |metrics| metrics.outcomes("v2") == [3, 0, 0]).await;
}

#[tokio::test]
async fn openssl_finds_tls_1_2_and_1_3_and_nothing_older() {
    let (proxy, _v1, _v2) = world(&Authority::new("test"), TLS).await;
    let (address, ca) = (proxy.tls_address().to_string(), proxy.path("ca.pem"));
    let base = ["s_client", "-connect", &address, "-CAfile", &ca, "-verify_return_error", "-alpn", "h2,http/1.1"];
    for (version, ok) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false), ("-tls1", false)] {
        let seen = run("openssl", &[&base[..], &[version, "-cipher", "ALL:@SECLEVEL=0"]].concat()).await;
        assert_eq!(seen.out.contains("ALPN protocol: h2"), ok, "{version}: {} {}", seen.out, seen.err);
        assert_eq!(seen.ok, ok, "{version}");
    }
}

#[tokio::test]
async fn a_client_ca_makes_certificates_of_consumers_a_must() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (proxy, v1, _v2) = world(&ours, &format!("{TLS}\nclient_ca = \"ca.pem\"")).await;
    for (name, identity) in [("good", ours.issue()), ("stranger", theirs.issue()), ("expired", ours.issue_expired())] {
        proxy.write_identity(name, &identity);
    }
    let (url, ca) = (url(&proxy), proxy.path("ca.pem"));
    for version in ["1.2", "1.3"] {
        for (name, ok) in [(Some("good"), true), (Some("stranger"), false), (Some("expired"), false), (None, false)] {
            let (cert, key) = (proxy.path(&format!("{}.pem", name.unwrap_or_default())), name.unwrap_or_default());
            let key = proxy.path(&format!("{key}.key"));
            let shown = if name.is_some() { &["--cert", cert.as_str(), "--key", key.as_str()][..] } else { &[] };
            let flag = format!("--tlsv{version}");
            let args = [&["--cacert", &ca, &flag, "--tls-max", version, &url], shown].concat();
            let answer = curl(&args).await;
            assert_eq!(answer.out.ends_with("200 2"), ok, "{name:?} {version}: {} {}", answer.out, answer.err);
        }
    }
    assert_eq!(v1.count(), 2, "nobody else was let in");
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_new_connections_and_no_request_fails() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (proxy, _v1, _v2) = world(&old, TLS).await;
    proxy.write_file("new-ca.pem", &new.pem());
    let (url, old_ca, new_ca) = (url(&proxy), proxy.path("ca.pem"), proxy.path("new-ca.pem"));
    let both = proxy.path("both.pem");
    proxy.write_file("both.pem", &(old.pem() + &new.pem()));
    let many = format!("https://localhost:{}/[1-300]", proxy.tls_address().port());
    let load = tokio::spawn(async move {
        let base = ["--http1.1", "--cacert", &both, &many];
        // One connection for all requests, and one for each of them, all the while.
        let (long, short) = ([&base[..], &[]].concat(), [&base[..], &["-H", "connection: close"]].concat());
        let (long, short) = tokio::join!(curl(&long), curl(&short));
        [long, short]
    });
    proxy.write_identity("server", &new.issue());
    let is_new = async { while !curl(&["--cacert", &new_ca, &url]).await.out.ends_with("200 2") {} };
    soon("the new certificate", is_new).await;
    assert!(!curl(&["--cacert", &old_ca, &url]).await.ok, "the old one is no more shown");
    for answers in load.await.expect("curl runs") {
        assert!(answers.ok, "{}", answers.err);
        assert_eq!(answers.out.matches("\n200 1.1").count(), 300, "{}", answers.out);
    }
}

#[tokio::test]
async fn a_key_that_does_not_match_changes_nothing_and_says_so() {
    let authority = Authority::new("test");
    let (proxy, _v1, _v2) = world(&authority, TLS).await;
    proxy.write_file("server.key", &authority.issue().key);
    let failed = |metrics: &Metrics| {
        metrics.value("crossfade_config_last_reload_successful", &[("file", "crossfade")]) == Some(0.0)
    };
    proxy.until("a failed reload", failed).await;
    proxy.until_logged("server.key is not the key of").await;
    let answer = curl(&["--cacert", &proxy.path("ca.pem"), &url(&proxy)]).await;
    assert!(answer.out.ends_with("200 2"), "{} {}", answer.out, answer.err);
}

/// V1 in cleartext, V2 with TLS; more lines for V2.
async fn to_a_peer(speaks: &Speaks, ca: &Authority, lines: &str) -> (Proxy, Origin, Peer) {
    let (v1, v2) = (Origin::answering(Reply::rich()), Peer::start(speaks.clone()));
    let v2_lines = format!("{}\ntls.ca = \"ca.pem\"\n{lines}", v2.url(speaks));
    let world = World::new().v1(&v1).v2_with(&v2_lines).file("ca.pem", ca.pem()).rollout(SHADOW);
    (world.identity("client", &ca.issue()).start().await, v1, v2)
}

const USER: &str = "/recommendations/user-1";

#[tokio::test]
async fn a_backend_is_called_over_tls_with_a_client_certificate() {
    let authority = Authority::new("test");
    let speaks = Speaks::Tls(authority.issue(), Some(authority.pem()));
    let shown = "tls.client_cert = \"client.pem\"\ntls.client_key = \"client.key\"";
    for lines in [shown.to_owned(), format!("{shown}\nprotocol = \"http1\""), format!("{shown}\nprotocol = \"http2\"")]
    {
        let (proxy, _v1, v2) = to_a_peer(&speaks, &authority, &lines).await;
        proxy.burst(0..20).await;
        proxy.until("20 shadows", |metrics| metrics.outcomes("v2") == [20, 0, 0]).await;
        assert_eq!(v2.requests(), 20, "{lines}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_certificate_is_a_fallback_and_said_once() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let cases: [(Identity, &str, &str); 4] = [
        (ours.issue_expired(), "", "certificate expired"),
        (ours.issue_for(&["elsewhere"]), "", "not valid for name \"localhost\""),
        (ours.issue(), "tls.server_name = \"elsewhere\"", "not valid for name \"elsewhere\""),
        (theirs.issue(), "", "UnknownIssuer"),
    ];
    for (identity, lines, said) in cases {
        let speaks = Speaks::Tls(identity, None);
        let (proxy, _v1, v2) = to_a_peer(&speaks, &ours, lines).await;
        for answer in proxy.burst(0..3).await {
            assert_eq!(answer.body, Reply::rich().body, "{said}");
        }
        proxy.until(said, |metrics| metrics.fallbacks("v2", "tls") == 3).await;
        proxy.until_logged(said).await;
        let complaints = proxy.log().matches("no TLS with the endpoint").count();
        assert!(complaints <= WORKERS, "once by each worker: {}", proxy.log());
        assert_eq!(v2.requests(), 0);
    }
}

#[tokio::test]
async fn another_name_can_be_asked_for_and_a_missing_client_certificate_is_noticed() {
    let authority = Authority::new("test");
    let elsewhere = Speaks::Tls(authority.issue_for(&["elsewhere"]), None);
    let (proxy, _v1, _v2) = to_a_peer(&elsewhere, &authority, "tls.server_name = \"elsewhere\"").await;
    proxy.send(&Request::get(USER)).await;
    proxy.until("a shadow", |metrics| metrics.outcomes("v2") == [1, 0, 0]).await;

    let strict = Speaks::Tls(authority.issue(), Some(authority.pem()));
    let (proxy, _v1, v2) = to_a_peer(&strict, &authority, "").await;
    proxy.send(&Request::get(USER)).await;
    proxy.until("a shadow", |metrics| metrics.outcomes("v2") == [0, 1, 0]).await;
    assert_eq!(v2.requests(), 0);
}

#[tokio::test]
async fn a_failed_handshake_with_the_primary_says_what_it_was() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let speaks = Speaks::Tls(theirs.issue(), None);
    let (v1, v2) = (Peer::start(speaks.clone()), Origin::answering(Reply::rich()));
    let lines = format!("{}\ntls.ca = \"ca.pem\"", v1.url(&speaks));
    let world = World::new().v1_with(&lines).v2(&v2).file("ca.pem", ours.pem()).rollout("stage = \"off\"");
    let answer = world.start().await.get(USER).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("proxy-status"), Some("crossfade; error=tls_certificate_error"));
}

#[tokio::test]
async fn a_changed_client_certificate_is_taken_up_and_no_shadow_is_lost() {
    let (authority, next) = (Authority::new("test"), Authority::new("next"));
    let speaks = Speaks::Tls(authority.issue(), Some(authority.pem() + &next.pem()));
    let shown = "tls.client_cert = \"client.pem\"\ntls.client_key = \"client.key\"";
    let (proxy, _v1, v2) = to_a_peer(&speaks, &authority, shown).await;
    proxy.burst(0..50).await;
    let before = v2.connections();
    proxy.write_identity("client", &next.issue());
    let mut sent = 50;
    let taken_up = async {
        while v2.connections() == before {
            proxy.burst(sent..sent + 10).await;
            sent += 10;
        }
    };
    soon("a connection with the new certificate", taken_up).await;
    let count = sent as u64;
    proxy.until("all shadows", |metrics| metrics.outcomes("v2") == [count, 0, 0]).await;
}
