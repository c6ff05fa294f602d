//! The size of a store on disk when the same entries are written again and again.

use super::*;

/// The number of live entries, and the bytes of each: a megabyte.
const LIVE: u64 = 500;
const VALUE_BYTES: usize = 2_048;
/// The entries of one commit.
const AT_ONCE: usize = 10;

/// The value of an entry in a round. It does not compress, and encodes both.
fn value(entry: u64, round: u64) -> Vec<u8> {
    let mut hash = blake3::Hasher::new();
    hash.update(&entry.to_be_bytes());
    hash.update(&round.to_be_bytes());
    let mut value = vec![0; VALUE_BYTES];
    hash.finalize_xof().fill(&mut value);
    value
}

fn overwrite(engine: &Engine, rounds: std::ops::Range<u64>) {
    for round in rounds {
        let entries: Vec<u64> = (0..LIVE).collect();
        for entries in entries.chunks(AT_ONCE) {
            let mut batch = Batch::default();
            for entry in entries {
                // Neighbours in a commit are far apart in the tree, as with records of random ids.
                let key = (entry * 7_919 % LIVE).to_be_bytes();
                batch.put(key, value(entry * 7_919 % LIVE, round));
            }
            engine.commit(batch).unwrap();
        }
    }
}

/// The measurements are in docs/adr/0002; the bounds are a third above them.
const OVERWRITTEN_BYTES_MAX: u64 = 15_000_000;
const REPLACED_TIMES_MAX: u64 = 2;

#[test]
fn a_store_that_is_overwritten_many_times_stops_growing() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    for fives in 0..10 {
        overwrite(&engine, fives * 5..(fives + 1) * 5);
        let bytes = engine.size_on_disk_bytes().unwrap();
        println!("{bytes} bytes on the disk after {} MB", (fives + 1) * 5);
        assert!(bytes < OVERWRITTEN_BYTES_MAX, "{bytes} bytes after {} MB", (fives + 1) * 5);
    }
    drop(engine);
    let engine = Engine::open(folder.path(), None).unwrap();
    for entry in 0..LIVE {
        assert_eq!(engine.get(&entry.to_be_bytes()).unwrap(), Some(value(entry, 49)));
    }
}

#[test]
fn what_is_removed_makes_room_for_what_comes() {
    let folder = folder();
    let engine = Engine::open(folder.path(), None).unwrap();
    let mut first = None;
    for generation in 0..5u64 {
        for (at, chunk) in (0..10_000u64).collect::<Vec<_>>().chunks(100).enumerate() {
            let mut batch = Batch::default();
            for entry in chunk {
                let number = |generation: u64| (generation * 10_000 + entry).to_be_bytes();
                batch.put(number(generation), value(*entry, generation));
                if let Some(before) = generation.checked_sub(1) {
                    batch.remove(number(before));
                }
            }
            engine.commit(batch).unwrap();
            assert!(at < 100);
        }
        let bytes = engine.size_on_disk_bytes().unwrap();
        println!("{bytes} bytes on the disk after generation {generation} of 20 MB");
        let bytes_max = *first.get_or_insert(bytes) * REPLACED_TIMES_MAX;
        assert!(bytes <= bytes_max, "{bytes} bytes after generation {generation}");
    }
}
