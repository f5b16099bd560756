use std::fs;

use proptest::prelude::*;

use super::*;

fn data_dir(folder: &Path) -> DataDir {
    DataDir::open(folder).expect("nobody has it")
}

fn opened(folder: &Path) -> (Ledger, Found) {
    Ledger::open(&data_dir(folder)).expect("it opens")
}

fn put(ledger: &Ledger, batch: Batch) -> Result<(), String> {
    ledger.write(batch).expect("there is room").blocking_recv().expect("the thread answers")
}

/// Waits until the thread has closed the file.
fn close(Ledger { jobs, reader, thread }: Ledger) {
    drop((jobs, reader));
    thread.join().expect("the thread does not panic");
}

/// A ledger with one batch in it.
fn with(folder: &Path, batch: Batch) {
    let (ledger, _) = opened(folder);
    put(&ledger, batch).expect("the disk is writable");
    close(ledger);
}

fn event(id: u64) -> Batch {
    Batch { events: vec![(id, format!("event {id}").into_bytes())], ..Batch::default() }
}

const ALL: Span = Span { after: 0, most: usize::MAX };

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (ledger, found) = opened(folder.path());
    assert_eq!(found, Found::default());
    let batch = Batch {
        state: Some(b"{}".to_vec()),
        verdicts: vec![("recs".to_owned(), 7, b"hold".to_vec())],
        minutes: vec![
            ("recs".to_owned(), "list".to_owned(), 5, vec![1, 2]),
            ("recs".to_owned(), "other".to_owned(), 5, vec![3]),
        ],
        ..event(1)
    };
    put(&ledger, batch.clone()).expect("the disk is writable");
    // The same again, as after a failure whose outcome is unknown.
    put(&ledger, batch).expect("the disk is writable");
    put(&ledger, event(2)).expect("the disk is writable");
    close(ledger);

    let (ledger, found) = opened(folder.path());
    assert_eq!(found, Found { state: Some(b"{}".to_vec()), last_event: 2, last_verdict: 7, unavailable: None });
    let reader = ledger.reader();
    let ids = |rows: Vec<(u64, Vec<u8>)>| rows.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(reader.events(ALL).expect("readable")), [1, 2]);
    assert_eq!(ids(reader.events(Span { after: 1, most: 9 }).expect("readable")), [2]);
    assert_eq!(reader.verdicts("recs", 9).expect("readable"), [b"hold".to_vec()]);
    assert_eq!(reader.verdicts("rec", 9).expect("readable"), Vec::<Vec<u8>>::new());
    assert_eq!(reader.routes("recs").expect("readable"), ["list", "other"]);
    let mut hours = Vec::new();
    reader.each_hour(("recs", "list"), 0, |hour, records| hours.push((hour, records.to_vec()))).expect("readable");
    assert_eq!(hours, [(5, vec![1, 2])]);
}

#[test]
fn the_state_of_earlier_versions_is_taken_over_once() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let old = folder.path().join("gate.state");
    let body = r#"{"last_event":41,"rollout":""}"#;
    let checksum = xxhash_rust::xxh3::xxh3_64(body.as_bytes());
    fs::write(&old, format!("crossfade-state 1 {checksum:016x}\n{body}\n")).expect("the folder is writable");
    let (ledger, found) = opened(folder.path());
    assert_eq!(found.state.as_deref(), Some(body.as_bytes()));
    assert_eq!(found.last_event, 41);
    assert!(!old.exists(), "it is not taken over twice");
    close(ledger);
    assert_eq!(opened(folder.path()).1.state.as_deref(), Some(body.as_bytes()));
}

#[test]
fn a_newer_format_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("ledger.redb");
    let database = tables::open(&path).expect("it opens");
    let transaction = database.begin_write().expect("writable");
    transaction.open_table(tables::META).expect("a table").insert("format", FORMAT + 1).expect("writable");
    transaction.commit().expect("writable");
    drop(database);
    let error = Ledger::open(&data_dir(folder.path())).expect_err("a newer one wrote it");
    assert!(error.to_string().contains("has format 2, and this version knows formats up to 1"), "{error}");
}

#[test]
fn a_damaged_file_is_set_aside_and_allows_nothing() {
    for damage in ["damaged", ""] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        with(folder.path(), Batch { state: Some(b"{}".to_vec()), ..Batch::default() });
        fs::write(folder.path().join("ledger.redb"), damage).expect("the folder is writable");
        let (ledger, found) = opened(folder.path());
        assert_eq!(found, Found::default());
        put(&ledger, event(1)).expect("the new one is writable");
    }
}

#[test]
fn a_disk_that_was_away_is_noticed_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let in_the_way = folder.path().join("ledger.redb");
    fs::create_dir(&in_the_way).expect("the folder is writable");
    let (ledger, found) = opened(folder.path());
    assert!(found.unavailable.is_some());
    put(&ledger, event(1)).expect_err("a folder is no file");
    fs::remove_dir(&in_the_way).expect("the folder is writable");
    put(&ledger, event(1)).expect("now there is room");
    assert_eq!(ledger.reader().events(ALL).expect("readable").len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_file_that_is_cut_or_changed_anywhere_never_panics(at in 0usize..1 << 20, cut: bool) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        with(folder.path(), Batch { state: Some(vec![b'x'; 5000]), ..event(1) });
        let path = folder.path().join("ledger.redb");
        let mut bytes = fs::read(&path).expect("it was just written");
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= 0x55 }
        fs::write(&path, bytes).expect("the folder is writable");
        let (ledger, found) = opened(folder.path());
        prop_assert!(found.state.is_none_or(|state| state == vec![b'x'; 5000]));
        let _ = put(&ledger, event(2));
    }
}
