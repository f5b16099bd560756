//! Every verdict and every shape, beside those of `serde_json`.

use super::super::reference;
use super::*;

/// Places, and documents that hold what is tried: at a place, on the way to one, beside one, within an array, and as a key.
const PLACES: [&str; 7] = ["/a", "/a/b", "/a/1", "/c/0/d", "", "/e", "/é"];
const AROUND: [(&str, &str); 8] = [
    ("", ""),
    ("{\"a\":", "}"),
    ("{\"a\":{\"b\":", ",\"c\":[]},\"c\":\"x\"}"),
    ("{\"z\":", ",\"a\":1}"),
    ("{\"z\":[0,", ",{}],\"a\":[1,2]}"),
    ("{\"a\":[0,1,", "]}"),
    ("{", ":0}"),
    ("{\"z\":{\"y\":0,", ":[{}]},\"a\":\"\"}"),
];

fn agrees(places: &[&str], body: &[u8]) -> Result<(), TestCaseError> {
    let pointers: Vec<_> = places.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect();
    let probe = Probe::new(&pointers);
    let found = probe.shapes(body).ok().map(Iterator::collect::<Vec<_>>);
    prop_assert_eq!(found, reference::shapes(&probe, body).ok(), "{:?}", String::from_utf8_lossy(body));
    Ok(())
}

fn holds(body: &[u8]) {
    agrees(&PLACES, body).unwrap_or_else(|difference| panic!("{difference}"));
}

/// Tries a token in all the documents, and at every offset within a word, with the end of the document near and far.
fn everywhere(token: &[u8]) {
    for (before, after) in AROUND {
        for padding in 0..9 {
            let spaces = " ".repeat(padding);
            for tail in [0, 3, 20] {
                let tail = "\n".repeat(tail);
                holds(&[before.as_bytes(), spaces.as_bytes(), token, after.as_bytes(), tail.as_bytes()].concat());
                holds(&[spaces.as_bytes(), before.as_bytes(), token, tail.as_bytes(), after.as_bytes()].concat());
            }
        }
    }
}

#[test]
fn numbers_are_judged_as_serde_json_judges_them() {
    let numbers = "0 -0 - + 00 01 -01 1 -1 +1 1. .1 1.0 1.a 0.0 0.00000000000000000001 1e 1e+ 1e- 1e5 1E5 1e+5 1e-5 1e05 1ee5 \
        1.5e300 1e308 1e309 -1e309 1e999 1e-999 0e999 0e99999999999 1e99999999999 1e-99999999999 0.0e400 123456789012345678 \
        18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809 99999999999999999999.5 \
        99999999999999999999. 1.7976931348623157e308 1.7976931348623159e308 179769313486231580000e289 1.2.3 1-1 1+1 0x10 \
        12345678 123456789 1234567.8 12345678.9 0.12345678 1_000 NaN Infinity -Infinity nan 1f ٣ 1,5 7\u{0}";
    numbers.split(' ').for_each(|number| everywhere(number.as_bytes()));
    for digits in [7, 8, 9, 15, 16, 17, 40, 308, 309, 310, 400] {
        let digits = "9".repeat(digits);
        for number in [digits.clone(), format!("-{digits}"), format!("0.{digits}"), format!("{digits}.{digits}e-300")] {
            everywhere(number.as_bytes());
        }
    }
}

#[test]
fn strings_are_judged_as_serde_json_judges_them() {
    let whole = [
        "",
        "a",
        "1234567",
        "12345678",
        "123456789",
        "a\\\"b",
        "\\\\",
        "\\/\\b\\f\\n\\r\\t",
        "\\a",
        "\\'",
        "\\",
        "\\u",
        "\\u1",
        "\\u12",
        "\\u123",
        "\\u1234",
        "\\u12g4",
        "\\uD834\\uDD1E",
        "\\ud834",
        "\\uDD1E",
        "\\uD834x",
        "\\uD834\\n",
        "\\uD834\\u0041",
        "\\uD834\\uD834\\uDD1E",
        "\\u0000",
        "\\U1234",
        "\\x41",
        "é",
        "日本語日本語",
        "𝄞",
        "\u{7f}",
        "\u{80}",
        "\t",
        "\n",
        "\u{0}",
        "\u{1f}",
        " ",
        "!#",
        "a]}{[",
        "\\u00e9",
        "\\u0061",
        "a\\u0062",
        "a\u{a0}b",
        "\u{feff}",
        "!\u{22}",
        "\u{2028}",
    ];
    for text in whole {
        everywhere(format!("\"{text}\"").as_bytes());
        everywhere(format!("\"long enough for a word{text}and more behind it\"").as_bytes());
    }
    for text in
        [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe6\x97", b"1234567\x80", b"\xc3\\u00e9"]
    {
        everywhere(&[b"\"", text, b"\""].concat());
        everywhere(text);
    }
}

#[test]
fn a_mark_is_found_among_whatever_bytes() {
    for byte in 0..=255 {
        for at in 0..8 {
            let mut text = *b"aaaaaaaa";
            text[at] = byte;
            text[(at + 3) % 8] = byte.wrapping_add(1);
            let body = [b"[\"", &text[..], b"\",0,", &text[..], b"]"].concat();
            holds(&body);
            holds(&[b"[\"", &text[..], b"\"]            "].concat());
        }
    }
}

#[test]
fn words_brackets_and_space_are_judged_as_serde_json_judges_them() {
    let others = "null true false nul nulll tru truefalse False None undefined [] {} [[]] [{}] {\"a\":{}} [1,] [,1] [,] [1,,2] [1 2] \
        {,} {\"a\":1,} {\"a\"} {\"a\":} {\"a\",1} {a:1} {1:1} {\"a\":1\"b\":2} {\"a\":1,,\"b\":2} [} {] [1} {\"a\":1] ] } , : \" \
        [[1,2],[3,[4,{\"x\":[]}]]] {\"x\":{\"y\":{}},\"z\":[{},{}]} [[[]],[[],[]]] {\"a\":1}} [1]] \
        // /**/ \u{feff} \u{a0} \u{b} \u{c} \u{85} [1\u{a0}] [\u{b}1]";
    others.split(' ').for_each(|text| everywhere(text.as_bytes()));
    for space in [" ", "\n", "\r\n", "\t", "        ", "         ", "\n        \t        \r        ", "\u{c}", "\u{0}"]
    {
        for text in ["[1,2]", "{\"a\":[1,{\"b\":null}],\"c\":\"\"}", "[[],{},[{}]]", "{\"a\":{\"b\":-1.5e3}}"] {
            let spread = ["[", "]", "{", "}", ",", ":"]
                .iter()
                .fold(text.to_owned(), |text, mark| text.replace(mark, &format!("{space}{mark}{space}")));
            holds(spread.as_bytes());
        }
    }
}

#[test]
fn nesting_is_judged_as_serde_json_judges_it() {
    let kinds =
        [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("[[1,", ",2]]"), ("{\"x\":0,\"a\":[", "],\"y\":{}}")];
    let way = "/a".repeat(200) + "/0";
    for levels in (0..140).chain([189, 190, 252, 253, 10_000]) {
        for (open, close) in kinds {
            let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            for body in [deep.clone(), format!("{{\"z\":{deep},\"a\":[0]}}"), format!("{deep}]"), format!("[{deep}")] {
                for places in [&["/a/0"][..], &[&way], &["/0/0/0/0", "/1"]] {
                    agrees(places, body.as_bytes()).unwrap_or_else(|difference| panic!("{difference}"));
                }
            }
        }
    }
}

#[test]
fn a_million_levels_are_read_over_and_a_wrong_end_among_them_is_found() {
    let million = 1_000_000;
    let (open, close) = ("[{\"x\":".repeat(million), "}]".repeat(million));
    let probe = Probe::new(&[Pointer::parse("/a").expect("a pointer")]);
    let shapes = |ends: &str| {
        let body = format!("{{\"z\":{open}0{ends},\"a\":1}}");
        probe.shapes(body.as_bytes()).map(Iterator::collect::<Vec<_>>)
    };
    assert_eq!(shapes(&close), Ok(vec![Shape::Filled]));
    let mut wrong = close.clone();
    wrong.replace_range(million..million + 2, "]}");
    assert_eq!(shapes(&wrong), Err(NotJson));
    assert_eq!(shapes(&close[2..]), Err(NotJson));
}

/// Parts of which most documents are no JSON, but many nearly.
fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n  ",
        "\"a\"",
        "\"b\"",
        "\"a\":",
        "\"\"",
        "\"c\":",
        "\"\\u0061\"",
        "0",
        "1",
        "-",
        ".5",
        "e9",
        "null",
        "true",
        "false",
        "\"",
        "\\",
        "\"\\ud800\"",
        "\"long enough for words\"",
        "1e999",
        "é",
        "12345678",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn documents_with_one_change_get_the_same_verdict(
        document in document(),
        pointers in pointers(),
        (at, length, with) in (any::<prop::sample::Index>(), 0_usize..4, vec(any::<u8>(), 0..3)),
        part in part(),
    ) {
        let mut text = String::new();
        document.write(&mut text);
        let pointers: Vec<_> = pointers.iter().map(String::as_str).collect();
        agrees(&pointers, text.as_bytes())?;
        let at = at.index(text.len() + 1);
        let end = (at + length).min(text.len());
        for with in [&with[..], part.as_bytes()] {
            let mut body = text.clone().into_bytes();
            body.splice(at..end, with.iter().copied());
            agrees(&pointers, &body)?;
        }
    }

    #[test]
    fn whatever_is_put_together_gets_the_same_verdict(parts in vec(part(), 0..24), pointers in pointers()) {
        let pointers: Vec<_> = pointers.iter().map(String::as_str).collect();
        agrees(&pointers, parts.concat().as_bytes())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn cut_anywhere_a_document_gets_the_same_verdict(document in document(), pointers in pointers()) {
        let mut text = String::new();
        document.write(&mut text);
        let pointers: Vec<_> = pointers.iter().map(String::as_str).collect();
        for cut in 0..text.len() {
            agrees(&pointers, &text.as_bytes()[..cut])?;
        }
    }
}
