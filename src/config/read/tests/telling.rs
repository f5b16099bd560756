//! How problems are told to logs and to people.

use super::*;

#[test]
fn every_problem_of_a_file_is_told_in_one_pass() {
    let source =
        "listen = [\"nowhere\"]\nworker = 1\nlimits.max_in_flight = 0 oops\n[dependency.a]\nv1.url = 3\nv2.urls = []\n";
    let (_, problems) = check_deployment(source, Path::new("crossfade.toml"));
    let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(1, 11), (2, 1), (3, 24), (5, 10), (6, 11)], "{problems}");
}

#[test]
fn columns_count_characters() {
    let source = "[a]\nsalt = \"aé漢\"; stage = 1\nstage = { 'é' = 1, x = }";
    let (_, problems) = check_rollouts(source, Path::new("rollout.toml"), None);
    let first = problems.iter().next().expect("`;` is not TOML");
    assert_eq!((first.line, first.column), (2, 13), "{problems}");
}

#[test]
fn logs_get_one_line_for_each_problem() {
    let (_, problems) = check_rollouts("[a]\nstage = 1\nslow = 2\n", Path::new("etc/rollout.toml"), None);
    let expected = "etc/rollout.toml:2:9: `a.stage` cannot be an integer: write one of `off`, `shadow`, `cutover`, `complete`\n\
                    etc/rollout.toml:3:1: `a.slow` is not a known key: did you mean `slo`?";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn people_get_the_line_a_caret_and_the_nearest_key() {
    let source =
        "[recommendations]\nstage = \"cutover\"\nslo = 95\nstpes = [1, 5, 25]\npercent = 25\nbake = \"10 minuts\"\n";
    let (_, problems) = check_rollouts(source, Path::new("rollout.toml"), None);
    let expected = r#"error: `recommendations.slo`: 95 is out of range
 --> rollout.toml:3:7
  |
3 | slo = 95
  |       ^^ write a fraction between 0 and 1, such as 0.95

error: `recommendations.stpes` is not a known key
 --> rollout.toml:4:1
  |
4 | stpes = [1, 5, 25]
  | ^^^^^ did you mean `steps`?

error: `recommendations.bake`: `10 minuts` is no duration: unknown time unit "minuts", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)
 --> rollout.toml:6:8
  |
6 | bake = "10 minuts"
  |        ^^^^^^^^^^^ a duration is a string with a unit, such as "250ms", "5s", "10m" or "1h 30m"
"#;
    assert_eq!(problems.render(false), expected);
    assert!(problems.render(true).contains("\u{1b}["), "colour when it is asked for");
}
