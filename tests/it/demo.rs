//! The demo plays the whole story, checks it, and leaves nothing behind.

use std::path::Path;
use std::process::Command;

#[test]
fn the_whole_story_plays_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let demo = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(["demo", "--once", "--log", "error"])
        .env("TMPDIR", folder.path())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{said}\n{}", String::from_utf8_lossy(&demo.stderr));
    assert!(said.contains("ROLLED BACK") && said.contains("acts as they should be"), "{said}");
    assert_eq!(entries(folder.path()), 0, "files are left behind");
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("the folder is there").count()
}
