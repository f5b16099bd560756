//! What holds for every text.

use proptest::prelude::*;

use super::*;

/// Reads a text as both files, and checks what holds for every text.
fn read_as_both(source: &str) {
    let path = Path::new("nowhere/x.toml");
    let (deployment, problems) = check_deployment(source, path);
    told_well(source, &problems);
    assert_eq!(deployment.is_none(), problems.has_errors());
    let (rollouts, problems) = check_rollouts(source, path, deployment.as_ref());
    told_well(source, &problems);
    assert_eq!(rollouts.is_none(), problems.has_errors());
}

fn told_well(source: &str, problems: &Problems) {
    for problem in problems {
        assert!(source.get(problem.span.clone()).is_some(), "{problem:?} lies in the text");
        assert!(problem.line <= source.split('\n').count() && problem.column >= 1, "{problem:?}");
        assert!(!problem.reason().contains('\n'), "{problem:?} is one line");
    }
    problems.render(false);
    problems.to_json();
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(source in "[\\PC\\n\\r\\t]{0,200}") {
        read_as_both(&source);
    }

    #[test]
    fn any_damaged_file_is_read_without_a_panic(
        which in 0..2usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..20usize, "[\\[\\]{}=.,\"'#\n\\-0-9a-zé漢]{0,3}"), 1..6),
    ) {
        let mut source: Vec<char> = [CROSSFADE, ROLLOUT][which].chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(source.len());
            let end = source.len().min(at + removed);
            source.splice(at..end, inserted.chars());
        }
        read_as_both(&source.into_iter().collect::<String>());
    }
}
