use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{KeySource, OTHER};
use crate::percent::Percent;
use crate::stage::Stage;

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
    assert_eq!(
        rollouts.expect("no problem").entries["recommendations"].stage,
        Stage::Shadow
    );
}

#[test]
fn every_dependency_ends_with_the_implied_route() {
    let routes = &deployment().dependencies[0].routes;
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[1].name, OTHER);
}

#[test]
fn a_minimal_entry_gets_every_default() {
    let source = "[recommendations]\nstage = \"cutover\"\npercent = 2.5\nslo = 0.9\n";
    let rollouts = parse_rollouts(source, Path::new("rollout.toml"), Some(&deployment())).expect("valid");
    let rollout = &rollouts.entries["recommendations"];
    assert_eq!(rollout.steps, [rollout.ceiling]);
    assert_eq!(rollout.bake, [Duration::from_secs(300)]);
    assert_eq!(rollout.sample, Percent::HUNDRED);
    assert_eq!(rollout.key, [KeySource::ClientIp]);
    let params = rollout.params.as_ref().expect("cutover is judged");
    assert!((params.tolerance - 0.02).abs() < 1e-12);
    assert!((params.deadline_s - 0.8).abs() < 1e-12, "V2's timeout");
}
