//! How an opened store recovers from its journal, whatever a crash left in it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{Cover, Salvage, before_open, layout, opening};
use super::*;

fn journal_path(folder: &Path) -> std::path::PathBuf {
    folder.join(if folder.join("key").exists() { "journal.sealed" } else { "journal" })
}

fn journal(folder: &Path) -> Vec<u8> {
    fs::read(journal_path(folder)).unwrap()
}

fn write_journal(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = journal(folder);
    change(&mut bytes);
    fs::write(journal_path(folder), bytes).unwrap();
}

/// The offset of each entry, and the end of the last one.
fn entry_starts(journal: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    loop {
        let at = starts[starts.len() - 1];
        let content_bytes = u32::from_be_bytes(journal[at..at + 4].try_into().unwrap());
        if content_bytes == 0 {
            return starts;
        }
        starts.push(at + 16 + content_bytes as usize);
    }
}

/// A store as a killed process leaves it, with one key per commit.
fn killed_store(folder: &Path, commits: u8) {
    let original = folder.join("original");
    let engine = Engine::open(&original, None).unwrap();
    (0..commits).for_each(|key| put(&engine, &[key], &[key; 300]));
    copy(&original, &folder.join("killed"));
}

fn assert_holds(folder: &Path, keys_expected: impl IntoIterator<Item = u8>) {
    let engine = Engine::open(folder, None).unwrap();
    let expected: Vec<_> = keys_expected.into_iter().map(|key| vec![key]).collect();
    assert_eq!(keys(engine.scan_prefix(b"")), expected);
}

#[test]
fn a_commit_that_is_half_written_never_was() {
    let folder = folder();
    killed_store(folder.path(), 5);
    let killed = folder.path().join("killed");
    // It did not return, so it was not acknowledged.
    fs::write(killed.join("acknowledged"), opening::acknowledgement(4)).unwrap();
    let starts = entry_starts(&journal(&killed));
    write_journal(&killed, |bytes| bytes[starts[4] + 200..].fill(0));
    assert_holds(&killed, 0..4);
    let engine = Engine::open(&killed, None).unwrap();
    put(&engine, &[9], b"in its place");
    drop(engine);
    assert_holds(&killed, [0, 1, 2, 3, 9]);
}

#[test]
fn a_damaged_commit_is_noticed_and_nothing_is_touched() {
    let folder = folder();
    killed_store(folder.path(), 5);
    let killed = folder.path().join("killed");
    let starts = entry_starts(&journal(&killed));
    write_journal(&killed, |bytes| bytes[starts[2] + 100] ^= 0x01);
    assert_refused_untouched(&killed);
    // What precedes the damage can be rescued, as docs/adr/0002 says.
    fs::remove_file(killed.join("acknowledged")).unwrap();
    assert_holds(&killed, 0..2);
}

#[test]
fn what_lies_behind_the_last_commit_is_left_from_before() {
    let folder = folder();
    let original = folder.path().join("original");
    let engine = Engine::open(&original, None).unwrap();
    for round in 0..4_u8 {
        // All entries have the same length, so that an old one begins where a new one ends.
        (0..10 - 2 * round).for_each(|key| put(&engine, &[key], &[round; 300]));
        let killed = folder.path().join(round.to_string());
        copy(&original, &killed);
        let found = Engine::open(&killed, None).unwrap();
        for key in 0..10 {
            // The last round that wrote the key.
            let written_in = round.min((9 - key) / 2);
            assert_eq!(found.get(&[key]).unwrap(), Some(vec![written_in; 300]), "{round} {key}");
        }
        fold(&engine);
    }
}

#[test]
fn a_journal_that_begins_after_the_tree_ends_is_refused() {
    let folder = folder();
    killed_store(folder.path(), 5);
    let (original, killed) = (folder.path().join("original"), folder.path().join("killed"));
    let engine = Engine::open(&original, None).unwrap();
    fold(&engine);
    put(&engine, b"later", b"1");
    // The tree from before the fold and the journal from after it: data that sled reported as durable are missing.
    write_journal(&killed, |bytes| *bytes = journal(&original));
    fs::remove_file(killed.join("acknowledged")).unwrap();
    assert_refused_untouched(&killed);
}

/// As sled does when it skips a part of its log.
#[test]
fn an_entry_that_left_the_tree_without_a_trace_is_missed() {
    let folder = folder();
    let (original, killed) = (folder.path().join("original"), folder.path().join("killed"));
    let engine = Engine::open(&original, None).unwrap();
    (0..20_u8).for_each(|key| put(&engine, &[key], &[key; 300]));
    fold(&engine);
    put(&engine, &[7], b"only in the journal yet");
    engine.tree.remove(layout::data_key(&[5])).unwrap();
    engine.tree.flush().unwrap();
    copy(&original, &killed);
    assert_refused_untouched(&killed);
    let salvage = Salvage::open(&killed, Cover::Plain).unwrap();
    assert_eq!(salvage.get(&[5]), None);
    let mut came = 0;
    let count = |_, _| -> Result<(), EngineError> {
        came += 1;
        Ok(())
    };
    let losses = salvage.each(count).unwrap();
    assert_eq!((came, losses.into_texts()), (19, vec!["of 20 entries of the tree 19 came out".to_owned()]));
}

#[test]
fn a_store_that_was_mended_is_not_refused_for_what_it_had_lost() {
    let folder = folder();
    let (original, killed) = (folder.path().join("original"), folder.path().join("killed"));
    let engine = Engine::open(&original, None).unwrap();
    (0..20_u8).for_each(|key| put(&engine, &[key], &[key; 300]));
    fold(&engine);
    engine.tree.remove(layout::data_key(&[5])).unwrap();
    drop(engine);
    let engine = Engine::open(&original, None).unwrap();
    engine.recount().unwrap();
    put(&engine, &[5], b"as the server has it");
    copy(&original, &killed);
    assert_holds(&killed, 0..20);
    fold(&engine);
    let folded = folder.path().join("folded");
    copy(&original, &folded);
    assert_holds(&folded, 0..20);
}

#[test]
fn a_store_of_before_entries_were_counted_is_counted() {
    let folder = folder();
    killed_store(folder.path(), 5);
    let killed = folder.path().join("killed");
    let engine = Engine::open(&killed, None).unwrap();
    fold(&engine);
    engine.tree.remove([4]).unwrap();
    drop(engine);
    let engine = Engine::open(&killed, None).unwrap();
    assert_eq!(
        engine.writing.lock().unwrap().tree_entries,
        None,
        "it was closed, so that opening it is quick"
    );
    put(&engine, &[9], b"1");
    fold(&engine);
    assert_eq!(layout::noted_entries(&engine.tree).ok().unwrap(), Some(6));
}

#[test]
fn a_crash_at_any_step_of_a_fold_loses_nothing() {
    survives_a_crash_at_any_step_of_a_fold(None);
}

#[test]
fn a_crash_at_any_step_of_a_sealed_stores_fold_loses_nothing() {
    survives_a_crash_at_any_step_of_a_fold(Some(&key()));
}

fn survives_a_crash_at_any_step_of_a_fold(key: Option<&StoreKey>) {
    let folder = folder();
    let original = folder.path().join("original");
    let engine = Engine::open(&original, key).unwrap();
    let mut model = BTreeMap::new();
    for (number, length) in [10, 20_000, 300, 9_000, 0, 40_000].into_iter().enumerate() {
        put(&engine, &[number as u8], &vec![7; 15_000]);
        fold(&engine);
        put(&engine, &[number as u8], &vec![number as u8; length]);
        model.insert(vec![number as u8], vec![number as u8; length]);
    }
    let mut copies = 0;
    let mut assert_survives = |tear: &dyn Fn(&mut Vec<u8>)| {
        copies += 1;
        let killed = folder.path().join(copies.to_string());
        copy(&original, &killed);
        write_journal(&killed, tear);
        for _ in 0..2 {
            let found = Engine::open(&killed, key).unwrap();
            let entries: BTreeMap<_, _> = found.scan_prefix(b"").map(Result::unwrap).collect();
            assert!(entries == model, "copy {copies}");
            fold(&found);
        }
    };
    let untouched = |_: &mut Vec<u8>| {};
    layout::forget_entries(&engine.tree).ok().unwrap();
    engine.tree.flush().unwrap();
    assert_survives(&untouched);
    let mut entries = engine.writing.lock().unwrap().tree_entries;
    for (name, value) in engine.pending.read().unwrap().iter() {
        let more = layout::fold_write(&engine.tree, &engine.cover, name, value.as_deref()).ok().unwrap();
        entries = entries.map(|entries| entries.saturating_add_signed(more));
        engine.tree.flush().unwrap();
        assert_survives(&untouched);
    }
    let commits = engine.writing.lock().unwrap().journal.commits();
    layout::end_fold(&engine.tree, commits, entries).ok().unwrap();
    engine.tree.flush().unwrap();
    assert_survives(&untouched);
    // The first commit after it is written over the first entry, and is interrupted: in its header, in its content, or
    // with a later part written and the front not.
    assert_survives(&|bytes| bytes[..10].fill(0x33));
    assert_survives(&|bytes| bytes[4..600].fill(0x33));
    assert_survives(&|bytes| bytes[512..600].fill(0x33));
}

#[test]
fn a_full_journal_begins_anew_and_its_file_stays_as_long() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let file_bytes = || fs::metadata(folder.path().join("journal")).unwrap().len();
    let made_bytes = file_bytes();
    put(&engine, b"short", b"1");
    put(&engine, b"longer than the journal", &vec![1; 5_000_000]);
    assert_eq!(engine.pending.read().unwrap().len(), 1);
    assert!(file_bytes() > made_bytes);
    assert!(engine.size_on_disk_bytes().unwrap() > file_bytes());
    drop(engine);
    let engine = Engine::open(folder.path(), None).unwrap();
    assert_eq!(engine.get(b"longer than the journal").unwrap(), Some(vec![1; 5_000_000]));
    (0..20_u8).for_each(|key| put(&engine, &[key], &vec![1; 500_000]));
    assert_eq!(file_bytes(), made_bytes);
    drop(engine);
    assert_eq!(Engine::open(folder.path(), None).unwrap().scan_prefix(b"").count(), 22);
}

#[test]
fn a_store_without_its_journal_is_refused_and_left_untouched() {
    let folder = folder();
    killed_store(folder.path(), 5);
    let killed = folder.path().join("killed");
    fs::remove_file(killed.join("journal")).unwrap();
    assert_refused_untouched(&killed);
}

#[test]
fn a_store_whose_making_broke_off_is_made() {
    let folder = folder();
    let unfinished = folder.path().join("journal.new");
    fs::write(&unfinished, b"cut off").unwrap();
    drop(Engine::open(folder.path(), None).unwrap());
    assert!(!unfinished.exists());
    // The journal was created, and sled's log was not.
    let second = folder.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::copy(folder.path().join("journal"), second.join("journal")).unwrap();
    put(&Engine::open(&second, None).unwrap(), &[1], b"1");
    assert_holds(&second, [1]);
    // sled's first files were created, and their content has not reached the disk.
    let third = folder.path().join("third");
    fs::create_dir(&third).unwrap();
    for name in ["journal", "conf", "db"] {
        fs::copy(folder.path().join(name), third.join(name)).unwrap();
    }
    fs::write(third.join("conf"), [0; 58]).unwrap();
    assert_refused_untouched(&third);
    fs::write(third.join("making"), b"").unwrap();
    put(&Engine::open(&third, None).unwrap(), &[1], b"1");
    assert!(!third.join("making").exists());
    assert_holds(&third, [1]);
}

#[cfg(target_os = "linux")]
#[test]
fn after_a_write_that_failed_the_store_stops_until_it_is_opened_again() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    put(&engine, &[1], b"1");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    engine.writing.lock().unwrap().journal.write_into(full);
    let mut batch = Batch::default();
    batch.put([2], b"2");
    let failed = engine.commit(batch).unwrap_err();
    assert!(
        matches!(&failed, EngineError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{failed}"
    );
    assert!(matches!(engine.commit(Batch::default()), Ok(())), "there is nothing to write");
    let mut batch = Batch::default();
    batch.put([3], b"3");
    assert!(matches!(engine.commit(batch), Err(EngineError::Stopped { .. })));
    assert!(matches!(engine.get(&[1]), Err(EngineError::Stopped { .. })));
    drop(engine);
    assert_holds(folder.path(), [1]);
}

#[test]
fn readers_see_every_key_while_the_journal_is_folded() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let write = |round: u8| {
        let mut batch = Batch::default();
        for key in 0..300_u16 {
            // Some values are split in one round and short in another.
            let bytes = if (key + u16::from(round)).is_multiple_of(50) { 20_000 } else { 100 };
            batch.put(key.to_be_bytes(), vec![round; bytes]);
        }
        engine.commit(batch).unwrap();
    };
    write(0);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                assert_eq!(engine.scan_prefix(b"").map(Result::unwrap).count(), 300);
                assert!((0..300_u16).all(|key| engine.get(&key.to_be_bytes()).unwrap().is_some()));
            }
        });
        (1..40).for_each(|round| {
            fold(&engine);
            write(round);
        });
        is_done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
}

#[test]
fn a_torn_note_of_what_was_acknowledged_refuses_nothing() {
    let folder = folder();
    killed_store(folder.path(), 5);
    let killed = folder.path().join("killed");
    let note = fs::read(killed.join("acknowledged")).unwrap();
    for torn in 0..note.len() {
        // What an interrupted write leaves over an older, or a newer, number.
        let mut bytes = note.clone();
        bytes[torn..].fill(0xFA);
        fs::write(killed.join("acknowledged"), bytes).unwrap();
        assert_holds(&killed, 0..5);
        fs::write(killed.join("acknowledged"), &note[..torn]).unwrap();
        assert_holds(&killed, 0..5);
    }
}

/// Opens a killed store, and leaves the folder as a crash does while sled opens it: the copy is made, and sled has
/// changed its files.
fn crashed_opening(folder: &Path, change: impl FnOnce(&Path)) -> std::path::PathBuf {
    let original = folder.join("original");
    let engine = Engine::open(&original, None).unwrap();
    (0..5).for_each(|key| put(&engine, &[key], &[key; 300]));
    fold(&engine);
    put(&engine, &[5], &[5; 300]);
    let killed = folder.join("killed");
    copy(&original, &killed);
    before_open::make(&killed).unwrap();
    change(&killed);
    killed
}

#[test]
fn a_crash_while_sled_opens_is_undone_by_the_next_opening() {
    let changes: [fn(&Path); 3] = [
        |killed| fs::write(killed.join("db"), b"").unwrap(),
        |killed| {
            let mut log = fs::read(killed.join("db")).unwrap();
            log[100..].fill(0);
            fs::write(killed.join("db"), log).unwrap();
        },
        |killed| fs::write(killed.join("snap.7FFFFFFFFFFFFFFF"), b"of a log that is gone").unwrap(),
    ];
    for change in changes {
        let folder = folder();
        let killed = crashed_opening(folder.path(), change);
        assert_holds(&killed, 0..6);
        assert!(!killed.join("before-open").exists());
        assert_holds(&killed, 0..6);
    }
}

#[test]
fn a_crash_while_sleds_files_are_put_back_is_undone_as_well() {
    let folder = folder();
    let killed = crashed_opening(folder.path(), |killed| fs::write(killed.join("db"), b"").unwrap());
    assert!(before_open::put_back(&killed).unwrap());
    let log = fs::read(killed.join("db")).unwrap();
    fs::write(killed.join("db"), &log[..log.len() / 2]).unwrap();
    assert_holds(&killed, 0..6);
}

#[test]
fn a_copy_that_is_not_whole_is_not_put_back() {
    let folder = folder();
    let killed = crashed_opening(folder.path(), |_| {});
    for name in ["before-open.new", "before-open.old"] {
        fs::rename(killed.join("before-open"), killed.join(name)).unwrap();
        fs::write(killed.join(name).join("db"), b"a part").unwrap();
        assert_holds(&killed, 0..6);
        assert!(!killed.join(name).exists());
        before_open::make(&killed).unwrap();
    }
}
