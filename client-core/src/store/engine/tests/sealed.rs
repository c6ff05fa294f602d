//! A sealed store: who can open it, what its files reveal, and how damage and interrupted changes of keys end.

use super::super::{journal, key_file, layout};
use super::*;
use crate::sealing::{Cover, DataKey};

const PLAIN_TEXT: &[u8] = "王芳 货架缺货 6901234567892".as_bytes();

fn other_key() -> StoreKey {
    StoreKey::new([0x22; 32])
}

/// A sealed store with values in its tree, split and whole, and in its journal.
fn fill(engine: &Engine) {
    put(engine, b"in the tree", PLAIN_TEXT);
    put(engine, b"in pieces", &PLAIN_TEXT.repeat(1000));
    fold(engine);
    put(engine, b"in the journal", PLAIN_TEXT);
}

fn assert_filled(engine: &Engine) {
    assert_eq!(engine.get(b"in the tree").unwrap().unwrap(), PLAIN_TEXT);
    assert_eq!(engine.get(b"in pieces").unwrap().unwrap(), PLAIN_TEXT.repeat(1000));
    assert_eq!(engine.get(b"in the journal").unwrap().unwrap(), PLAIN_TEXT);
    assert_eq!(engine.scan_prefix(b"").map(Result::unwrap).count(), 3);
}

/// Copies a store with its lock file, which the first opening creates and which stays.
fn copy_with_lock(from: &Path, to: &Path) {
    copy(from, to);
    fs::write(to.join("lock"), b"").unwrap();
}

/// A store after closing, and as a killed process leaves it.
fn closed_and_killed(folder: &Path, key: Option<&StoreKey>) -> [std::path::PathBuf; 2] {
    let (closed, killed) = (folder.join("closed-store"), folder.join("killed-store"));
    let engine = Engine::open(&closed, key).unwrap();
    fill(&engine);
    copy_with_lock(&closed, &killed);
    drop(engine);
    [closed, killed]
}

/// Every file and folder below a folder, with its bytes.
fn everything(folder: &Path) -> BTreeMap<std::path::PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
            found.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, Some(bytes));
        }
    }
    found
}

fn refused_untouched(folder: &Path, key: Option<&StoreKey>) -> EngineError {
    let before = everything(folder);
    let refused = Engine::open(folder, key).err().unwrap();
    assert!(before == everything(folder), "the store was changed: {refused}");
    refused
}

/// Files that an opening would remove, if it got that far.
fn leave_leftovers(folder: &Path) {
    for name in ["key.new", "journal.new", "snap.7FFFFFFFFFFFFFFF.generating"] {
        fs::write(folder.join(name), b"cut off").unwrap();
    }
}

fn holds(folder: &Path, text: &[u8]) -> bool {
    let mut files = everything(folder).into_values().flatten();
    files.any(|bytes| bytes.windows(text.len()).any(|window| window == text))
}

#[test]
fn no_file_of_a_sealed_store_shows_a_value() {
    let folder = folder();
    for key in [None, Some(key())] {
        let place = folder.path().join(if key.is_some() { "sealed" } else { "plain" });
        for store in closed_and_killed(&place, key.as_ref()) {
            assert_eq!(holds(&store, PLAIN_TEXT), key.is_none());
            // Keys are not sealed.
            assert!(holds(&store, b"in the tree"));
        }
    }
}

#[test]
fn the_key_itself_is_in_no_file() {
    let folder = folder();
    let bytes: [u8; 32] = std::array::from_fn(|nth| nth as u8 ^ 0x5a);
    fill(&Engine::open(folder.path(), Some(&StoreKey::new(bytes))).unwrap());
    assert!((0..24).all(|from| !holds(folder.path(), &bytes[from..from + 8])));
}

#[test]
fn without_its_key_a_sealed_store_is_refused_and_left_untouched() {
    let folder = folder();
    for store in closed_and_killed(folder.path(), Some(&key())) {
        leave_leftovers(&store);
        let refused = refused_untouched(&store, None);
        assert!(matches!(refused, EngineError::NeedsKey { .. }), "{refused}");
        assert!(refused.to_string().contains("keystore"), "{refused}");
        let refused = refused_untouched(&store, Some(&other_key()));
        assert!(matches!(refused, EngineError::WrongKey { .. }), "{refused}");
        assert_filled(&Engine::open(&store, Some(&key())).unwrap());
    }
}

#[test]
fn with_a_key_a_plain_store_is_refused_and_left_untouched() {
    let folder = folder();
    for store in closed_and_killed(folder.path(), None) {
        leave_leftovers(&store);
        let refused = refused_untouched(&store, Some(&key()));
        assert!(matches!(refused, EngineError::NotSealed { .. }), "{refused}");
        assert!(refused.to_string().contains("enrol in a new folder"), "{refused}");
        let engine = Engine::open(&store, None).unwrap();
        assert!(matches!(engine.change_key(&key()), Err(EngineError::NotSealed { .. })));
        assert_filled(&engine);
    }
}

#[test]
fn a_damaged_or_missing_key_file_is_refused_and_nothing_is_touched() {
    let folder = folder();
    for store in closed_and_killed(folder.path(), Some(&key())) {
        leave_leftovers(&store);
        let path = store.join("key");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x04;
            fs::write(&path, &bytes).unwrap();
            let refused = refused_untouched(&store, Some(&key()));
            assert!(matches!(refused, EngineError::Damaged { .. }), "byte {at}: {refused}");
            fs::write(&path, &whole[..at]).unwrap();
            let refused = refused_untouched(&store, Some(&key()));
            assert!(matches!(refused, EngineError::Damaged { .. }), "{at} bytes: {refused}");
        }
        fs::remove_file(&path).unwrap();
        for key in [None, Some(key())] {
            let refused = refused_untouched(&store, key.as_ref());
            assert!(matches!(refused, EngineError::Damaged { .. }), "{refused}");
            assert!(refused.to_string().contains("the file key is missing"), "{refused}");
        }
        fs::write(&path, &whole).unwrap();
        assert_filled(&Engine::open(&store, Some(&key())).unwrap());
    }
}

#[test]
fn a_key_file_of_a_newer_app_is_refused_and_left_untouched() {
    let folder = folder();
    drop(Engine::open(folder.path(), Some(&key())).unwrap());
    let path = folder.path().join("key");
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] = 2;
    let content_bytes = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..content_bytes]);
    bytes[content_bytes..].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, bytes).unwrap();
    let refused = refused_untouched(folder.path(), Some(&key()));
    assert!(matches!(refused, EngineError::NewerKeyFile { version: 2, .. }), "{refused}");
}

#[test]
fn an_entry_of_the_journal_that_was_not_sealed_for_its_place_is_damage() {
    let folder = folder();
    let [_, killed] = closed_and_killed(folder.path(), Some(&key()));
    let path = killed.join("journal.sealed");
    let mut bytes = fs::read(&path).unwrap();
    let content_bytes = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let entry = 8..16 + content_bytes;
    bytes[entry.end - 1] ^= 0x01;
    fs::write(&path, &bytes).unwrap();
    // The CRC ends the journal before it, and a commit that returned is missing.
    assert!(matches!(refused_untouched(&killed, Some(&key())), EngineError::Damaged { .. }));
    // With a corrected CRC only the seal reveals it.
    let crc = crc32fast::hash(&bytes[entry]);
    bytes[4..8].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let refused = refused_untouched(&killed, Some(&key()));
    assert!(
        matches!(&refused, EngineError::Damaged { detail, .. } if detail.contains("key did not seal")),
        "{refused}"
    );
}

#[test]
fn an_entry_from_before_a_fold_is_damage_behind_it() {
    let folder = folder();
    let (original, killed) = (folder.path().join("original"), folder.path().join("killed"));
    let engine = Engine::open(&original, Some(&key())).unwrap();
    let front = || {
        let bytes = fs::read(original.join("journal.sealed")).unwrap();
        let content_bytes = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        bytes[..16 + content_bytes].to_vec()
    };
    put(&engine, b"key", b"before");
    let before = front();
    fold(&engine);
    put(&engine, b"key", b"behind");
    let mut moved = front();
    copy_with_lock(&original, &killed);
    // The old content under the new number, with a matching CRC: both are in the front.
    moved[16..].copy_from_slice(&before[16..]);
    let crc = crc32fast::hash(&moved[8..]);
    moved[4..8].copy_from_slice(&crc.to_be_bytes());
    let path = killed.join("journal.sealed");
    let mut bytes = fs::read(&path).unwrap();
    bytes[..moved.len()].copy_from_slice(&moved);
    fs::write(&path, bytes).unwrap();
    let refused = refused_untouched(&killed, Some(&key()));
    assert!(
        matches!(&refused, EngineError::Damaged { detail, .. } if detail.contains("key did not seal")),
        "{refused}"
    );
}

#[test]
fn a_value_in_the_tree_that_was_not_sealed_for_its_place_is_damage() {
    let folder = folder();
    let engine = Engine::open(folder.path(), Some(&key())).unwrap();
    for (name, value) in [(b"a", vec![1; 300]), (b"b", vec![2; 300]), (b"c", vec![3; 20_000])] {
        put(&engine, name, &value);
    }
    fold(&engine);
    let stored = |key: &[u8]| engine.tree.get(key).unwrap().unwrap().to_vec();
    let assert_damaged = |name: &[u8], place: &[u8], bytes: &[u8]| {
        let before = stored(place);
        engine.tree.insert(place, bytes).unwrap();
        assert!(matches!(engine.get(name), Err(EngineError::Damaged { .. })));
        assert!(matches!(engine.scan_prefix(name).next(), Some(Err(EngineError::Damaged { .. }))));
        engine.tree.insert(place, before).unwrap();
        assert!(engine.get(name).unwrap().is_some());
    };
    let a = layout::data_key(b"a");
    for at in 0..stored(&a).len() {
        let mut bytes = stored(&a);
        bytes[at] ^= 0x80;
        assert_damaged(b"a", &a, &bytes);
    }
    // Another key's value, and no value at all.
    assert_damaged(b"a", &a, &stored(&layout::data_key(b"b")));
    assert_damaged(b"a", &a, &[0]);
    // A split value: one piece too few, and a piece of the previous value.
    let mut cut = stored(&layout::data_key(b"c"));
    *cut.last_mut().unwrap() -= 1;
    assert_damaged(b"c", &layout::data_key(b"c"), &cut);
    let second_piece = [&[2, 0, 1][..], b"c", &[0, 0, 0, 1]].concat();
    let before = stored(&second_piece);
    put(&engine, b"c", &vec![4; 20_000]);
    fold(&engine);
    assert_damaged(b"c", &second_piece, &before);
}

#[test]
fn the_key_file_of_another_store_opens_nothing() {
    let folder = folder();
    let [_, killed] = closed_and_killed(folder.path(), Some(&key()));
    // The host's key fits, but the store's key inside is another one.
    key_file::write(&killed, &key(), &DataKey::generate().unwrap()).unwrap();
    assert!(matches!(refused_untouched(&killed, Some(&key())), EngineError::Damaged { .. }));
}

/// Which of the two keys opens a store and finds everything.
fn keys_that_open(folder: &Path) -> (bool, bool) {
    let opens = |key: &StoreKey| match Engine::open(folder, Some(key)) {
        Ok(engine) => {
            assert_filled(&engine);
            true
        }
        Err(refused) => {
            assert!(matches!(refused, EngineError::WrongKey { .. }), "{refused}");
            false
        }
    };
    let opened = (opens(&key()), opens(&other_key()));
    assert!(!folder.join("key.new").exists());
    opened
}

#[test]
fn a_change_of_keys_takes_effect_at_once_and_the_store_goes_on() {
    let folder = folder();
    let engine = Engine::open(folder.path(), Some(&key())).unwrap();
    fill(&engine);
    engine.change_key(&other_key()).unwrap();
    put(&engine, b"in the journal", PLAIN_TEXT);
    drop(engine);
    assert_eq!(keys_that_open(folder.path()), (false, true));
}

#[test]
fn a_change_of_keys_that_breaks_off_leaves_the_old_key_or_the_new_one() {
    let folder = folder();
    let original = folder.path().join("original");
    let engine = Engine::open(&original, Some(&key())).unwrap();
    fill(&engine);
    let mut copies = 0;
    let mut assert_opens = |expected, change: &dyn Fn(&Path)| {
        copies += 1;
        let killed = folder.path().join(copies.to_string());
        copy(&original, &killed);
        change(&killed);
        assert_eq!(keys_that_open(&killed), expected, "copy {copies}");
    };
    let Cover::Sealed(data) = engine.cover() else { panic!("it is sealed") };
    key_file::write_unfinished(&original, &other_key(), data).unwrap();
    let unfinished = fs::read(original.join("key.new")).unwrap();
    for length in [0, 1, 9, unfinished.len() / 2, unfinished.len() - 1, unfinished.len()] {
        assert_opens((true, false), &|killed| {
            fs::write(killed.join("key.new"), &unfinished[..length]).unwrap();
        });
    }
    // Renamed before the folder was synced: the disk has the one or the other.
    assert_opens((false, true), &|killed| {
        fs::rename(killed.join("key.new"), killed.join("key")).unwrap();
    });
    // The same change again, after the interruption.
    engine.change_key(&other_key()).unwrap();
    assert_opens((false, true), &|_| ());
    // And back, with the remains of the first change.
    engine.change_key(&key()).unwrap();
    assert_opens((true, false), &|_| ());
}

#[test]
fn a_sealed_store_whose_making_broke_off_is_made() {
    let folder = folder();
    let whole = folder.path().join("whole");
    drop(Engine::open(&whole, Some(&key())).unwrap());
    let steps: [&[&str]; 4] = [&["key.new"], &["key"], &["key", "journal.new"], &["key", "journal.sealed"]];
    for (nth, names) in steps.into_iter().enumerate() {
        let broken = folder.path().join(nth.to_string());
        fs::create_dir(&broken).unwrap();
        for name in names {
            let from = whole.join(name.replace("journal.new", "journal.sealed").replace(".new", ""));
            fs::copy(from, broken.join(name)).unwrap();
        }
        let engine = Engine::open(&broken, Some(&key())).unwrap();
        fill(&engine);
        drop(engine);
        assert_eq!(keys_that_open(&broken), (true, false), "{names:?}");
        assert!(!broken.join("journal.new").exists() && !broken.join(journal::name(false)).exists());
    }
}
