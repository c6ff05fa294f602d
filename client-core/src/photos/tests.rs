//! Pictures are read back as they were stored, plain and sealed, and nothing else is.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::file::PIECE_BYTES;
use super::*;
use crate::sealing::DataKey;

fn cover(is_sealed: bool) -> Cover {
    if is_sealed { Cover::Sealed(Arc::new(DataKey::generate().unwrap())) } else { Cover::Plain }
}

fn folder(is_sealed: bool) -> (TempDir, PhotoFolder) {
    let home = tempfile::tempdir().unwrap();
    let photos = PhotoFolder::new(home.path().join("photos"), cover(is_sealed));
    (home, photos)
}

/// Bytes in which all pieces differ.
fn picture(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| (at / 7 + at % 251) as u8 ^ seed).collect()
}

fn kept(photos: &PhotoFolder, picture: &[u8]) -> ContentHash {
    let hash = ContentHash::of(picture);
    photos.keep(hash, picture).unwrap();
    hash
}

fn names(photos: &PhotoFolder) -> Vec<String> {
    let names = fs::read_dir(&photos.path).unwrap();
    names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn read(photos: &PhotoFolder, hash: ContentHash, bytes: usize) -> Result<Vec<u8>, PhotoFileError> {
    photos.open(hash, bytes as u64)?.read_whole()
}

fn is_damaged<T>(read: Result<T, PhotoFileError>) -> bool {
    matches!(read, Err(PhotoFileError::Damaged { .. }))
}

const PIECE: usize = PIECE_BYTES as usize;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_part_is_read_without_the_whole(
        bytes in 1..4 * PIECE, from in 0..5 * PIECE, count in 0..2 * PIECE, is_sealed: bool,
    ) {
        let (_home, photos) = folder(is_sealed);
        let picture = picture(bytes, 1);
        let hash = kept(&photos, &picture);
        let file = photos.open(hash, bytes as u64).unwrap();
        file.verify().unwrap();
        let (start, end) = (from.min(bytes), (from + count).min(bytes));
        prop_assert_eq!(file.read(from as u64, count).unwrap(), &picture[start..end]);
        prop_assert_eq!(file.hash_front(from as u64).unwrap(), ContentHash::of(&picture[..start]));
        prop_assert_eq!(file.read_whole().unwrap(), picture);
    }

    #[test]
    fn a_flipped_bit_is_found(bytes in 1..3 * PIECE, at: prop::sample::Index, bit in 0..8u8, is_sealed: bool) {
        let (_home, photos) = folder(is_sealed);
        let picture = picture(bytes, 2);
        let hash = kept(&photos, &picture);
        let path = photos.path_of(hash);
        let mut raw = fs::read(&path).unwrap();
        let flipped = at.index(raw.len());
        raw[flipped] ^= 1 << bit;
        fs::write(&path, raw).unwrap();
        prop_assert!(is_damaged(photos.open(hash, bytes as u64).unwrap().verify()));
        prop_assert!(is_damaged(read(&photos, hash, bytes)));
        // Storing the same picture again repairs it.
        photos.keep(hash, &picture).unwrap();
        prop_assert_eq!(read(&photos, hash, bytes).unwrap(), picture);
    }

    #[test]
    fn a_file_of_another_length_is_found(bytes in 1..3 * PIECE, cut: prop::sample::Index, is_sealed: bool) {
        let (_home, photos) = folder(is_sealed);
        let picture = picture(bytes, 3);
        let hash = kept(&photos, &picture);
        let path = photos.path_of(hash);
        let raw = fs::read(&path).unwrap();
        fs::write(&path, &raw[..cut.index(raw.len())]).unwrap();
        prop_assert!(is_damaged(read(&photos, hash, bytes)));
        fs::write(&path, [&raw[..], &[0]].concat()).unwrap();
        prop_assert!(is_damaged(read(&photos, hash, bytes)));
    }
}

/// A sealed picture's file as pieces.
fn sealed_pieces(photos: &PhotoFolder, hash: ContentHash) -> Vec<Vec<u8>> {
    let raw = fs::read(photos.path_of(hash)).unwrap();
    raw.chunks(PIECE + photos.cover.extra_bytes()).map(<[u8]>::to_vec).collect()
}

#[test]
fn no_sealed_piece_stands_in_anothers_place() {
    let (_home, photos) = folder(true);
    let (first, second) = (picture(3 * PIECE, 4), picture(3 * PIECE, 5));
    let (hash, other) = (kept(&photos, &first), kept(&photos, &second));
    let (own, foreign) = (sealed_pieces(&photos, hash), sealed_pieces(&photos, other));
    let mut swapped = own.clone();
    swapped.swap(0, 1);
    let mut mixed = own.clone();
    mixed[2].clone_from(&foreign[2]);
    let mut doubled = own.clone();
    doubled[1] = own[0].clone();
    for pieces in [swapped, mixed, doubled] {
        fs::write(photos.path_of(hash), pieces.concat()).unwrap();
        assert!(is_damaged(read(&photos, hash, first.len())));
    }
    fs::write(photos.path_of(hash), own.concat()).unwrap();
    assert_eq!(read(&photos, hash, first.len()).unwrap(), first);
}

#[test]
fn no_sealed_piece_can_be_missing() {
    let (_home, photos) = folder(true);
    let whole = picture(3 * PIECE, 6);
    let hash = kept(&photos, &whole);
    let front = sealed_pieces(&photos, hash)[..2].concat();
    fs::write(photos.path_of(hash), front).unwrap();
    assert!(is_damaged(read(&photos, hash, whole.len())));
    // A reader that believes in the shorter length is refused as well, by the pieces.
    let shorter = photos.open(hash, 2 * PIECE_BYTES).unwrap();
    assert!(is_damaged(shorter.read(0, 1)));
}

#[test]
fn another_key_reads_nothing() {
    let (home, photos) = folder(true);
    let picture = picture(100, 7);
    let hash = kept(&photos, &picture);
    let other = PhotoFolder::new(home.path().join("photos"), cover(true));
    assert!(is_damaged(read(&other, hash, 100)));
}

#[test]
fn the_same_picture_is_kept_once_and_leaves_without_a_trace() {
    for is_sealed in [false, true] {
        let (_home, photos) = folder(is_sealed);
        let picture = picture(PIECE + 1, 8);
        let hash = kept(&photos, &picture);
        let before = fs::read(photos.path_of(hash)).unwrap();
        assert_eq!(kept(&photos, &picture), hash);
        assert_eq!(fs::read(photos.path_of(hash)).unwrap(), before, "a whole file is not written again");
        assert_eq!(names(&photos).len(), 1);
        photos.remove(hash).unwrap();
        photos.remove(hash).unwrap();
        assert!(names(&photos).is_empty());
        assert!(matches!(read(&photos, hash, PIECE + 1), Err(PhotoFileError::Missing { .. })));
    }
}

#[test]
fn what_was_broken_off_is_removed_and_nothing_else() {
    let (_home, photos) = folder(false);
    photos.remove_unfinished().unwrap();
    let hash = kept(&photos, b"whole");
    let unfinished = with_suffix(&photos.path_of(ContentHash::of(b"half")), UNFINISHED);
    fs::write(&unfinished, b"ha").unwrap();
    photos.remove_unfinished().unwrap();
    assert_eq!(names(&photos), [hash.to_string()]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_left_clean() {
    let (home, photos) = folder(false);
    fs::write(home.path().join("photos"), b"a file where the folder belongs").unwrap();
    let error = photos.keep(ContentHash::of(b"1"), b"1").unwrap_err();
    assert!(matches!(error, PhotoFileError::Io { .. }) && !error.is_final());
    assert!(error.to_string().contains("photos"), "{error}");
}

#[test]
fn a_plain_file_is_the_picture() {
    let (_home, photos) = folder(false);
    let picture = picture(2 * PIECE + 5, 9);
    let hash = kept(&photos, &picture);
    assert_eq!(fs::read(photos.path.join(hash.to_string())).unwrap(), picture);
}
