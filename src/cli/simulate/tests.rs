use super::*;

fn simulate(lines: &[&str]) -> (Vec<serde_json::Value>, Result<(), SimulateError>) {
    let mut output = Vec::new();
    let result = run(lines.join("\n").as_bytes(), &mut output);
    let text = String::from_utf8(output).expect("verdicts are UTF-8");
    let verdicts = text.lines().map(|line| serde_json::from_str(line).expect("a verdict is JSON")).collect();
    (verdicts, result)
}

#[track_caller]
fn refused(lines: &[&str]) -> String {
    let (_, result) = simulate(lines);
    result.expect_err("a malformed line").to_string()
}

const CONFIG: &str = r#"{"k":"config","run":"r1","slo":0.95}"#;

#[test]
fn promotes_once_and_repeats_it_at_the_end() {
    let (verdicts, result) = simulate(&[
        CONFIG,
        r#"{"t":0.05,"b":"v2","o":"rich","n":990}"#,
        r#"{"t":0.06,"b":"v2","o":"fallback","n":10}"#,
        r#"{"k":"tick","t":0.1}"#,
        r#"{"t":0.15,"b":"v2","o":"fallback","n":1000}"#,
        r#"{"k":"end","t":9}"#,
    ]);
    assert!(result.is_ok());
    let told: Vec<_> = verdicts.iter().map(|it| (it["d"].as_str(), it["t"].as_f64(), it["final"].as_bool())).collect();
    let expected = [
        (Some("insufficient"), Some(0.0), None),
        (Some("promote"), Some(0.1), None),
        (Some("promote"), Some(0.1), Some(true)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_line_is_preceded_by_every_boundary_up_to_its_time_and_by_none_after() {
    let (verdicts, _) = simulate(&[
        CONFIG,
        r#"{"t":0.25,"b":"v2","o":"rich","n":50}"#,
        r#"{"t":0.3,"b":"v2","o":"rich","n":50}"#,
        r#"{"k":"end","t":0.39}"#,
    ]);
    let told: Vec<_> = verdicts.iter().map(|it| (it["t"].as_f64(), it["n"].as_u64())).collect();
    assert_eq!(told, [(Some(0.2), Some(0)), (Some(0.3), Some(50)), (Some(0.39), Some(50))]);
}

#[test]
fn runs_are_independent() {
    let one = [CONFIG, r#"{"t":0.05,"b":"v2","o":"fallback","n":900}"#, r#"{"k":"end","t":1}"#];
    let (alone, _) = simulate(&one);
    let (twice, _) = simulate(&[one, one].concat());
    assert_eq!(twice, [alone.clone(), alone].concat());
}

#[test]
fn names_the_route_that_decided() {
    let (verdicts, _) = simulate(&[
        r#"{"k":"config","run":"r","route_names":["/a","/b"]}"#,
        r#"{"t":0.05,"b":"v2","o":"rich","n":900,"r":"/a"}"#,
        r#"{"t":0.05,"b":"v2","o":"fallback","n":90,"r":"/b"}"#,
        r#"{"k":"end","t":1}"#,
    ]);
    let last = verdicts.last().expect("a final line");
    assert_eq!((last["d"].as_str(), last["r"].as_str()), (Some("rollback"), Some("/b")));
}

#[test]
fn an_answer_after_the_deadline_is_a_fallback() {
    let (verdicts, _) = simulate(&[
        r#"{"k":"config","run":"r","deadline_s":1.0}"#,
        r#"{"t":0.05,"b":"v2","o":"start","n":2}"#,
        r#"{"t":1.0,"b":"v2","o":"rich","s":0.05}"#,
        r#"{"t":1.06,"b":"v2","o":"rich","s":0.05}"#,
        r#"{"k":"end","t":3}"#,
    ]);
    let last = verdicts.last().expect("a final line");
    assert_eq!((last["n"].as_u64(), last["rich"].as_u64()), (Some(2), Some(1)));
}

#[test]
fn excluded_requests_are_neither_rich_nor_pending() {
    let (verdicts, _) = simulate(&[
        CONFIG,
        r#"{"t":0.05,"b":"v2","o":"start","n":2}"#,
        r#"{"t":0.06,"b":"v2","o":"excluded","s":0.05}"#,
        r#"{"t":0.06,"b":"v2","o":"rich","s":0.05}"#,
        r#"{"k":"end","t":9}"#,
    ]);
    let last = verdicts.last().expect("a final line");
    assert_eq!((last["n"].as_u64(), last["rich"].as_u64(), last["pending"].as_u64()), (Some(1), Some(1), Some(0)));
}

#[test]
fn malformed_lines_are_refused_with_their_number_and_the_reason() {
    for (line, reason) in [
        ("{", "EOF while parsing an object"),
        ("[]", "a line is a JSON object"),
        (r#"{"b":"v2","o":"rich"}"#, "`t` is missing"),
        (r#"{"t":-1,"b":"v2","o":"rich"}"#, "`t` must lie between"),
        (r#"{"t":1e999,"b":"v2","o":"rich"}"#, "number out of range"),
        (r#"{"t":1,"b":"v3","o":"rich"}"#, "is no observation"),
        (r#"{"t":1,"b":"v2","o":"rich","p":"maybe"}"#, "neither rich nor fallback"),
        (r#"{"t":1,"b":"v2","o":"rich","n":-1}"#, "invalid value"),
        (r#"{"t":1,"b":"v2","o":"rich","n":9007199254740993}"#, "`n` is more than"),
        (r#"{"t":1,"b":"v2","o":"rich","s":2}"#, "`s` is 2"),
        (r#"{"t":1,"b":"v2","o":"rich","r":"/x"}"#, "not in `route_names`"),
        (r#"{"k":"stop","t":1}"#, "none of config, tick, step, reset, end"),
        (r#"{"k":"step","t":1}"#, "`step` is missing"),
        (r#"{"k":"config","slo":1.5}"#, "`slo` must be between 0.000001 and 0.999999"),
        (r#"{"k":"config","sloo":0.5}"#, "unknown field `sloo`"),
    ] {
        let error = refused(&[CONFIG, "", line]);
        assert!(error.starts_with("line 3: ") && error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn time_never_runs_backwards_and_nothing_comes_without_a_run() {
    assert!(refused(&[CONFIG, r#"{"k":"tick","t":2}"#, r#"{"k":"tick","t":1}"#]).starts_with("line 3: `t` is 1"));
    assert!(refused(&[r#"{"k":"tick","t":2}"#]).starts_with("line 1: no run"));
    assert!(refused(&[CONFIG, r#"{"k":"end","t":2}"#, r#"{"k":"tick","t":3}"#]).starts_with("line 3: no run"));
}

#[test]
fn a_thousand_years_of_silence_take_no_time_and_decide_nothing() {
    let (verdicts, _) = simulate(&[
        r#"{"k":"config","run":"r","stop":"never","bake_s":600}"#,
        r#"{"t":0.05,"b":"v2","o":"rich","n":1000}"#,
        r#"{"k":"end","t":31536000000}"#,
    ]);
    let told: Vec<_> = verdicts.iter().map(|it| (it["t"].as_f64(), it["why"].as_str())).collect();
    let (bake, silence) = ((Some(0.1), Some("bake")), (Some(30.1), Some("no_data")));
    assert_eq!(told, [(Some(0.0), Some("no_data")), bake, silence, (Some(31_536_000_000.0), Some("no_data"))]);
}

#[test]
fn a_trillion_requests_at_once_are_counted_and_keep_their_shares() {
    let start = r#"{"t":0.05,"b":"v2","o":"start","n":1000000000000}"#;
    let [rich, fallback] = [r#""o":"rich","n":970000000000"#, r#""o":"fallback","n":30000000000"#];
    for (began, t, s) in [(r#"{"k":"tick","t":0.05}"#, "0.05", ""), (start, "0.15", r#","s":0.05"#)] {
        let [rich, fallback] = [rich, fallback].map(|it| format!(r#"{{"t":{t},"b":"v2",{it}{s}}}"#));
        let (verdicts, result) = simulate(&[CONFIG, began, &rich, &fallback, r#"{"k":"end","t":9}"#]);
        assert!(result.is_ok());
        let last = verdicts.last().expect("a final line");
        let of_v2 = (last["d"].as_str(), last["n"].as_u64(), last["rich"].as_u64());
        assert_eq!(of_v2, (Some("promote"), Some(1_000_000_000_000), Some(970_000_000_000)), "{last}");
    }
}

#[test]
fn v1_is_watched_against_its_level_from_before_v2_was_heard_of() {
    for (v1_fallbacks, why) in [(10, "confident"), (80, "mirror_hurts_v1")] {
        let v1 = |n: u32| format!(r#""b":"v1","o":"rich","n":{}}}"#, 1000 - n);
        let mut lines = vec![r#"{"k":"config","run":"r","slo":0.9,"stop":"never"}"#.to_owned()];
        for (t, fallbacks, has_v2) in [(1, 10, false), (2, v1_fallbacks, true), (3, v1_fallbacks, true)] {
            if has_v2 {
                lines.push(format!(r#"{{"t":{t},"b":"v2","o":"rich","n":200}}"#));
            }
            lines.push(format!(r#"{{"t":{t},{}"#, v1(fallbacks)));
            lines.push(format!(r#"{{"t":{t},"b":"v1","o":"fallback","n":{fallbacks}}}"#));
        }
        lines.push(r#"{"k":"end","t":4}"#.to_owned());
        let (verdicts, _) = simulate(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(verdicts.last().and_then(|it| it["why"].as_str()), Some(why));
    }
}

#[test]
fn the_time_of_day_falls_on_the_same_boundaries_as_small_times() {
    // 1 795 176 000.3 s are a little less than 17 951 760 003 ticks, as doubles go.
    let (verdicts, _) = simulate(&[
        CONFIG,
        r#"{"t":1795176000.25,"b":"v2","o":"rich","n":50}"#,
        r#"{"k":"tick","t":1795176000.3}"#,
        r#"{"k":"end","t":1795176000.3}"#,
    ]);
    let told: Vec<_> = verdicts.iter().map(|it| (it["t"].as_f64(), it["n"].as_u64())).collect();
    let [t0, t1] = [Some(1_795_176_000.2), Some(1_795_176_000.3)];
    assert_eq!(told, [(t0, Some(0)), (t1, Some(50)), (t1, Some(50))]);
}
