//! What a study says of many pairs.

use jiff::civil::{Date, date};

use super::*;

const TODAY: Date = date(2026, 11, 20);

fn reply(content: &Content) -> Reply<'_> {
    Reply { status: 200, content_type: Some("application/json"), content }
}

/// `pairs` pairs, and a noise pair after each tenth of them.
fn study(options: Options, pairs: usize, mut v1: impl FnMut() -> Value, mut v2: impl FnMut() -> Value) -> Study {
    let mut study = Study::new(options);
    for at in 1..=pairs {
        let first = Content::Json(v1());
        study.pair(&reply(&first), &reply(&Content::Json(v2())));
        if at % 10 == 0 {
            study.noise(&reply(&first), &reply(&Content::Json(v1())));
        }
    }
    study
}

fn findings(report: &DiffReport) -> Vec<(&str, Kind)> {
    let found = report.rows.iter().filter(|row| row.verdict == Verdict::Differs);
    found.map(|row| (row.path.as_str(), row.kind)).collect()
}

#[test]
fn a_difference_counts_and_noise_does_not() {
    let random = Random::default();
    let answer = |total: Value| json!({"id": random.next(), "at": random.below(2), "total": total});
    let report = study(Options::default(), 400, || answer(json!(12)), || answer(json!("12"))).report(TODAY);
    assert_eq!((report.pairs, report.noise_pairs), (400, 40));
    assert_eq!(findings(&report), [("/total", Kind::Type)]);
    let noise: Vec<_> = report.rows.iter().filter(|row| row.path == "/id").collect();
    assert_eq!((noise[0].raw, noise[0].noise, noise[0].verdict), (400, 40, Verdict::Noise));
}

#[test]
fn without_noise_pairs_nothing_is_proven() {
    let mut study = Study::default();
    for _ in 0..100 {
        study.pair(&reply(&Content::Json(json!({"a": 1}))), &reply(&Content::Json(json!({}))));
    }
    let report = study.report(TODAY);
    assert_eq!((report.rows[0].raw, report.rows[0].verdict), (100, Verdict::Unproven));
}

#[test]
fn streams_of_noise_alone_raise_no_alarm() {
    let random = Random::default();
    let noisy = || {
        let fields =
            (0..10).map(|at| (format!("f{}", char::from(b'a' + at)), json!(random.below(2 + u32::from(at) * 3))));
        let mut document: serde_json::Map<_, _> = fields.collect();
        if random.below(4) == 0 {
            document.remove("fb");
        }
        Value::Object(document)
    };
    let alarms = (0..20).filter(|_| !findings(&study(Options::default(), 200, noisy, noisy).report(TODAY)).is_empty());
    assert!(alarms.count() <= 2, "one stream in a hundred is expected to have a false finding, or fewer");
}

#[test]
fn ignored_places_are_set_aside_until_their_day() {
    let rule =
        |path, until| Ignore { path: Pattern::parse(path).expect("a pattern"), until, reason: "WEB-812".to_owned() };
    let ignore = vec![rule("/meta", date(2026, 11, 20)), rule("/total", date(2026, 11, 19))];
    let options = Options { ignore, ..Options::default() };
    let v1 = || json!({"meta": {"a": 1}, "total": 1});
    let v2 = || json!({"meta": {"a": 2}, "total": 2});
    let study = study(options, 200, v1, v2);
    let report = study.report(TODAY);
    assert_eq!(findings(&report), [("/total", Kind::Value)]);
    assert_eq!(report.ignored[0].path, "/meta/a");
    assert_eq!(report.expired.iter().map(|rule| rule.path.to_string()).collect::<Vec<_>>(), ["/total"]);
    assert_eq!(study.report(date(2026, 11, 21)).expired.len(), 2);
}

#[test]
fn keys_that_turn_out_to_be_data_become_one_path() {
    let random = Random::default();
    let name = || (0..6).map(|_| char::from(b'a' + random.below(26) as u8)).collect::<String>();
    let mut names: Vec<String> = Vec::new();
    let mut v1 = || {
        names = (0..3).map(|_| name()).collect();
        Value::Object(names.iter().map(|name| (name.clone(), json!({"n": 1}))).collect())
    };
    let mut counted = Study::default();
    for at in 0..400 {
        let first = v1();
        let mut second = first.clone();
        second.as_object_mut().expect("an object").values_mut().for_each(|value| value["n"] = json!("1"));
        let (first, second) = (Content::Json(first), Content::Json(second));
        counted.pair(&reply(&first), &reply(&second));
        if at % 10 == 9 {
            counted.noise(&reply(&first), &reply(&first));
        }
    }
    let report = counted.report(TODAY);
    assert_eq!(findings(&report), [("/*/n", Kind::Type)]);
    assert_eq!((report.rows.len(), report.overflow), (1, 0));
    assert!(report.rows[0].raw_of < 400 && report.rows[0].raw == report.rows[0].raw_of);
}

#[test]
fn a_wide_schema_that_differs_throughout_is_not_taken_for_data() {
    let wide = |leaf: &str| {
        let leaf = leaf.to_owned();
        move || {
            Value::Object(
                (b'a'..=b'z')
                    .flat_map(|a| {
                        [(char::from(a).to_string() + "x", json!(leaf)), (char::from(a).to_string() + "y", json!(leaf))]
                    })
                    .collect(),
            )
        }
    };
    let report = study(Options::default(), 100, wide("one"), wide("two")).report(TODAY);
    assert_eq!((report.rows.len(), findings(&report).len()), (52, 52));
}

#[test]
fn paths_are_bounded_and_what_is_beyond_is_counted() {
    let mut at = 0_u32;
    let mut next = || {
        at += 1;
        let letters: String = (at % 40_000).to_string().bytes().map(|digit| char::from(digit + 50)).collect();
        json!({"outer": {letters.clone() + "x": {letters: at}}})
    };
    let mut counted = Study::default();
    for _ in 0..2000 {
        counted.pair(&reply(&Content::Json(next())), &reply(&Content::Json(next())));
    }
    let report = counted.report(TODAY);
    assert!(report.rows.len() <= MOST_ROWS);
    assert!(report.rows.iter().any(|row| row.path == "/outer/*"));
}

#[test]
fn answers_of_different_status_type_or_form_are_told_apart() {
    let (json, other, third) = (Content::Json(json!({"a": 1})), Content::read(b"<a/>"), Content::read(b"<b/>"));
    let reply = |status, content_type, content| Reply { status, content_type, content };
    let cases = [
        (reply(200, None, &json), reply(500, None, &other), vec![Kind::Status]),
        (
            reply(200, Some("application/json"), &json),
            reply(200, Some("text/xml"), &other),
            vec![Kind::Body, Kind::ContentType],
        ),
        (reply(200, Some("Text/XML; charset=utf-8"), &other), reply(200, Some("text/xml"), &other), vec![]),
        (reply(200, None, &third), reply(200, None, &other), vec![Kind::Body]),
    ];
    for (v1, v2, expected) in cases {
        let mut study = Study::default();
        study.pair(&v1, &v2);
        let mut kinds: Vec<_> = study.report(TODAY).rows.iter().map(|row| row.kind).collect();
        kinds.sort();
        assert_eq!(kinds, expected);
    }
}
