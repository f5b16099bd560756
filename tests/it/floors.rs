//! The import direction: a file of `src` imports from lower floors and from its own folder, and from nowhere else.

use std::fs;
use std::path::Path;

/// Words, rules, configuration, adapters, flows, and then what puts them together. Siblings do not see each other.
const FLOORS: &[&[&str]] = &[
    &[
        "backend",
        "cap",
        "condition",
        "hit_rate",
        "outcome",
        "percent",
        "random",
        "refusal",
        "retry",
        "revision",
        "skip",
        "stage",
        "unstudied",
    ],
    &["bucket", "gate", "score", "wire"],
    &["config"],
    &["console", "probing", "server", "store", "study", "telemetry", "upstream"],
    &["admin", "control", "fleet", "proxy"],
    &["app"],
    &["cli"],
    &["main"],
];

#[test]
fn a_file_imports_only_from_lower_floors_and_its_own_folder() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    look(&src, &src, &mut wrong);
    assert!(wrong.is_empty(), "imports against the direction of the floors:\n{}", wrong.join("\n"));
}

fn look(path: &Path, src: &Path, wrong: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder of the sources") {
            look(&entry.expect("an entry of the folder").path(), src, wrong);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") && path != src.join("lib.rs") {
        let text = fs::read_to_string(path).expect("a source is UTF-8");
        let inside = path.strip_prefix(src).expect("the walk began at src").display().to_string();
        let own = inside.split('/').next().expect("a first part").trim_end_matches(".rs");
        let depth = inside.trim_end_matches("/mod.rs").split('/').count();
        for (line, imported) in
            imports(&text, depth).filter(|(_, imported)| *imported != own && floor(imported) >= floor(own))
        {
            wrong.push(format!("src/{inside}:{line} imports `{imported}`"));
        }
    }
}

/// The lines, outside of comments, where a path starts at the root of the crate, and the word that follows. What is no word,
/// as in `crate::{a, b}`, is on no floor: each import has to name its module.
fn imports(text: &str, depth: usize) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(move |(at, line)| {
        let roots = ["crate::".to_owned(), "crossfade::".to_owned(), "super::".repeat(depth)];
        let starts = roots.into_iter().flat_map(|root| {
            let ends = line.match_indices(&root).map(|(found, _)| found + root.len()).collect::<Vec<_>>();
            let up = root.starts_with("super");
            ends.into_iter().map(|end| word(&line[end..])).filter(move |word| !up || floor(word) < FLOORS.len())
        });
        starts.map(move |word| (at + 1, word)).collect::<Vec<_>>()
    })
}

fn word(rest: &str) -> &str {
    &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

/// The floor of a module; one that has none may be imported by nobody.
fn floor(word: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&word)).unwrap_or(FLOORS.len())
}
