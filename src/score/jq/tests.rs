use serde_json::json;

use super::*;

/// In a thread with the stack that programs want.
fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, work).expect("a thread").join().expect("no panic")
    })
}

fn program(text: &str) -> Program {
    Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn run(text: &str, input: Value) -> Result<Value, JqFault> {
    let program = program(text);
    with_stack(|| program.run(input))
}

fn refused(text: &str) -> (&str, String) {
    let error = Program::compile(text).expect_err(text);
    (&text[error.span], error.message)
}

#[test]
fn means_what_jq_means() {
    let input = json!({"a": [3, 1, 2], "s": "x,y", "o": {"k": null, "l": 2.5}, "e": [], "n": "12"});
    for (text, expected) in [
        (".", input.clone()),
        (".a | length > 2", json!(true)),
        ("[.a[] | . * 2]", json!([6, 2, 4])),
        (".a | map(select(. > 1)) | add", json!(5)),
        (".a | sort | reverse", json!([3, 2, 1])),
        ("{id: .a[0], name: \"n-\\(.s)\"}", json!({"id": 3, "name": "n-x,y"})),
        ("{a} | .a[1:]", json!([1, 2])),
        (".o | to_entries | map(.key) | join(\"-\")", json!("k-l")),
        (".o | with_entries(select(.value != null))", json!({"l": 2.5})),
        ("[.. | numbers] | add", json!(8.5)),
        ("[recurse | numbers] | length", json!(4)),
        (".s / \",\"", json!(["x", "y"])),
        (".o.x // .o.l", json!(2.5)),
        ("try error(\"x\") // 1", json!(1)),
        ("[.s.x?, (.s | tonumber)?, 7]", json!([7])),
        (".a as [$x, $y] | $x - $y", json!(2)),
        (". as {s: $s, o: {l: $l}} | [$s, $l]", json!(["x,y", 2.5])),
        ("if .e == [] then \"none\" elif .x then 1 else 2 end", json!("none")),
        ("del(.a, .o, .e, .n)", json!({"s": "x,y"})),
        (".a[1] += 5 | .a", json!([3, 6, 2])),
        (".a |= map(. + 1) | .a", json!([4, 2, 3])),
        ("(.a[] | select(. > 2)) = 0 | .a", json!([0, 1, 2])),
        (".o * {l: {m: 1}} | .l", json!({"m": 1})),
        ("[.a[] * 2, -.a[0]] | min", json!(-3)),
        ("any(.a[]; . == 2) and all(.a[]; . > 0)", json!(true)),
        ("(.n | tonumber) + 1", json!(13)),
        (".a | contains([1, 2])", json!(true)),
        ("\"l\" | in({\"l\": 1})", json!(true)),
        ("[{k: 1, v: 2}, {k: 1, v: 3}] | group_by(.k) | map(map(.v) | add)", json!([5])),
        ("\"[1,{\\\"a\\\":2}]\" | fromjson | .[1].a", json!(2)),
        (".o | tojson", json!("{\"k\":null,\"l\":2.5}")),
        ("walk(if type == \"number\" then . + 1 else . end) | .o.l", json!(3.5)),
        ("[[1, [2]], 3] | flatten", json!([1, 2, 3])),
        (".o[\"k\", \"l\"] | select(.)", json!(2.5)),
        ("first(.a[] | select(. < 3))", json!(1)),
        (".a == [3, 1, 2] and (.a != [3]) and (.s | startswith(\"x\"))", json!(true)),
        ("# a comment\n.a[0]", json!(3)),
    ] {
        assert_eq!(run(text, input.clone()), Ok(expected), "{text}");
    }
}

#[test]
fn exactly_one_output_is_wanted() {
    assert_eq!(run("empty", json!(1)), Err(JqFault::NoOutput));
    assert_eq!(run(".[]", json!([])), Err(JqFault::NoOutput));
    assert_eq!(run("1, 2", json!(1)), Err(JqFault::SeveralOutputs));
    assert_eq!(run("1, error", json!(1)), Err(JqFault::SeveralOutputs));
    assert_eq!(run(".a", json!([])), Err(JqFault::Failed));
    assert_eq!(run("error(\"no\")", json!([])), Err(JqFault::Failed));
}

#[test]
fn everything_is_true_but_false_and_null() {
    for (input, expected) in
        [("false", false), ("null", false), ("true", true), ("0", true), ("\"\"", true), ("[]", true)]
    {
        assert_eq!(with_stack(|| program(".").is_true_of(input.as_bytes())), Ok(expected), "{input}");
        assert_eq!(with_stack(|| program(".").is_true(serde_json::from_str(input).expect("JSON"))), Ok(expected));
    }
    assert_eq!(with_stack(|| program(".").is_true_of(b"{")), Err(JqFault::NotJson));
}

#[test]
fn numbers_survive_as_far_as_json_has_them() {
    for number in ["0", "-1", "9223372036854775807", "18446744073709551615", "0.5", "1e300", "-9223372036854775808"] {
        let value: Value = serde_json::from_str(number).expect("a number");
        assert_eq!(run(".", value.clone()), Ok(value), "{number}");
    }
    assert_eq!(run("9223372036854775807 + 1", json!(0)), Ok(json!(9_223_372_036_854_775_808_u64)));
    assert_eq!(run("1 / 0", json!(0)), Ok(Value::Null), "JSON has no infinity");
    assert_eq!(run("{(1): 2}", json!(0)), Err(JqFault::Failed), "JSON has no such key");
}

#[test]
fn refuses_what_is_not_in_the_profile_with_its_place() {
    for (text, part) in [
        ("def f: 1; f", "f"),
        ("reduce .[] as $x (0; . + $x)", "reduce"),
        (".a | foreach .[] as $x (0; 1)", "foreach"),
        ("label $out | 1", "$out"),
        ("break $out", "$out"),
        ("range(10)", "range"),
        ("[limit(3; .[])]", "limit"),
        ("[repeat(1)]", "repeat"),
        ("[.[] | while(true; .)]", "while"),
        ("until(false; .)", "until"),
        ("recurse(.a)", "recurse"),
        ("recurse(.a; true)", "recurse"),
        ("env.HOME", "env"),
        ("$ENV.HOME", "$ENV"),
        ("halt", "halt"),
        ("halt_error", "halt_error"),
        ("input", "input"),
        ("[inputs]", "inputs"),
        ("debug", "debug"),
        (". | stderr", "stderr"),
        ("now", "now"),
        ("localtime", "localtime"),
        ("input_line_number", "input_line_number"),
        ("test(\"a+\")", "test"),
        ("getpath([\"a\"])", "getpath"),
        ("setpath([\"a\"]; 1)", "setpath"),
        ("[paths]", "paths"),
        ("combinations", "combinations"),
        ("[splits(\",\")]", "splits"),
        ("@sh", "@sh"),
        ("@base64 \"\\(.a)\"", "@base64"),
        ("try .a catch .", "catch"),
        ("try .a catch 0", "catch"),
        ("select(.a; .b)", "select"),
        ("error_empty", "error_empty"),
        ("crossfade_main", "crossfade_main"),
        ("{a: [.b | {(env): 1}]}", "env"),
        ("\"\\(env)\"", "env"),
        (".[env]", "env"),
        (".[env:]", "env"),
        (". as {(env): $x} | $x", "env"),
        ("if env then 1 else 2 end", "env"),
        ("env?", "env"),
        ("$x", "$x"),
        (". as $x | $y", "$y"),
    ] {
        assert_eq!(refused(text).0, part, "{text}");
    }
}

#[test]
fn says_where_a_text_is_not_jq() {
    for (text, at) in [
        ("", 0..0),
        (".a | ", 5..5),
        (".a )", 3..4),
        ("[.a", 3..3),
        ("\"abc", 4..4),
        (".a ++ 1", 3..5),
        (".ä", 1..3),
        ("if . then 1", 11..11),
        ("\"\\q\"", 2..3),
        ("import \"a\" as a; .", 7..10),
        ("{(.a)}", 5..6),
    ] {
        let error = Program::compile(text).expect_err(text);
        assert_eq!(error.span, at, "{text}: {error:?}");
        assert!(!error.message.is_empty() && !error.help.is_empty());
    }
    let nested = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(Program::compile(&nested).expect_err("deep").span, 64..65);
    assert!(Program::compile(&" ".repeat(4097)).is_err());
}

/// The longest programs of each shape that nests without brackets.
#[test]
fn programs_that_nest_without_brackets_take_no_more_than_their_stack() {
    let shapes: [(&str, &str, &str, usize); 9] = [
        ("-", "1", "", 1),
        (". | ", ".", "", 2),
        ("1 + ", "1", "", 2),
        (". as $x | ", "1", "", 4),
        ("try ", "1", "", 1),
        ("if 1 then ", "1", " end", 4),
        ("1 // ", "1", "", 2),
        ("", ".", "?", 1),
        (".[0] |= ", "1", "", 5),
    ];
    let mut compiled = 0;
    for (before, core, after, tokens) in shapes {
        let times = ((MAX_TEXT - core.len()) / (before.len() + after.len())).min((MAX_TOKENS - 10) / tokens);
        let text = format!("{}{core}{}", before.repeat(times), after.repeat(times));
        let program = Program::compile(&text);
        if let Ok(program) = program {
            compiled += 1;
            let _ = with_stack(|| program.run(json!([])));
        }
    }
    assert!(compiled >= 7, "{compiled}");
}

/// Programs that would take for ever, or all memory; each has to end, and soon.
#[test]
fn hostile_programs_run_out_of_fuel() {
    let big: Value = (0..2_000).map(|n| json!({"id": n, "s": "x".repeat(20)})).collect();
    let long = json!({"s": "x".repeat(1 << 18), "l": vec![1; 10_000]});
    let mut programs: Vec<(String, &Value)> = [
        "[.[] as $a | .[] as $b | .[] as $c | 1] | length",
        "first(.[] as $a | .[] as $b | .[] as $c | select(false))",
        "[.[] | [.. | ..]] | length > [.[] as $x | .[]]",
        "any(.[]; . as $x | any(.[]; false)) or any(.[] as $x | .[] as $y | .[] as $z | false; .)",
        "[{a: .[], b: .[], c: .[]}]",
        "[[.[], .[]] | .[] as $x | .[]]",
        ". as $r | [.[] | $r | .[0].id = 1]",
        ". as $r | [.[] | $r | map_values(.id)]",
        ". as $r | map($r | tojson)",
        ". as $r | map($r == $r)",
        ". as $r | map($r | sort)",
        ". as $r | first(.[] | $r[] as $x | $r[] | select(false))",
        ". as $r | first(.[] | $r[1:] | select(false))",
        "[.[].id] as $ids | $ids | contains($ids)",
    ]
    .map(|text| (text.to_owned(), &big))
    .into();
    programs.extend(
        [
            ". as $r | [.l[] | $r.s + \"x\"] | length",
            ". as $r | first(.l[] | $r.s + \"x\" | select(false))",
            ". as $r | [.l[] | \"\\($r.s)x\"] | length",
            ". as $r | .l | map(\"a\") | .[] += $r.s | length",
            ". as $r | .l | map(tostring) | join($r.s) | length",
            ". as $r | [.l[] | $r.s / \"\"] | length",
            ". as $r | [.l[] | ($r.s | ascii_upcase)] | length",
            ".s as $s | .l | map($s) | add | length",
            "[.l[] as $x | .l[] | . + $x] | length",
        ]
        .map(|text| (text.to_owned(), &long)),
    );
    programs.push((format!("first({} | empty)", vec!["(1, 1)"; 100].join(" | ")), &long));
    programs.push((format!("[{}]", vec!["(1, 1)"; 100].join(" | ")), &long));
    programs.push((format!("{} | tojson | length", vec!["[., .]"; 100].join(" | ")), &long));
    programs.push((vec!["[., .]"; 100].join(" | "), &long));
    programs.push((format!("{} | . == .", vec!["[., .]"; 100].join(" | ")), &long));
    programs.push((format!("{} | .a?", vec!["[., .]"; 100].join(" | ")), &long));
    programs.push((format!("{} | {{(tojson): 1}}", vec!["{a: ., b: .}"; 60].join(" | ")), &long));
    programs.push((format!("7 | {} | . > 1", vec![". * ."; 100].join(" | ")), &long));
    programs.push((format!("[[1]] | {} | length", vec![".. |= [.]"; 100].join(" | ")), &long));
    for (text, input) in programs {
        let program = program(&text);
        let ended = with_stack(|| program.run_with(input.clone(), &Fuel::fraction(32)));
        assert!(
            ended == Err(JqFault::Exhausted) || text.contains(".a?"),
            "{text}: {:?}",
            ended.map(|value| value.to_string().len())
        );
    }
}

#[test]
fn strings_are_not_repeated() {
    for text in [". * 1000000000", "1000000000 * .", "[.] | .[0] *= 1000000000", "\"x\" * 2"] {
        assert_eq!(run(text, json!("x")), Err(JqFault::Failed), "{text}");
    }
}

#[test]
fn fuel_that_is_spent_cannot_be_caught() {
    let cubes = "first(.[] as $a | .[] as $b | .[] as $c | select(false))";
    let input: Value = vec![1; 100].into();
    for text in
        [format!("try ({cubes}) // 1"), format!("({cubes})? // 1"), format!("isempty({cubes})"), format!("1, {cubes}")]
    {
        let program = program(&text);
        let ended = with_stack(|| program.run_with(input.clone(), &Fuel::fraction(32)));
        assert_eq!(ended, Err(JqFault::Exhausted), "{text}");
    }
}

#[test]
fn what_rules_usually_ask_is_far_from_the_limit() {
    let items: Value = (0..1_000)
        .map(|n| json!({"id": n, "name": format!("item {n}"), "tags": ["a", "b"], "price": {"amount": n, "unit": "EUR"}}))
        .collect();
    // A tenth of the largest answer that is scored, with a twentieth of the fuel.
    let answer = json!({"items": items});
    assert!(answer.to_string().len() > 80_000);
    for text in [
        ".items | length > 2",
        "[.items[] | select(.price.amount > 10)] | length > 5",
        ".items | map(.name) | join(\", \") | length > 10",
        ".items | map(.tags | add) | unique | length == 1",
        "all(.items[]; .price.unit == \"EUR\" and (.tags | contains([\"a\"])))",
        ".items | group_by(.price.unit) | map(length) | add == 1000",
        ".items | map(.price.amount) | add > 0",
        "[.. | strings] | length > 100",
        ".items | sort_by(.name) | .[0].id == 0",
        ".items | map({id, label: \"\\(.name)!\", cents: (.price.amount * 100)}) | length > 0",
        "walk(if type == \"string\" then ascii_upcase else . end) | .items[0].name == \"ITEM 0\"",
        ".items |= map(del(.tags)) | .items[0] | has(\"tags\") | not",
        ".items | map(.tags) | add | length == 2000",
    ] {
        let program = program(text);
        let ended = with_stack(|| program.run_with(answer.clone(), &Fuel::fraction(20)));
        assert_eq!(ended, Ok(json!(true)), "{text}");
    }
}

#[test]
fn deep_values_are_errors() {
    let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(run("[..] | length", deep(100)), Ok(json!(101)));
    assert_eq!(run(".", deep(129)), Err(JqFault::NotJson));
    assert_eq!(run(&vec!["[.]"; 200].join(" | "), deep(100)), Err(JqFault::Exhausted));
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(with_stack(|| program(".").is_true_of(text.as_bytes())), Err(JqFault::NotJson));
    assert_eq!(run("fromjson", json!(text)), Err(JqFault::Failed));
}

#[test]
fn every_function_of_the_profile_compiles() {
    for (name, arity, _) in profile::ALLOWED {
        let args = if *arity == 0 { String::new() } else { format!("({})", vec!["."; *arity].join("; ")) };
        program(&format!("{name}{args}"));
    }
}

#[test]
fn programs_are_shared_between_threads() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let one = program(".a");
    is_shared(&one);
    assert_eq!(one, one.clone());
    assert_ne!(one, program(".b"));
}
