use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).expect("a valid pattern")
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
    for (text, path) in [("/a/b", "/a/%62"), ("/a/b", "/a/./b"), ("/a/b", "/a//b"), ("/a/b", "/A/b")] {
        assert!(pattern(text).matches(path).is_none(), "{text} on {path}");
    }
    let pattern = pattern("/{one}/{rest...}");
    let captures = pattern.matches("/../a%2Fb//.").expect("a match");
    assert_eq!((captures.get("one"), captures.get("rest")), (Some(".."), Some("a%2Fb//.")));
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
        assert_eq!(pattern(earlier).covers(&pattern(later)), expected, "{earlier} over {later}");
    }
}

proptest! {
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
    }
}

#[test]
fn a_pattern_is_told_as_it_was_written_and_one_without_names_is_a_path() {
    for (text, literal) in [("/", true), ("/a/b", true), ("/a/", true), ("/a/{id}/c", false), ("/a/{rest...}", false)] {
        let pattern = PathPattern::parse(text).expect("valid");
        assert_eq!(pattern.to_string(), text);
        assert_eq!(pattern.literal(), literal.then(|| text.to_owned()));
    }
}
