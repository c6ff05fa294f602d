//! What the spool holds, what a crash does to it, and what is evicted.

use super::*;
use proptest::prelude::*;

const DEVICE: DeviceNo = DeviceNo(7);
const NOW_MS: i64 = 1_795_428_000_000;

fn limits() -> SpoolLimits {
    SpoolLimits { disk_free_bytes_min: 0, ..SpoolLimits::default() }
}

fn open(folder: &tempfile::TempDir, limits: SpoolLimits) -> Spool {
    Spool::open(folder.path().join("spool"), limits).expect("a folder of our own")
}

fn key(device: u32, picture: &[u8]) -> Key {
    Key { device: DeviceNo(device), hash: ContentHash::of(picture) }
}

/// Bytes that differ by offset.
fn picture(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 251 + at * 7) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Whatever pieces arrive and wherever the server is killed, the spool holds what a plain list of bytes would, with
    /// its hash.
    #[test]
    fn it_holds_what_a_list_of_bytes_would(
        pieces in prop::collection::vec((0..2_500_000u64, 0..600_000usize, any::<u8>(), 0..6u8), 1..16),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let size = 3_000_000;
        let key = Key { device: DEVICE, hash: ContentHash([1; 32]) };
        let mut spool = open(&folder, limits());
        let mut model: Vec<u8> = Vec::new();
        spool.begin(key, size, NOW_MS).expect("room");
        for (place, bytes, with, how) in pieces {
            // Mostly where a device would send: at the end, or from the beginning.
            let from = match how { 0 => place, 1 => 0, _ => model.len() as u64 };
            let piece = vec![with; bytes];
            let fits = from + bytes as u64 <= size;
            match spool.keep(key, from, &piece, NOW_MS) {
                Ok(_) if from > model.len() as u64 => {}
                Ok(_) => {
                    prop_assert!(fits);
                    model.truncate(usize::try_from(from).expect("small"));
                    model.extend(&piece);
                }
                Err(SpoolError::TooLarge) => prop_assert!(!fits),
                Err(error) => prop_assert!(false, "{error}"),
            }
            if with % 5 == 0 {
                spool = open(&folder, limits());
            }
            let front = spool.begin(key, size, NOW_MS).expect("room");
            prop_assert_eq!((front.bytes, front.hash), (model.len() as u64, ContentHash::of(&model)));
        }
        if !model.is_empty() {
            prop_assert!(spool.read(key).expect("readable") == model);
        }
    }
}

#[test]
fn the_end_of_a_file_that_a_crash_tore_is_told_by_its_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = picture(100_000);
    let key = key(1, &whole);
    let spool = open(&folder, limits());
    spool.begin(key, 100_000, NOW_MS).expect("room");
    spool.keep(key, 0, &whole[..60_000], NOW_MS).expect("room");
    let mut torn = fs::read(spool.path(key)).expect("it is there");
    torn.truncate(50_000);
    torn[49_000..].fill(0);
    fs::write(spool.path(key), &torn).expect("writable");
    let spool = open(&folder, limits());
    let front = spool.begin(key, 100_000, NOW_MS).expect("room");
    assert_eq!((front.bytes, front.hash), (50_000, ContentHash::of(&torn)));
    // The device sees that this is not its own front, and sends everything.
    let front = spool.keep(key, 0, &whole, NOW_MS).expect("room").expect("begun");
    assert_eq!((front.bytes, front.hash), (100_000, ContentHash::of(&whole)));
}

#[test]
fn room_is_made_by_ones_own_oldest_and_by_what_lies_idle() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = SpoolLimits { per_device_max: 2, pictures_max: 3, bytes_max: 300, idle_ms: 50, ..limits() };
    let spool = open(&folder, limits);
    let pictures: Vec<Vec<u8>> = (0..9u8).map(|n| vec![n; 100]).collect();
    let put = |device, n: usize, now_ms| {
        let key = key(device, &pictures[n]);
        spool.begin(key, 100, now_ms)?;
        spool.keep(key, 0, &pictures[n][..10], now_ms)
    };
    let holds = |device, n: usize| spool.path(key(device, &pictures[n])).exists();
    put(1, 0, 10).expect("room");
    put(1, 1, 20).expect("room");
    put(1, 2, 30).expect("its own oldest makes room");
    assert!(!holds(1, 0) && holds(1, 1) && holds(1, 2));
    put(2, 3, 40).expect("room");
    assert!(matches!(put(3, 4, 50), Err(SpoolError::Full)), "nothing lies idle yet");
    put(3, 4, 75).expect("the first device's picture lies idle");
    assert!(!holds(1, 1) && holds(1, 2) && holds(2, 3) && holds(3, 4));
    let large = spool.begin(key(4, b"large"), 301, 1000);
    assert!(matches!(large, Err(SpoolError::Full)), "more than there is room for at all");
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_new_picture_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = picture(1000);
    let key = key(1, &whole);
    let spool = open(&folder, limits());
    spool.begin(key, 1000, NOW_MS).expect("room");
    spool.keep(key, 0, &whole[..500], NOW_MS).expect("room");
    let spool = open(&folder, SpoolLimits { disk_free_bytes_min: u64::MAX / 2, ..limits() });
    assert_eq!(spool.begin(key, 1000, NOW_MS).expect("it was begun before").bytes, 500);
    let other = Key { device: DEVICE, ..key };
    assert!(matches!(spool.begin(other, 1000, NOW_MS), Err(SpoolError::DiskFull)));
}

#[test]
fn what_lies_there_too_long_is_swept_and_strange_files_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = open(&folder, limits());
    let (old, new) = (key(1, b"old"), key(1, b"new"));
    for (key, now_ms) in [(old, NOW_MS), (new, NOW_MS + 8 * 24 * 3_600_000)] {
        spool.begin(key, 3, now_ms).expect("room");
        spool.keep(key, 0, b"n", now_ms).expect("room");
    }
    fs::write(spool.path(old).with_file_name("a note"), b"").expect("writable");
    assert_eq!(spool.sweep(NOW_MS + 8 * 24 * 3_600_000).expect("removable"), 1);
    assert!(!spool.path(old).exists() && spool.path(new).exists());
    let spool = open(&folder, limits());
    assert_eq!(fs::read_dir(spool.folder()).expect("readable").count(), 1);
}
