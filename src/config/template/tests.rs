use proptest::prelude::*;

use super::*;
use crate::config::PathPattern;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).expect("a valid pattern")
}

fn template(text: &str) -> PathTemplate {
    PathTemplate::parse(text).expect("a valid template")
}

#[test]
fn fills_a_template_from_path_query_and_names() {
    let pattern = pattern("/recommendations/{user}");
    let captures = pattern.matches("/recommendations/7&x").expect("a match");
    for (text, query, expected) in [
        ("/v2{path}", None, "/v2/recommendations/7&x"),
        ("/v2{path}", Some("a=1"), "/v2/recommendations/7&x?a=1"),
        ("/users/{user}/list", Some(""), "/users/7&x/list?"),
        ("/v2?user={user}", Some("lost=1"), "/v2?user=7%26x"),
        ("/v2?user={user}&{query}", Some("a=1"), "/v2?user=7%26x&a=1"),
        ("/v2?user={user}&{query}", None, "/v2?user=7%26x"),
        ("/v2?{query}", None, "/v2"),
        ("{path}/all", None, "/recommendations/7&x/all"),
        ("/v2/{nobody}", Some("a=1"), "/recommendations/7&x?a=1"),
    ] {
        let rendered = template(text).render("/recommendations/7&x", query, &captures);
        assert_eq!(rendered, expected, "{text} with {query:?}");
    }
}

#[test]
fn refuses_templates_that_are_no_path() {
    for (text, reason) in [
        ("v2{path}", "neither / nor {path}"),
        ("{user}", "neither / nor {path}"),
        ("/{path", "without its }"),
        ("/}", "whole segment"),
        ("/{query}", "before any ?"),
        ("/a#b", "ends before"),
        ("/a b", "percent-encoded"),
        ("/{a-b}", "is no name"),
    ] {
        let error = PathTemplate::parse(text).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
}

/// Independent of the code above: the characters of RFC 3986, appendix A, by regular-grammar reading.
fn is_rfc_3986(target: &str) -> bool {
    let (path, query) = target.split_once('?').map_or((target, ""), |(path, query)| (path, query));
    let allowed = |text: &str, extra: &str| {
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let fine = match byte {
                b'%' => {
                    bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                        && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                }
                byte => {
                    byte.is_ascii_alphanumeric()
                        || "-._~!$&'()*+,;=:@/".contains(char::from(byte))
                        || extra.contains(char::from(byte))
                }
            };
            if !fine {
                return false;
            }
        }
        true
    };
    path.starts_with('/') && allowed(path, "") && allowed(query, "?")
}

proptest! {
    #[test]
    fn a_rendered_target_is_valid_whatever_was_received(
        path in "/\\PC{0,20}",
        query in proptest::option::of("\\PC{0,20}"),
        template in proptest::sample::select(vec!["/v2{path}", "{path}", "/u/{user}", "/u?id={user}", "/u?{query}", "/{rest}?a={path}&{query}"]),
        pattern in proptest::sample::select(vec!["/{user}", "/{user}/{rest...}", "/{rest...}"]),
    ) {
        let pattern = PathPattern::parse(pattern).expect("valid");
        let captures = pattern.matches(&path).unwrap_or_default();
        let rendered = PathTemplate::parse(template).expect("valid").render(&path, query.as_deref(), &captures);
        prop_assert!(is_rfc_3986(&rendered), "{rendered}");
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,30}") {
        let _ = PathTemplate::parse(&text);
    }
}
