//! What a study suggests after many pairs.

use super::*;
use crate::score::{JQ_STACK, Mapping, Place, Program};

/// Suggestions after `pairs` pairs: V1's document, and V2's made of it.
fn suggested(pairs: u64, v1: impl Fn(&Random) -> Value, v2: impl Fn(&Value, u64) -> Value) -> Vec<Suggestion> {
    study(Options::default(), pairs, v1, v2).suggestions()
}

fn study(options: Options, pairs: u64, v1: impl Fn(&Random) -> Value, v2: impl Fn(&Value, u64) -> Value) -> Study {
    let (random, mut study) = (Random::default(), Study::new(options));
    for at in 0..pairs {
        let first = v1(&random);
        let (first, second) = (Content::Json(first.clone()), Content::Json(v2(&first, at)));
        let reply = |content| Reply { status: 200, content_type: None, content };
        study.pair(&reply(&first), &reply(&second));
    }
    study
}

/// With what the maker of V2's document reads of it.
fn with_state(v1: &Value) -> Value {
    let mut v1 = v1.clone();
    v1["state"] = json!("NEW");
    v1["at"] = json!("2026-11-20T08:00:00Z");
    v1
}

fn word(random: &Random) -> String {
    (0..8).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

/// Each suggestion as `v1 <- v2: transform, support of of`.
fn lines(suggestions: &[Suggestion]) -> Vec<String> {
    let name = |one: &Suggestion| serde_json::to_value(one).expect("plain data")["transform"].clone();
    let line = |one: &Suggestion| format!("{} <- {}: {}, {} of {}", one.v1, one.v2, name(one), one.support, one.of);
    suggestions.iter().map(|one| line(one).replace('"', "")).collect()
}

#[test]
fn a_rename_is_suggested_with_its_support() {
    let v1 = |random: &Random| json!({"customer": {"name": word(random), "id": random.below(1000)}, "ok": true});
    let v2 = |v1: &Value, at| {
        let name = if at % 100 == 7 { json!("?") } else { v1["customer"]["name"].clone() };
        json!({"person": {"fullName": name}, "customer": {"id": v1["customer"]["id"]}, "ok": true})
    };
    let found = suggested(415, v1, v2);
    assert_eq!(lines(&found), ["/customer/name <- /person/fullName: same, 410 of 415"]);
    assert_eq!(
        to_toml("recommendations", &found),
        "[dependency.recommendations.v2.response]\n\n[dependency.recommendations.v2.response.map]\n\
         \"/customer/name\" = \"/person/fullName\" # 410 of 415 pairs\n"
    );
}

#[test]
fn types_times_units_and_labels_are_told_apart() {
    let v1 = |random: &Random| {
        let at = jiff::Timestamp::from_second(1_700_000_000 + i64::from(random.below(1 << 24))).expect("an instant");
        let price = f64::from(random.below(100_000)) / 100.0;
        let state = ["NEW", "PAID", "SENT"][random.below(3) as usize];
        json!({
            "age": random.below(90), "zip": random.below(99_999).to_string(), "at": at.to_string(), "price": price,
            "vip": random.below(2) == 1, "state": state, "code": word(random).to_uppercase(), "on": random.below(2) == 1,
        })
    };
    let v2 = |v1: &Value, _| {
        let at: jiff::Timestamp = v1["at"].as_str().expect("a text").parse().expect("an instant");
        let cents = (v1["price"].as_f64().expect("a number") * 100.0).round() as i64;
        let state = match v1["state"].as_str() {
            Some("NEW") => 11,
            Some("PAID") => 12,
            _ => 13,
        };
        json!({
            "age": v1["age"].to_string(), "zip": v1["zip"].as_str().and_then(|zip| zip.parse::<u64>().ok()),
            "created": at.as_millisecond(), "amount": {"cents": cents}, "vip": if v1["vip"] == true { "Y" } else { "N" },
            "state": state, "code": v1["code"].as_str().map(str::to_lowercase), "on": v1["on"].to_string(),
        })
    };
    let found = suggested(300, v1, v2);
    let whats: Vec<_> = lines(&found).into_iter().map(|line| line.split(',').next().map(str::to_owned)).collect();
    let expected = [
        "/age <- /age: number",
        "/at <- /created: from_millis",
        "/code <- /code: upper",
        "/on <- /on: truth",
        "/price <- /amount/cents: scale",
        "/state <- /state: labels",
        "/vip <- /vip: labels",
        "/zip <- /zip: text",
    ];
    assert_eq!(whats, expected.map(|line| Some(line.to_owned())));
    let toml = to_toml("shop", &found);
    let body = [
        ".age |= (if . == null then . else tonumber end)",
        ".code |= (if . == null then . else ascii_upcase end)",
        ".on |= (if . == null then . else . == \"true\" end)",
        ".price = (.amount.cents | if . == null then . else . / 100 end)",
        ".vip |= (if . == null then . else if . == \"N\" then false elif . == \"Y\" then true else . end end)",
        ".zip |= (if . == null then . else tostring end)",
    ];
    let table: toml::Table = toml.parse().expect("TOML");
    assert_eq!(table["dependency"]["shop"]["v2"]["response"]["body"].as_str(), Some(body.join(" | ").as_str()));
    assert!(toml.contains("# By hand: /state from /state, 3 labels one to one: "), "{toml}");
    assert!(toml.contains("# By hand: /at from /created, as RFC 3339 from milliseconds since 1970: "), "{toml}");
    assert!(!toml.contains("PAID"), "values are not kept");
    let without = |mut value: Value| {
        value.as_object_mut().expect("an object").retain(|key, _| key != "state" && key != "at");
        value
    };
    mends(&toml, |random| without(v1(random)), |v1| without(v2(&with_state(v1), 0)));
}

#[test]
fn labels_are_told_where_the_options_reveal_them() {
    let reveal = vec![Pattern::parse("/state").expect("a pattern")];
    let v1 = |random: &Random| json!({"state": (["NEW", "PAID", "SENT"][random.below(3) as usize])});
    let v2 = |v1: &Value, _| json!({"state": v1["state"].as_str().map(str::len), "n": v1["state"].as_str().map(|state| &state[..1])});
    let study = study(Options { reveal, ..Options::default() }, 200, v1, v2);
    let toml = to_toml("a b", &study.suggestions());
    assert!(
        toml.contains(r#"if . == "N" then "NEW" elif . == "P" then "PAID" elif . == "S" then "SENT" else . end"#),
        "{toml}"
    );
    assert!(toml.starts_with("[dependency.\"a b\".v2.response]\n"));
}

#[test]
fn renames_inside_of_arrays_are_mapped_and_the_rest_becomes_one_expression() {
    let v1 = |random: &Random| {
        let item = |_| json!({"name": word(random), "price": random.below(9999), "id": random.below(1 << 30)});
        json!({"items": (0..3).map(item).collect::<Vec<_>>(), "tags": [word(random), word(random)]})
    };
    let renamed = |v1: &Value, _: u64| {
        let item = |item: &Value| json!({"title": item["name"], "price": item["price"].as_u64().map(|price| price * 100), "id": item["id"]});
        json!({"items": v1["items"].as_array().map(|items| items.iter().map(item).collect::<Vec<_>>()), "labels": v1["tags"]})
    };
    let study = study(Options::default(), 200, v1, renamed);
    let toml = to_toml("shop", &study.suggestions());
    let table: toml::Table = toml.parse().expect("TOML");
    let response = &table["dependency"]["shop"]["v2"]["response"];
    let body = ".items[]? |= (.price |= (if . == null then . else . / 100 end))";
    assert_eq!(response["body"].as_str(), Some(body));
    assert_eq!(response["map"]["/tags"].as_str(), Some("/labels"));
    assert_eq!(response["map"]["/items/*/name"].as_str(), Some("/items/*/title"));
    mends(&toml, v1, |v1| renamed(v1, 0));
    let entries = |v1: &Value, at| json!({"entries": renamed(v1, at)["items"], "tags": v1["tags"]});
    let toml = to_toml("shop", &suggested(200, v1, entries));
    assert!(toml.contains(".items = (.entries | map_values("), "{toml}");
    mends(&toml, v1, |v1| entries(v1, 0));
}

/// Whether V2's answers, mapped as `toml` says, have all that V1's have.
fn mends(toml: &str, v1: impl Fn(&Random) -> Value, v2: impl Fn(&Value) -> Value) {
    let table: toml::Table = toml.parse().expect("TOML");
    let response = table["dependency"]["shop"]["v2"]["response"].clone();
    let place = |text: &str| Place::parse(text).expect("a place");
    let map = response.get("map").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let pairs: Vec<_> = map.iter().map(|(to, from)| (place(to), place(from.as_str().expect("a text")))).collect();
    let mut mapping = Mapping::new(&pairs).expect("a mapping");
    if let Some(body) = response.get("body") {
        let body = body.as_str().expect("a text");
        mapping = mapping.after(Program::compile(body).unwrap_or_else(|error| panic!("{body}: {error:?}")));
    }
    let first = v1(&Random::default());
    let second = v2(&first).to_string();
    let mapped = std::thread::scope(|scope| {
        let apply = || mapping.apply(second.as_bytes()).expect("an answer").into_owned();
        let thread = std::thread::Builder::new().stack_size(JQ_STACK).spawn_scoped(scope, apply);
        thread.expect("a thread").join().expect("no panic")
    });
    let mapped = serde_json::from_slice(&mapped).expect("JSON");
    let mut left = Comparer::default().compare(&first, &mapped);
    left.retain(|difference| difference.kind != Kind::Extra);
    assert_eq!(left, [], "{toml}");
}

#[test]
fn what_chance_explains_is_not_suggested() {
    let v1 = |random: &Random| json!({"gone": true, "flag": random.below(2) == 1, "zero": 0, "name": word(random), "seen": random.next()});
    let v2 = |_: &Value, _| {
        let random = Random::default();
        json!({"fine": true, "other": random.below(2) == 1, "count": 0, "title": word(&random), "seen": random.next()})
    };
    assert_eq!(lines(&suggested(500, v1, v2)), Vec::<String>::new());
}

#[test]
fn a_flag_that_follows_another_one_is_found_among_constants() {
    let v1 = |random: &Random| json!({"ok": true, "vip": random.below(2) == 1});
    let v2 = |v1: &Value, _| json!({"fine": true, "good": true, "premium": v1["vip"]});
    let found = suggested(200, v1, v2);
    assert_eq!(lines(&found), ["/vip <- /premium: same, 200 of 200"]);
}

#[test]
fn a_value_that_never_changes_is_suggested_only_if_it_can_be_recognised() {
    let v1 = |_: &Random| json!({"name": "Ada Lovelace", "ok": true, "n": 1});
    let v2 = |_: &Value, _| json!({"fullName": "Ada Lovelace", "fine": true, "m": 1});
    assert_eq!(lines(&suggested(20, v1, v2)), ["/name <- /fullName: same, 20 of 20"]);
}

#[test]
fn a_place_that_is_elsewhere_now_and_then_is_moved_back_there_alone() {
    let v1 = |random: &Random| json!({"a": word(random), "b": random.below(100)});
    let v2 = |v1: &Value, at| {
        if at % 4 == 0 { json!({"c": v1["a"], "b": v1["b"]}) } else { json!({"a": v1["a"], "b": v1["b"]}) }
    };
    assert_eq!(lines(&suggested(400, v1, v2)), ["/a <- /c: same, 100 of 100"]);
}

#[test]
fn a_place_that_changes_now_and_then_is_no_mapping() {
    let v1 = |random: &Random| json!({"a": word(random), "b": random.below(100)});
    let v2 = |v1: &Value, at| {
        let a = if at % 4 == 0 { json!("?") } else { v1["a"].clone() };
        json!({"a": a, "c": v1["a"], "b": v1["b"]})
    };
    assert_eq!(lines(&suggested(400, v1, v2)), Vec::<String>::new());
}

#[test]
fn a_noisy_value_of_two_states_is_not_taken_for_its_opposite() {
    let v1 = |random: &Random| json!({"node": (["n1", "n2"][random.below(2) as usize])});
    let v2 = |_: &Value, _| json!({"node": (["n1", "n2"][Random::default().below(2) as usize])});
    assert_eq!(lines(&suggested(400, v1, v2)), Vec::<String>::new());
}

#[test]
fn labels_are_found_in_arrays_whose_order_changes() {
    let v1 = |random: &Random| {
        let reason = |_| json!({"reason": (["bought", "seen", "popular"][random.below(3) as usize])});
        json!({"items": (0..5).map(reason).collect::<Vec<_>>()})
    };
    let v2 = |v1: &Value, at: u64| {
        let mut items = v1["items"].as_array().expect("an array").clone();
        for item in &mut items {
            item["reason"] = json!(item["reason"].as_str().map(str::len));
        }
        if at.is_multiple_of(3) {
            items.reverse();
        }
        json!({ "items": items })
    };
    assert_eq!(lines(&suggested(300, v1, v2)).len(), 1);
}
