use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn data_dir(folder: &Path) -> DataDir {
    DataDir::at(folder)
}

fn opened(folder: &Path) -> (Ledger, Found) {
    Ledger::open(&data_dir(folder)).expect("it opens")
}

fn put(ledger: &Ledger, batch: Batch) -> Result<(), NotWritten> {
    ledger.write(batch).expect("there is room").blocking_recv().expect("the thread answers")
}

/// Waits until the thread has closed the file.
fn close(Ledger { jobs, reader, thread, lock }: Ledger) {
    drop((jobs, reader, lock));
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
    let past = vec![b"event 2".to_vec(), b"event 1".to_vec()];
    assert_eq!(found, Found { state: Some(b"{}".to_vec()), last_event: 2, last_verdict: 7, past, unavailable: None });
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
    put(&ledger, event(1)).expect("now there is room, and nothing in it that was not known");
    assert_eq!(ledger.reader().events(ALL).expect("readable").len(), 1);
}

#[test]
fn what_was_in_a_ledger_that_could_not_be_read_is_told_before_it_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    with(folder.path(), Batch { state: Some(b"{}".to_vec()), ..event(1) });
    let (path, away) = (folder.path().join("ledger.redb"), folder.path().join("away"));
    fs::rename(&path, &away).expect("the folder is writable");
    fs::create_dir(&path).expect("the folder is writable");
    let (ledger, found) = opened(folder.path());
    assert!(found.unavailable.is_some() && found.state.is_none());
    fs::remove_dir(&path).expect("the folder is writable");
    fs::rename(&away, &path).expect("the folder is writable");
    let batch = Batch { state: Some(b"[]".to_vec()), ..event(2) };
    let Err(NotWritten::Found(found)) = put(&ledger, batch.clone()) else { panic!("it was not told") };
    assert_eq!((found.state.as_deref(), found.last_event), (Some(b"{}".as_slice()), 1));
    put(&ledger, batch).expect("it is known now");
}

#[test]
fn a_ledger_that_cannot_be_written_is_read() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    with(folder.path(), Batch { state: Some(b"{}".to_vec()), ..event(1) });
    let data_dir = data_dir(folder.path());
    let database = InDirectory::new(&data_dir).look().expect("readable");
    writer::apply(&database, &event(2)).expect("in memory");
    drop(database);
    let found = tables::look(&InDirectory::new(&data_dir).look().expect("readable")).expect("readable");
    assert_eq!((found.state.as_deref(), found.last_event), (Some(b"{}".as_slice()), 1), "nothing was written");
}

/// A disk that does not answer until it is told to.
struct Hung(InDirectory, mpsc::Receiver<()>);

impl Medium for Hung {
    fn open(&self) -> Result<redb::Database, tables::OpenFailure> {
        self.1.recv().expect("the test ends it");
        self.0.open()
    }

    fn look(&self) -> Result<redb::Database, tables::OpenFailure> {
        self.0.look()
    }

    fn path(&self) -> PathBuf {
        self.0.path()
    }

    fn set_aside(&self) -> Result<PathBuf, StateError> {
        self.0.set_aside()
    }
}

#[test]
fn a_disk_that_hangs_at_the_start_holds_up_nobody_and_is_heard_later() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    with(folder.path(), Batch { state: Some(b"{}".to_vec()), ..event(1) });
    let data_dir = data_dir(folder.path());
    let (answer, hangs) = mpsc::channel();
    let hung = Hung(InDirectory::new(&data_dir), hangs);
    let patience = Duration::from_millis(20);
    let (ledger, found) =
        Ledger::on(hung, data_dir.gate_state(), data_dir.recording(), patience).expect("it goes on without");
    assert!(found.unavailable.is_some() && found.state.is_none());
    let receipt = ledger.write(event(2)).expect("there is room");
    for _ in 0..2 {
        answer.send(()).expect("the thread waits for it");
    }
    let told = receipt.blocking_recv().expect("the thread answers");
    assert!(matches!(told, Err(NotWritten::Found(found)) if found.last_event == 1));
    put(&ledger, event(2)).expect("it answers now");
}

#[test]
fn a_data_directory_of_another_process_is_refused() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (ledger, _) = opened(folder.path());
    let refused = Ledger::open(&data_dir(folder.path())).expect_err("it is in use");
    assert!(matches!(refused, LedgerError::InUse(_)), "{refused}");
    close(ledger);
    opened(folder.path());
}

/// Whoever opens a file that is a pipe waits for the other end of it.
#[test]
fn a_directory_whose_lock_hangs_holds_up_nobody_and_is_taken_later() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    with(folder.path(), Batch { state: Some(b"{}".to_vec()), ..event(1) });
    let pipe = folder.path().join("lock");
    fs::remove_file(&pipe).expect("the folder is writable");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("coreutils are installed");
    assert!(made.success());
    let data_dir = data_dir(folder.path());
    let (medium, recording) = (InDirectory::new(&data_dir), data_dir.recording());
    let patience = Duration::from_millis(20);
    let (ledger, found) = Ledger::on(medium, data_dir.gate_state(), recording, patience).expect("it goes on without");
    assert!(found.unavailable.is_some() && found.state.is_none());
    let receipt = ledger.write(event(2)).expect("there is room");
    let other_end = fs::File::open(&pipe).expect("the thread is at this end");
    let told = receipt.blocking_recv().expect("the thread answers");
    assert!(matches!(told, Err(NotWritten::Found(found)) if found.last_event == 1));
    put(&ledger, event(2)).expect("it answers now");
    drop(other_end);
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
