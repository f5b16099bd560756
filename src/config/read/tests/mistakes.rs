//! Every message, with its place.

use super::*;
use crate::config::Severity;

/// What is wrong with a text, one line for each problem: `line:column: reason`, without the name of the file.
fn problems_of(problems: &Problems) -> Vec<String> {
    let line = |problem: &crate::config::Problem| {
        let mark = if problem.severity == Severity::Warning { "warning: " } else { "" };
        format!("{}:{}: {mark}{}", problem.line, problem.column, problem.reason())
    };
    problems.iter().map(line).collect()
}

/// Asserts that `body`, from line 1 on, has exactly one problem, which begins with `place` and contains `part`.
fn one_problem(source: &str, problems: &Problems, place: &str, part: &str) {
    let all = problems_of(problems);
    let [only] = all.as_slice() else {
        panic!("{} problems instead of one in\n{source}\n{all:#?}", all.len());
    };
    assert!(
        only.starts_with(&format!("{place}: ")) && only.contains(part),
        "{place}: {part} expected, but\n{only}\n{source}"
    );
}

/// Mistakes in `crossfade.toml`; `$` stands for a valid `listen` and dependency below the mistake.
const BAD_DEPLOYMENTS: &[(&str, &str, &str)] = &[
    ("listne = []\n$", "1:1", "`listne` is not a known key: did you mean `listen`?"),
    ("data-dir = \"x\"\n$", "1:1", "did you mean `data_dir`?"),
    ("qqq = 1\n$", "1:1", "possible: `listen`, "),
    ("workers = \"2\"\n$", "1:11", "`workers` cannot be a string: write a whole number"),
    ("workers = -1\n$", "1:11", "-1 is out of range"),
    ("workers = 1.5\n$", "1:11", "cannot be a float"),
    ("startup = { prob = true }\n$", "1:13", "did you mean `probe`?"),
    ("startup = { probe = 1 }\n$", "1:21", "write `true` or `false`"),
    ("response_headers = 1\n$", "1:20", "write `true` or `false`"),
    ("study = { cpu = 0 }\n$", "1:17", "no time at all"),
    ("study = { pairs = 5000 }\n$", "1:19", "write at most 1000"),
    ("study = { allow = [\"items\"] }\n$", "1:20", "starts with `/`"),
    ("study = { allow_headers = [\"a b\"] }\n$", "1:28", "`a b` is no header name"),
    ("admin = \"localhost:8081\"\n$", "1:9", "is no address with a port"),
    ("admin = \"127.0.0.1:8080\"\n$", "1:9", "consumers are served on this address"),
    ("admin = \"0.0.0.0:8081\"\n$", "1:9", "without a token: add [admin_auth]"),
    ("admin_auth = { token_file = \"/nowhere/t\" }\n$", "1:29", "/nowhere/t cannot be used: No such file"),
    ("rollout = \"\"\n$", "1:11", "no path"),
    ("admin_auth = {}\n$", "1:1", "`admin_auth`: `token_file` is missing"),
    ("listen_tls = [\"127.0.0.1:1\"]\n$", "1:1", "`listen_tls` needs a certificate: add [tls]"),
    ("tls = { cert = \"x\" }\nlisten_tls = [\"127.0.0.1:1\"]\n$", "1:1", "`tls`: `key` is missing: key = "),
    ("fleet = {}\n$", "1:1", "`fleet` is not supported"),
    ("limits = { idle_timeout = \"60\" }\n$", "1:27", "time unit needed"),
    ("limits = { idle_timeout = 60 }\n$", "1:27", "a duration is a string with a unit"),
    ("limits = { idle_timeout = \"0s\" }\n$", "1:27", "zero"),
    ("limits = { idle_timeout = \"100y\" }\n$", "1:27", "longer than ten years"),
    ("limits = { shadow_memory = \"64XB\" }\n$", "1:28", "`64XB` is no size"),
    ("limits = { shadow_memory = 1024 }\n$", "1:28", "a size is a string with a unit"),
    ("limits = { shadow_memory = \"9999999EB\" }\n$", "1:28", "outside 1 byte to 1 TiB"),
    ("limits = { header_bytes = \"1KiB\" }\n$", "1:27", "write at least \"8KiB\""),
    ("limits = { max_in_flight = 0 }\n$", "1:28", "at least 1"),
    ("limits = { shadow_memory = \"1KiB\" }\n$", "1:1", "warning: `limits`: `shadow_memory` holds less"),
    ("listen = []\ndependency.a.v2.url = \"http://b\"", "1:10", "no address to listen on"),
    ("listen = \"127.0.0.1:1\"\ndependency.a.v2.url = \"http://b\"", "1:10", "write a list such as"),
    (
        "listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]\ndependency.a.v2.url = \"http://b\"",
        "1:26",
        "the same address twice",
    ),
    ("dependency.a.v2.url = \"http://b\"", "1:1", "`listen` is missing: listen = ["),
    ("listen = [\"127.0.0.1:1\"]", "1:1", "warning: no dependency"),
    ("$v3 = {}", "4:1", "`dependency.a.v3` is not a known key: did you mean"),
    ("$match = { host = \"http://x\" }", "4:18", "is no host"),
    ("$match = { host = \"x:80\" }", "4:18", "is no host"),
    ("$match = { path_prefix = \"a\" }", "4:25", "does not start with /"),
    ("$match = { paht_prefix = \"/a\" }", "4:11", "did you mean `path_prefix`?"),
    ("$diff = { noise = 101 }", "4:18", "101 is no percentage"),
    ("$diff = { tolerance = 2 }", "4:22", "0 to below 1"),
    ("$diff = { tolerance = { absolute = -1 } }", "4:35", "at least 0"),
    ("$diff = { ignore = [{ path = \"/a\", reason = \"b\" }] }", "4:20", "nothing is ignored for ever"),
    ("$diff = { ignore = [{ path = \"/a\", until = 2027-01-01T00:00:00Z, reason = \"b\" }] }", "4:43", "is no day"),
    ("$diff = { ids = { \"items\" = \"/id\" } }", "4:18", "is no place"),
    ("$v1 = \"http://a\"", "4:6", "cannot be a string: write a table such as { url"),
    ("$v1 = {}", "4:1", "`dependency.a.v1`: `url` is missing"),
    ("$v1 = { url = \"a:80\" }", "4:14", "has no scheme: write http://HOST:PORT"),
    ("$v1 = { url = \"ftp://a\" }", "4:14", "`ftp` is no scheme to speak HTTP by"),
    ("$v1 = { url = \"http://a\", protocol = \"h2\" }", "4:37", "possible: `auto`, `http1`, `http2`"),
    ("$v1 = { url = \"https://a\", tls = { ca = \"/nowhere\" } }", "4:40", "/nowhere cannot be used: No such file"),
    ("$v1 = { url = \"https://a\", tls = { ca = \"/dev/null\" } }", "4:40", "/dev/null cannot be used: it holds no"),
    ("$v1 = { url = \"https://a\", tls = { client_cert = \"x\" } }", "4:35", "stands without `client_key`"),
    ("$v1 = { url = \"https://a\", tls = { server_name = \"a b\" } }", "4:49", "`a b` is no name"),
    (
        "$v1 = { url = \"https://a\", tls = { verify = false } }",
        "4:35",
        "`dependency.a.v1.tls.verify` is not a known key",
    ),
    ("$v1 = { url = \"http://u:p@a\" }", "4:14", "ends up in logs"),
    ("$v1 = { url = \"http://a?b\" }", "4:14", "a query or a fragment"),
    ("$v1 = { url = \"http://a:0\" }", "4:14", "has no valid port"),
    ("$v1 = { url = \"http://a:99999\" }", "4:14", "has no valid port"),
    ("$v1 = { url = [\"http://a\"] }", "4:14", "write `urls`"),
    ("$v1 = { url = \"http://a\", urls = [\"http://b\"] }", "4:26", "stands beside `url`"),
    ("$v1 = { urls = [] }", "4:15", "no endpoint"),
    ("$v1 = { urls = [\"http://a\", \"http://a\"] }", "4:28", "the same endpoint twice"),
    ("$v1 = { url = \"http://a\", tls = {} }", "4:26", "`dependency.a.v1.tls` has no effect on http"),
    ("$v1 = { url = \"http://a\", retry = { attempts = 0 } }", "4:47", "whole number of at least 1"),
    ("$v1 = { url = \"http://a\", retry = { attempts = 11 } }", "4:47", "write 1 to 10"),
    ("$v1 = { url = \"http://a\", retry = { budget_percent = 101 } }", "4:53", "101 is no percentage"),
    ("$v1 = { url = \"http://a\", retry = { idempotent = [\"put\"] } }", "4:50", "write \"PUT\""),
    (
        "$v1 = { url = \"http://a\", retry = { try_timeout = \"9s\" } }",
        "4:1",
        "warning: `dependency.a.v1`: `try_timeout`",
    ),
    ("$v1 = { url = \"http://a\", health = {} }", "4:26", "`path` is missing"),
    ("$v1 = { url = \"http://a\", health = { path = \"x\" } }", "4:44", "no path of a request"),
    (
        "$v1 = { url = \"http://a\", response = { map = {} } }",
        "4:26",
        "`dependency.a.v1.response` has no effect: answers of V1",
    ),
    ("$[dependency.a.v2.response]\nmapp = {}", "5:1", "did you mean `map`?"),
    ("$[dependency.a.v2.response.map]\na = \"/b\"", "5:1", "is no place: a JSON Pointer is empty or starts"),
    ("$[dependency.a.v2.response]\nmap = { \"/a\" = \"b\" }", "5:16", "write \"/items\", \"/items/0/name\""),
    ("$[dependency.a.v2.response]\nmap = { \"/a\" = 1 }", "5:16", "cannot be an integer"),
    ("$[dependency.a.v2.response.map]\n\"/a\" = \"/b\"\n\"/a/c\" = \"/d\"", "6:1", "lies within that of an earlier"),
    ("$[dependency.a.v2.response.map]\n\"/a/*\" = \"/b\"", "5:1", "the same number of `*`"),
    ("$v1 = { url = \"http://a\", request = { body = \".a | range(3)\" } }", "4:51", "range"),
    ("$[dependency.a.v2.response]\nbody = \".a |\"", "5:13", "not jq"),
    ("$v1 = { url = \"http://a\", host = \"keep\" }", "4:33", "possible: `preserve`, `endpoint`"),
    (
        "$v1 = { url = \"http://a\", timeout = \"100ms\" }",
        "4:1",
        "warning: `dependency.a.v1`: `connect_timeout` is longer",
    ),
    ("$v1 = { url = \"http://a\", request = { path = \"x\" } }", "4:45", "neither / nor {path}"),
    ("$v1 = { url = \"http://a\", request = { path = \"/{user}\" } }", "2:13", "uses {user}, which no route captures"),
    ("$v1 = { url = \"http://a\", request = { remove = [\"a b\"] } }", "4:48", "is no header name"),
    ("$v1 = { url = \"http://a\", request = { set = { a = 1 } } }", "4:50", "write a string, or { file"),
    ("$v1 = { url = \"http://a\", request = { set = { a = \"\\n\" } } }", "4:50", "no header value"),
    ("$v1 = { url = \"http://a\", request = { set = { a = \"1\", A = \"2\" } } }", "4:55", "is there already"),
    (
        "$v1 = { url = \"http://a\", request = { set = { a = { file = \"/nowhere\" } } } }",
        "4:59",
        "/nowhere cannot be used",
    ),
    ("$route = [{ name = \"other\" }]", "4:19", "a reserved name"),
    ("$route = [{ name = \"x y\" }]", "4:19", "no name of 1 to 63"),
    ("$route = [{ match = { path = \"/\" } }]", "4:10", "`name` is missing"),
    ("$route = [{ name = \"x\", match = { path = \"/x\" } }, { name = \"x\" }]", "4:60", "a second route named `x`"),
    ("$route = [{ name = \"x\" }, { name = \"y\" }]", "4:26", "warning: `dependency.a.route[1]`: never reached"),
    ("$route = [{ name = \"x\", match = { methods = [\"get\"] } }]", "4:45", "write \"GET\""),
    ("$route = [{ name = \"x\", match = { path = \"/{a}b\" } }]", "4:41", "whole segment"),
    ("$route = [{ name = \"x\", score = { status = [99] } }]", "4:44", "between 200 and 599"),
    ("$route = [{ name = \"x\", score = { required = [\"a\"] } }]", "4:46", "starts with `/`"),
    ("$route = [{ name = \"x\", score = { required = [\"/~2\"] } }]", "4:46", "`~`"),
    ("$route = [{ name = \"x\", score = { rich = \".a | range(3)\" } }]", "4:47", "`range` cannot be used in a rule"),
    ("$route = [{ name = \"x\", score = { rich = \".a |\" } }]", "4:46", "not jq: term expected"),
    ("$route = [{ name = \"x\", score = { rich = true } }]", "4:41", "cannot be a boolean"),
    ("$route = [{ name = \"x\", score = { contains = [\"\"] } }]", "4:46", "an empty string"),
    ("$route = [{ name = \"x\", score = { matches = [\"(\"] } }]", "4:45", "unclosed"),
    ("$route = [{ name = \"x\", score = { mismatches = [\"(?=a)\"] } }]", "4:48", "look-around"),
    ("$route = [{ name = \"x\", score = { header = { \"a b\" = \"x\" } } }]", "4:53", "is no header name"),
    ("$route = [{ name = \"x\", score = { status = [404], exclude = { status = [404] } } }]", "4:24", "warning: "),
    (
        "$route = [{ name = \"x\", score = { max_latency = \"6s\" } }]",
        "4:10",
        "warning: `dependency.a.route[0]`: `max_latency` is never",
    ),
    ("$route = [{ name = \"x\", score = { exclude = { header = { a = [\"*\"] } } } }]", "4:62", "write \"*\" alone"),
    ("$route = [{ name = \"x\", score = { exclude = { header = { a = [] } } } }]", "4:61", "no value"),
    (
        "$match.path_prefix = \"/a\"\nroute = [{ name = \"x\", match = { path = \"/x\" } }]",
        "5:10",
        "does not lie below the dependency's path_prefix /a",
    ),
    (
        "$[dependency.change]\nmatch.host = \"b\"\nv2.url = \"http://b\"",
        "4:13",
        "`dependency.change` is a reserved name",
    ),
    (
        "$[dependency.\"a b\"]\nmatch.host = \"b\"\nv2.url = \"http://b\"",
        "4:13",
        "`dependency.a b` is no name of 1 to 63",
    ),
    ("$[dependency.b]\nv2.url = \"http://b\"", "4:13", "`dependency.b` matches the same requests as `a`"),
    ("$[dependency.b]\nmatch.host = \"b\"", "4:13", "`v2` is missing"),
    ("listen = [\"127.0.0.1:8080\n$", "1:26", "not TOML: "),
    ("listen [\"127.0.0.1:8080\"]\n", "1:8", "not TOML: key with no value"),
];

#[test]
fn every_mistake_in_a_deployment_is_found_at_its_place() {
    for (template, place, part) in BAD_DEPLOYMENTS {
        let source = with_the_rest(template);
        let (value, problems) = check_deployment(&source, Path::new("crossfade.toml"));
        one_problem(&source, &problems, place, part);
        assert_eq!(value.is_none(), problems.has_errors(), "{source}");
    }
}

/// Mistakes in `rollout.toml`; `$` stands for a line with a valid entry for the dependency `a` to go on with.
const BAD_ROLLOUTS: &[(&str, &str, &str)] = &[
    ("stage = \"off\"", "1:9", "`stage` cannot be a string: write a table such as [NAME]"),
    ("[b]\nstage = \"off\"", "1:2", "`b` is not a dependency of crossfade.toml: possible: `a"),
    ("[ab]\nstage = \"off\"", "1:2", "did you mean `a"),
    ("[a]\n", "1:2", "`a`: `stage` is missing"),
    ("a.stage = \"cutovr\"", "1:11", "did you mean `cutover`?"),
    ("a.stage = \"shadow\"", "1:1", "`a`: `slo` is missing"),
    ("a = { stage = \"cutover\", slo = 0.9 }", "1:1", "`a`: `percent` is missing"),
    ("$stpes = [1]", "2:1", "did you mean `steps`?"),
    ("$percent = 5.0001", "2:11", "at most three decimals"),
    ("$percent = 101", "2:11", "between 0 and 100"),
    ("$percent = \"5\"", "2:11", "cannot be a string: write a number"),
    ("$percent = nan", "2:11", "between 0 and 100"),
    ("$steps = []", "2:9", "no step"),
    ("$steps = [0, 5]", "2:10", "a step of 0"),
    ("$steps = [5, 5]", "2:13", "5 does not rise above 5"),
    ("$steps = [5, 1, 7]", "2:13", "1 does not rise above 5"),
    ("$steps = [5, 101]", "2:13", "between 0 and 100"),
    ("$steps = [5, 50]\napprove = [10]", "3:12", "10 is not one of the steps"),
    ("$approve = [0]", "2:12", "warning: `a.approve[0]`: 0 percent"),
    ("$steps = [5, 100]\nbake = [\"5m\"]", "3:8", "a list of 1 for 2 steps"),
    ("$bake = 300", "2:8", "a duration is a string with a unit"),
    ("$bake = [\"5m\", \"x\"]\nsteps = [1, 100]", "2:15", "`x` is no duration"),
    ("$confidence = 99", "2:14", "such as 0.99"),
    ("$margin = 1", "2:10", "out of range"),
    ("$tolerance = 0.95", "2:13", "below the SLO"),
    ("$min_samples = 0", "2:15", "at least 1"),
    ("$judge = \"v2\"", "2:9", "did you mean `v1`?"),
    ("$start_risk = 0", "2:14", "above 0"),
    ("$coverage = 1.1", "2:12", "from 0 to 1"),
    ("$false_rollback_every = \"5m\"", "2:24", "at least \"1h\""),
    ("$stale_after = \"0s\"", "2:15", "zero"),
    ("$blip = \"-1s\"", "2:8", "is no duration"),
    ("$sample = 0", "1:2", "warning: `a`: nothing is shadowed"),
    ("$shadow_methods = [\"get\"]", "2:19", "write \"GET\""),
    ("$shadow_methods = \"*\"", "2:18", "or [\"*\"] for all"),
    ("$key = []", "2:7", "no key"),
    ("$key = [\"client_ip\"]", "2:8", "write \"header:NAME\""),
    ("$key = [\"header:a b\"]", "2:8", "is no place of a key"),
    ("$key = [\"cookie:s\"]", "1:2", "warning: `a`: `key` lacks \"client-ip\""),
    ("$key = [\"client-ip\", \"cookie:s\"]", "1:2", "warning: `a`: what follows \"client-ip\""),
    ("$force_v2 = {}", "2:1", "`a.force_v2`: `header` is missing"),
    ("$force_v2 = { header = { a = true } }", "2:29", "a string, a list of strings, or \"*\""),
    ("$rollback_to = \"none\"", "2:15", "possible: `zero`, `previous`"),
    ("$mode = \"observed\"", "2:8", "did you mean `observe`?"),
    ("$freeze = [{ from = 2026-11-27T00:00:00Z }]", "2:11", "`to` is missing"),
    ("$freeze = [{ from = 2026-11-27T00:00:00, to = 2999-12-01T00:00:00Z }]", "2:20", "is no instant"),
    ("$freeze = [{ from = \"2026-11-27\", to = 2999-12-01T00:00:00Z }]", "2:20", "without quotes"),
    ("$freeze = [{ from = 2999-12-02T00:00:00Z, to = 2999-12-01T00:00:00Z }]", "2:47", "ends before it begins"),
    (
        "$freeze = [{ from = 2025-11-27T00:00:00Z, to = 2025-12-01T00:00:00Z }]",
        "2:11",
        "warning: `a.freeze[0]`: this window is over",
    ),
    ("a = { stage = \"cutover\", slo = 0.9, percent = 100 }", "1:1", "warning: `a`: a single step"),
    (
        "a = { stage = \"cutover\", slo = 0.9, percent = 5, rescue = true, sample = 50 }",
        "1:1",
        "warning: `a`: `rescue` works",
    ),
    ("change = { commited_at = 2026-11-20T08:00:00Z }", "1:12", "did you mean `committed_at`?"),
    ("no_v1 = { stage = \"shadow\", slo = 0.9 }", "1:19", "stage `shadow` needs V1"),
];

const TWO: &str = "listen = [\"127.0.0.1:8080\"]\n\
    [dependency.a]\nv1.url = \"http://a\"\nv2.url = \"http://b\"\n\
    [dependency.no_v1]\nmatch.host = \"b\"\nv2.url = \"http://b\"\n";

#[test]
fn every_mistake_in_a_rollout_is_found_at_its_place() {
    let deployment = parse_deployment(TWO, Path::new("crossfade.toml")).expect("valid");
    for (template, place, part) in BAD_ROLLOUTS {
        let mut source = template.replace('$', "[a] # a valid beginning\n");
        if template.starts_with('$') {
            source += "\nstage = \"shadow\"\nslo = 0.95";
        }
        if !template.starts_with("no_v1") {
            source = format!("{source}\n[no_v1]\nstage = \"complete\"");
        }
        let (value, problems) = check_rollouts(&source, Path::new("rollout.toml"), Some(&deployment));
        one_problem(&source, &problems, place, part);
        assert_eq!(value.is_none(), problems.has_errors(), "{source}");
    }
}

#[test]
fn a_dependency_without_v1_needs_an_entry() {
    let deployment = parse_deployment(TWO, Path::new("crossfade.toml")).expect("valid");
    let (_, problems) = check_rollouts("", Path::new("rollout.toml"), Some(&deployment));
    one_problem("", &problems, "1:1", "add [no_v1] with stage = \"complete\"");
}
