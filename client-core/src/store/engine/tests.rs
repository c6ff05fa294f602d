#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod recovery;
mod sealed;
mod size;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Batch, Engine, EngineError, Entry, layout};
use crate::sealing::StoreKey;

fn key() -> StoreKey {
    StoreKey::new([0x11; 32])
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn put(engine: &Engine, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(key, value);
    engine.commit(batch).unwrap();
}

/// Folds the journal at once, as a full journal does.
fn fold(engine: &Engine) {
    engine.fold(&mut engine.writing.lock().unwrap()).ok().unwrap();
    // The noted number is the actual one.
    let noted = layout::noted_entries(&engine.tree).ok().unwrap();
    assert_eq!(noted, layout::count_entries(&engine.tree).ok());
}

fn keys(entries: impl Iterator<Item = Result<Entry, EngineError>>) -> Vec<Vec<u8>> {
    entries.map(|entry| entry.unwrap().0).collect()
}

/// Every file below a folder except the lock, with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") && !path.ends_with("closed") {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Copies a store as a killed process leaves it: the content of its files while it is open.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.join(Path::new(&name).strip_prefix(from).unwrap()), bytes).unwrap();
    }
}

#[test]
fn what_is_put_is_read_and_what_is_removed_is_gone() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let mut batch = Batch::default();
    batch.put("a", "1");
    batch.put("b", "2");
    batch.remove("never there");
    engine.commit(batch).unwrap();
    engine.commit(Batch::default()).unwrap();
    assert_eq!(engine.get(b"a").unwrap(), Some(b"1".to_vec()));
    assert!(engine.contains(b"b").unwrap() && !engine.contains(b"c").unwrap());

    let mut batch = Batch::default();
    batch.remove("a");
    batch.put("b", "");
    engine.commit(batch).unwrap();
    assert_eq!(engine.get(b"a").unwrap(), None);
    assert_eq!(engine.get(b"b").unwrap(), Some(vec![]));
    assert!(engine.size_on_disk_bytes().unwrap() > 0);
}

#[test]
fn scans_do_not_leak_into_neighbours() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let all: [&[u8]; 7] = [b"a", b"a\xff", b"a\xff\xff", b"b", b"b\x00", b"c", b"\xff\xff"];
    // Some are folded into the tree, some are only in the journal, and one is removed.
    all.iter().step_by(2).for_each(|key| put(&engine, key, b"in the tree"));
    put(&engine, b"a\xffgone", &[7; 9000]);
    fold(&engine);
    all.iter().skip(1).step_by(2).for_each(|key| put(&engine, key, b"in the journal"));
    let mut batch = Batch::default();
    batch.remove(b"a\xffgone");
    engine.commit(batch).unwrap();
    assert_eq!(keys(engine.scan_prefix(b"")), all);
    assert_eq!(keys(engine.scan_prefix(b"a")), all[..3]);
    assert_eq!(keys(engine.scan_prefix(b"a\xff")), all[1..3]);
    assert_eq!(keys(engine.scan_prefix(b"b")), all[3..5]);
    assert_eq!(keys(engine.scan_prefix(b"\xff")), all[6..]);
    assert_eq!(keys(engine.scan_range(b"a\xff", b"c")), all[1..5]);
    assert_eq!(keys(engine.scan_range(b"c", b"c")).len() + keys(engine.scan_range(b"c", b"a")).len(), 0);
}

#[test]
fn a_store_is_open_once() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let refused = Engine::open(folder.path(), None).err().unwrap();
    assert!(matches!(refused, EngineError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("close the app or program"), "{refused}");
    drop(engine);
    Engine::open(folder.path(), None).unwrap();
}

#[test]
fn reopening_at_once_finds_everything() {
    let folder = folder();
    for round in 0..20_u8 {
        let engine = Engine::open(folder.path(), None).unwrap();
        assert_eq!(engine.scan_prefix(b"").count(), usize::from(round) * 2);
        put(&engine, &[round, 0], &[round; 100]);
        put(&engine, &[round, 1], &[round; 20_000]);
    }
}

#[test]
fn what_is_committed_survives_a_killed_process() {
    let folder = folder();
    let original = folder.path().join("original");
    let engine = Engine::open(&original, None).unwrap();
    for number in 0..700_u32 {
        put(&engine, &number.to_be_bytes(), &[1; 10_000]);
        if number % 97 == 0 {
            let copied = folder.path().join(number.to_string());
            copy(&original, &copied);
            let journal = fs::read(copied.join("journal")).unwrap();
            let found = Engine::open(&copied, None).unwrap();
            assert_eq!(found.scan_prefix(b"").count(), number as usize + 1);
            assert!(fs::read(copied.join("journal")).unwrap() == journal, "opening changes nothing in it");
        }
    }
    assert!(engine.pending.read().unwrap().len() < 700, "the journal was full once");
}

#[test]
fn long_values_stay_in_the_log_and_leave_nothing_behind() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let long: Vec<u8> = (0..600_000_u32).flat_map(u32::to_be_bytes).collect();
    for length in [6_000, 6_144, 6_145, 12_288, 600_000, 10, 2_000_000, 7_000] {
        for key in 0..40_u8 {
            put(&engine, &[key], &long[..length.min(if key == 0 { length } else { 13_000 })]);
        }
        assert_eq!(engine.get(&[0]).unwrap().unwrap(), long[..length]);
        fold(&engine);
        assert_eq!(engine.get(&[0]).unwrap().unwrap(), long[..length]);
    }
    // sled never syncs the files in blobs: none may ever be created.
    assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
    let mut batch = Batch::default();
    (0..40_u8).for_each(|key| batch.remove([key]));
    batch.put("big", vec![0; 7_000]);
    batch.remove("big");
    (0..300_u16).for_each(|key| batch.remove(key.to_be_bytes()));
    batch.put("last", vec![0; 7_000]);
    engine.commit(batch).unwrap();
    fold(&engine);
    assert_eq!(engine.tree.len(), 1 + 2 + 2, "one value, its two pieces and the two counts are left");
}

#[test]
fn what_is_too_long_is_refused_whole() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let mut batch = Batch::default();
    batch.put("short", "1");
    batch.put(vec![0; 257], "2");
    let refused = engine.commit(batch).unwrap_err();
    assert!(matches!(refused, EngineError::TooLong { what: "key", bytes: 257, .. }), "{refused}");
    assert!(!engine.contains(b"short").unwrap());
    put(&engine, b"short", b"the store goes on");
}

/// A closed store, with a snapshot and a log.
fn closed_store() -> TempDir {
    let folder = folder();
    for round in 0..3_u8 {
        let engine = Engine::open(folder.path(), None).unwrap();
        for key in 0..50_u8 {
            put(&engine, &[round, key], &[key; 300]);
        }
        fold(&engine);
    }
    folder
}

fn snapshot(folder: &Path) -> std::path::PathBuf {
    let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.display().to_string().contains("snap.")).unwrap()
}

fn assert_refused_untouched(folder: &Path) {
    let before = files(folder);
    for _ in 0..2 {
        let refused = Engine::open(folder, None).err().unwrap();
        assert!(matches!(refused, EngineError::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains("set the folder aside"), "{refused}");
    }
    assert!(before == files(folder), "a damaged store was changed");
}

/// A starting process has a copy of every open file until it becomes its own program.
#[test]
fn a_copy_of_the_lock_in_a_starting_process_does_not_keep_a_closed_store_shut() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let copy = engine.claim.lock.try_clone().unwrap();
    drop(engine);
    assert!(Engine::open(folder.path(), None).is_ok());
    drop(copy);
}

#[test]
fn a_damaged_snapshot_is_refused_and_left_untouched() {
    let folder = closed_store();
    let path = snapshot(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    assert_refused_untouched(folder.path());
}

#[test]
fn a_missing_or_empty_log_is_refused_and_left_untouched() {
    let folder = closed_store();
    fs::write(folder.path().join("db"), b"").unwrap();
    assert_refused_untouched(folder.path());
    fs::remove_file(folder.path().join("db")).unwrap();
    assert_refused_untouched(folder.path());
    fs::remove_file(snapshot(folder.path())).unwrap();
    assert_refused_untouched(folder.path());
}

#[test]
fn a_damaged_log_is_refused_and_left_untouched() {
    let folder = closed_store();
    // As after a power cut on a disk that does not flush: not closed, and an early segment is missing.
    fs::remove_file(folder.path().join("closed")).unwrap();
    fs::remove_file(snapshot(folder.path())).unwrap();
    let path = folder.path().join("db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000..40_000].fill(0x55);
    fs::write(&path, bytes).unwrap();
    assert_refused_untouched(folder.path());
}

#[test]
fn a_damaged_page_is_an_error_and_not_a_wrong_value() {
    let folder = closed_store();
    let path = folder.path().join("db");
    let mut bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(101) {
        bytes[at] ^= 0x55;
    }
    fs::write(&path, bytes).unwrap();
    let outcome = Engine::open(folder.path(), None)
        .and_then(|engine| engine.scan_prefix(b"").collect::<Result<Vec<_>, _>>());
    assert!(matches!(outcome, Err(EngineError::Damaged { .. })), "{outcome:?}");
}

#[test]
fn an_unfinished_snapshot_does_not_stop_the_store() {
    let folder = closed_store();
    let unfinished = folder.path().join("snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&unfinished, b"cut off").unwrap();
    let engine = Engine::open(folder.path(), None).unwrap();
    assert_eq!(engine.scan_prefix(b"").count(), 150);
    assert!(!unfinished.exists());
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Option<usize>)>),
    Fold,
    Reopen,
    ReopenCopy,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![6 => 0..600_usize, 1 => 5_000..20_000_usize];
    let write = (0..40_u8, prop::option::weighted(0.7, length));
    prop_oneof![
        40 => prop::collection::vec(write, 1..6).prop_map(Step::Commit),
        1 => Just(Step::Fold),
        1 => Just(Step::Reopen),
        1 => Just(Step::ReopenCopy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn the_engine_agrees_with_a_map(
        steps in prop::collection::vec(step(), 1..400),
        is_sealed in any::<bool>(),
    ) {
        let key = is_sealed.then(key);
        let key = key.as_ref();
        let folder = folder();
        let mut path = folder.path().join("0");
        let mut engine = Some(Engine::open(&path, key).unwrap());
        let mut model = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Commit(writes) => {
                    let mut batch = Batch::default();
                    for (key, length) in writes {
                        let key = vec![key / 8, key % 8];
                        match length {
                            Some(length) => {
                                let value = vec![number as u8; length];
                                batch.put(key.clone(), value.clone());
                                model.insert(key, value);
                            }
                            None => {
                                batch.remove(key.clone());
                                model.remove(&key);
                            }
                        }
                    }
                    engine.as_ref().unwrap().commit(batch).unwrap();
                }
                Step::Fold => fold(engine.as_ref().unwrap()),
                Step::Reopen => {
                    engine = None;
                    engine.replace(Engine::open(&path, key).unwrap());
                }
                Step::ReopenCopy => {
                    let copied = folder.path().join((number + 1).to_string());
                    copy(&path, &copied);
                    path = copied;
                    engine = Some(Engine::open(&path, key).unwrap());
                }
            }
        }
        let engine = engine.unwrap();
        for prefix in 0..5_u8 {
            let expected: Vec<Entry> = model.range(vec![prefix]..vec![prefix + 1]).map(|(k, v)| (k.clone(), v.clone())).collect();
            let found: Vec<Entry> = engine.scan_prefix(&[prefix]).map(Result::unwrap).collect();
            prop_assert_eq!(found, expected);
        }
        for key in 0..40_u8 {
            let key = [key / 8, key % 8];
            prop_assert_eq!(engine.get(&key).unwrap(), model.get(&key[..]).cloned());
            prop_assert_eq!(engine.contains(&key).unwrap(), model.contains_key(&key[..]));
        }
    }
}
