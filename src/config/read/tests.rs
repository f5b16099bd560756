use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{HeaderSource, HostPolicy, KeySource, OTHER, Route};
use crate::percent::Percent;
use crate::stage::Stage;

mod hostile;
mod mistakes;
mod telling;

const CROSSFADE: &str = include_str!("../../../config/crossfade.toml");
const ROLLOUT: &str = include_str!("../../../config/rollout.toml");

fn deployment() -> Deployment {
    parse_deployment(CROSSFADE, Path::new("config/crossfade.toml")).expect("the example is valid")
}

#[test]
fn the_examples_are_valid_and_without_warnings() {
    let (deployment, problems) = check_deployment(CROSSFADE, Path::new("config/crossfade.toml"));
    assert!(problems.is_empty(), "{problems}");
    let deployment = deployment.expect("no problem");
    assert_eq!(deployment.rollout, Path::new("config/rollout.toml"));
    let (rollouts, problems) = check_rollouts(ROLLOUT, Path::new("config/rollout.toml"), Some(&deployment));
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(rollouts.expect("no problem").entries["recommendations"].stage, Stage::Shadow);
}

#[test]
fn every_dependency_ends_with_the_implied_route() {
    let routes = &deployment().dependencies[0].routes;
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[1].name, OTHER);
}

#[test]
fn a_route_adds_to_how_its_dependency_wants_answers_compared() {
    let source = "listen = [\"127.0.0.1:0\"]\n[dependency.a]\nv2.url = \"http://b\"\n\
        diff = { noise = 2, tolerance = 0.01, ids = { \"/items\" = \"/id\", \"/tags\" = \"/t\" }, \
        ignore = [{ path = \"/at\", until = 2027-01-31, reason = \"a clock\" }] }\n\
        [[dependency.a.route]]\nname = \"list\"\n\
        diff = { noise = 0, ids = { \"/items\" = \"/sku\" }, \
        ignore = [{ path = \"/took\", until = 2027-02-28, reason = \"a stopwatch\" }] }\n";
    let deployment = parse_deployment(source, Path::new("crossfade.toml")).expect("valid");
    let [list, other] = &deployment.dependencies[0].routes[..] else { panic!("two routes") };
    assert_eq!((list.diff.noise, other.diff.noise), (Percent::ZERO, Percent::from_whole(2)));
    let told = |route: &Route| {
        let options = &route.diff.options;
        let ids: Vec<_> = options.ids.iter().map(|it| format!("{} {}", it.at, it.id)).collect();
        let ignored: Vec<_> = options.ignore.iter().map(|it| format!("{} {}", it.path, it.until)).collect();
        (ids, ignored, options.tolerance.relative.to_string())
    };
    let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (ids, ignored) = (strings(&["/tags /t", "/items /sku"]), strings(&["/at 2027-01-31", "/took 2027-02-28"]));
    assert_eq!(told(list), (ids, ignored, "0.01".to_owned()));
    assert_eq!(told(other).1, strings(&["/at 2027-01-31"]));
    let other =
        parse_deployment(&source.replace("noise = 0", "noise = 9"), Path::new("crossfade.toml")).expect("valid");
    let same = deployment.dependencies[0].differs_in_secrets_only(&other.dependencies[0]);
    assert!(same, "how answers are compared is nothing to the gate");
}

#[test]
fn a_minimal_entry_gets_every_default() {
    let source = "[recommendations]\nstage = \"cutover\"\npercent = 2.5\nslo = 0.9\n";
    let rollouts = parse_rollouts(source, Path::new("rollout.toml"), Some(&deployment())).expect("valid");
    let rollout = &rollouts.entries["recommendations"];
    assert_eq!(rollout.steps, [rollout.ceiling]);
    assert_eq!(rollout.bake, [Duration::from_secs(300)]);
    assert_eq!(rollout.sample, Percent::HUNDRED);
    assert_eq!(rollout.key.last(), Some(&KeySource::ClientIp));
    let params = rollout.params.as_ref().expect("cutover is judged");
    assert!((params.tolerance - 0.02).abs() < 1e-12);
    assert!((params.deadline_s - 0.8).abs() < 1e-12, "V2's timeout");
}

#[test]
fn clustering_is_measured_unless_somebody_turns_it_off() {
    let measured = |line: &str| {
        let source = format!("[recommendations]\nstage = \"shadow\"\nslo = 0.95\n{line}\n");
        let rollouts = parse_rollouts(&source, Path::new("rollout.toml"), Some(&deployment())).expect("valid");
        rollouts.entries["recommendations"].params.as_ref().expect("shadow is judged").overdispersion
    };
    assert!(measured(""));
    assert!(measured("overdispersion = \"auto\""));
    assert!(!measured("overdispersion = \"off\""));
}

/// A valid file stands for `$`; at the end of a template, below its lines; at the start, above them, so that they
/// belong to the dependency `a` and begin at line 4.
fn with_the_rest(template: &str) -> String {
    let rest = "listen = [\"127.0.0.1:8080\"]\n[dependency.a]\nv2.url = \"http://b\"\n";
    template.replace('$', rest)
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("key"), "s3cret\r\n").expect("writable");
    let source = with_the_rest(
        "$v1 = { url = \"http://[::1]/base/\", host = \"preserve\", request = { set = { x-api-key = { file = \"key\" } } } }",
    );
    let deployment = parse_deployment(&source, &folder.path().join("crossfade.toml")).expect("valid");
    let v1 = deployment.dependencies[0].v1.as_ref().expect("written");
    let (_, header @ HeaderSource::File { .. }) = &v1.request.set[0] else {
        panic!("not from a file: {v1:?}");
    };
    assert_eq!(header.value(), "s3cret");
    assert!(header.value().is_sensitive());
    assert!(!format!("{deployment:?}").contains("s3cret"));
    let endpoint = &v1.endpoints[0];
    assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.base_path.as_str()), ("::1", 80, "/base"));
    assert_eq!(v1.host, HostPolicy::Preserve);
}

#[test]
fn a_secret_that_no_header_may_hold_is_not_shown_either() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("key"), "s3cret\nsecond line\n").expect("writable");
    let source = with_the_rest("$v1 = { url = \"http://a\", request = { set = { k = { file = \"key\" } } } }");
    let problems = parse_deployment(&source, &folder.path().join("crossfade.toml")).expect_err("two lines");
    assert!(problems.to_string().contains("holds what no header may hold"), "{problems}");
    assert!(!problems.render(false).contains("s3cret"));
}

#[test]
fn steps_above_the_ceiling_are_cut_and_the_ceiling_is_the_last() {
    let ladder = |percent: f64| {
        let source = format!(
            "a = {{ stage = \"cutover\", slo = 0.9, percent = {percent}, steps = [1, 5, 25, 50], approve = [25, 50], bake = [\"1m\", \"2m\", \"3m\", \"4m\"{}] }}",
            if percent > 50.0 { ", \"5m\"" } else { "" }
        );
        let rollouts = parse_rollouts(&source, Path::new("rollout.toml"), None).expect("valid");
        let rollout = &rollouts.entries["a"];
        let numbers = |percents: &[Percent]| percents.iter().map(|percent| percent.as_f64()).collect::<Vec<_>>();
        let minutes: Vec<_> = rollout.bake.iter().map(|bake| bake.as_secs() / 60).collect();
        (numbers(&rollout.steps), minutes, numbers(&rollout.approve))
    };
    assert_eq!(ladder(50.0), (vec![1.0, 5.0, 25.0, 50.0], vec![1, 2, 3, 4], vec![25.0, 50.0]));
    assert_eq!(ladder(10.0), (vec![1.0, 5.0, 10.0], vec![1, 2, 3], vec![]));
    assert_eq!(ladder(100.0), (vec![1.0, 5.0, 25.0, 50.0, 100.0], vec![1, 2, 3, 4, 5], vec![25.0, 50.0]));
    assert_eq!(ladder(0.0), (vec![0.0], vec![1], vec![]));
}

#[test]
fn the_last_of_several_steps_bakes_for_a_day() {
    let source = "a = { stage = \"cutover\", slo = 0.9, percent = 50, steps = [1, 50] }";
    let rollouts = parse_rollouts(source, Path::new("rollout.toml"), None).expect("valid");
    assert_eq!(rollouts.entries["a"].bake, [Duration::from_secs(300), Duration::from_secs(86_400)]);
}

#[test]
fn the_hash_of_an_entry_sees_its_content_alone() {
    let hash = |source: &str| {
        let rollouts = parse_rollouts(source, Path::new("rollout.toml"), None).expect("valid");
        rollouts.entries["a"].hash
    };
    let first = hash("[a]\nstage = \"shadow\"\nslo = 0.9 # why\n[b]\nstage = \"off\"\n");
    assert_eq!(first, hash("a = { slo = 0.9, stage = 'shadow' }"));
    assert_ne!(first, hash("a = { slo = 0.91, stage = 'shadow' }"));
}

#[test]
fn the_kind_of_a_file_shows_in_its_keys() {
    let kind = |source| FileKind::of(source, Path::new("x.toml"));
    assert_eq!(kind(CROSSFADE), FileKind::Deployment);
    assert_eq!(kind(ROLLOUT), FileKind::Rollouts);
    assert_eq!(kind("[dependency.a"), FileKind::Deployment);
    assert_eq!(kind("[a]\nstage = 1"), FileKind::Rollouts);
    assert_eq!(FileKind::of("", Path::new("crossfade.toml")), FileKind::Deployment);
}
