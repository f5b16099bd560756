use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).expect("a valid pattern")
}

fn template(text: &str) -> PathTemplate {
    PathTemplate::parse(text).expect("a valid template")
}

#[test]
fn matches_whole_paths_segment_by_segment() {
    for (text, path, expected) in [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a/{id}", "/a/1", true),
        ("/a/{id}", "/a/", false),
        ("/a/{id}", "/a", false),
        ("/a/{id}", "/a/1/", false),
        ("/a/{id}/b", "/a/1/b", true),
        ("/a/{rest...}", "/a", false),
        ("/a/{rest...}", "/a/", true),
        ("/a/{rest...}", "/a/b//c/", true),
        ("/{rest...}", "/", true),
        ("/a", "*", false),
        ("/a", "", false),
    ] {
        assert_eq!(pattern(text).matches(path).is_some(), expected, "{text} on {path}");
    }
}

#[test]
fn never_decodes_and_never_removes_dots() {
    for (text, path) in [
        ("/a/b", "/a/%62"),
        ("/a/b", "/a/./b"),
        ("/a/b", "/a//b"),
        ("/a/b", "/A/b"),
    ] {
        assert!(pattern(text).matches(path).is_none(), "{text} on {path}");
    }
    let pattern = pattern("/{one}/{rest...}");
    let captures = pattern.matches("/../a%2Fb//.").expect("a match");
    assert_eq!(
        (captures.get("one"), captures.get("rest")),
        (Some(".."), Some("a%2Fb//."))
    );
    assert_eq!(captures.get("two"), None);
}

#[test]
fn refuses_patterns_that_could_not_match_or_mean_two_things() {
    for (text, reason) in [
        ("a", "does not start with /"),
        ("", "does not start with /"),
        ("/{a}/{a}", "{a} stands twice"),
        ("/{a...}/b", "before the end"),
        ("/a{b}", "whole segment"),
        ("/{}", "is no name"),
        ("/{1a}", "is no name"),
        ("/{path}", "the whole path"),
        ("/a?b", "ends before ?"),
        ("/a b", "percent-encoded"),
        ("/ä", "percent-encoded"),
        ("/%2", "two hexadecimal digits"),
    ] {
        let error = PathPattern::parse(text).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
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

#[test]
fn a_pattern_covers_what_it_matches_and_nothing_else() {
    for (earlier, later, expected) in [
        ("/{rest...}", "/a/{id}", true),
        ("/a/{id}", "/a/b", true),
        ("/a/{id}", "/a/{x}", true),
        ("/a/b", "/a/{id}", false),
        ("/a/{id}", "/a/{rest...}", false),
        ("/a/{rest...}", "/a", false),
        ("/a/{id}", "/a/", false),
    ] {
        assert_eq!(
            pattern(earlier).covers(&pattern(later)),
            expected,
            "{earlier} over {later}"
        );
    }
}

/// Independent of the code above: the characters of RFC 3986, appendix A, by regular-grammar reading.
fn is_rfc_3986(target: &str) -> bool {
    let (path, query) = target
        .split_once('?')
        .map_or((target, ""), |(path, query)| (path, query));
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
    fn a_path_of_its_own_literals_matches(segments in proptest::collection::vec("[a-z0-9._~-]{0,4}", 1..5)) {
        let path = format!("/{}", segments.join("/"));
        prop_assert!(pattern(&path).matches(&path).is_some());
        let all = pattern("/{rest...}");
        prop_assert_eq!(all.matches(&path).expect("all").get("rest"), Some(&path[1..]));
    }

    #[test]
    fn captures_put_together_again_are_the_path(first in "[^/?#\\PC]{1,8}", second in "[^?#\\PC]{0,12}") {
        let path = format!("/{first}/{second}");
        let pattern = pattern("/{a}/{b...}");
        let captures = pattern.matches(&path).expect("two segments or more");
        prop_assert_eq!(format!("/{}/{}", captures.get("a").expect("a"), captures.get("b").expect("b")), path);
    }

    #[test]
    fn a_covered_path_is_matched(
        earlier in "(/(a|b|\\{x\\})){1,3}(/\\{r\\.\\.\\.\\})?",
        later in "(/(a|b|\\{y\\})){1,3}(/\\{s\\.\\.\\.\\})?",
        path in "(/[abc]?){1,4}",
    ) {
        let (Ok(earlier), Ok(later)) = (PathPattern::parse(&earlier), PathPattern::parse(&later)) else { return Ok(()) };
        if earlier.covers(&later) && later.matches(&path).is_some() {
            prop_assert!(earlier.matches(&path).is_some(), "{earlier:?} {later:?} {path}");
        }
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,30}") {
        let _ = PathPattern::parse(&text);
        let _ = PathTemplate::parse(&text);
    }
}
