//! The layout of keys and values in sled's one tree, and in a commit's bytes. Knows sled's tree; knows no file, lock or
//! folder.
//!
//! | key | value |
//! |---|---|
//! | `1`, key | `0`, the value; or `1`, count of pieces u32 BE |
//! | `2`, length of the key u16 BE, key, index u32 BE | a piece of a value that is too long for one entry |
//! | `3` | how many commits were folded in, u64 BE |
//! | `4` | the same number, and how many entries `1` had then, u64 BE each; absent during a fold, and if they must be counted again |
//!
//! If the store has a key, a value is sealed for its key as a whole, and then split. So values and pieces cannot be
//! swapped, and no piece can be left out. Keys and counts are not sealed.
//!
//! Long values are split because sled moves a page of more than 128 KiB, about sixteen entries, into a file of its own
//! under `blobs`, and never syncs that file on any platform.

use std::collections::BTreeMap;
use std::io;

use crate::sealing::{AssociatedData, Cover};

/// The longest stored value that stays one entry.
pub(super) const PIECE_BYTES_MAX: usize = 6 * 1024;
/// The longest key.
pub(super) const KEY_BYTES_MAX: usize = 256;
/// The longest value, split into pieces.
pub(super) const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

// A leaf of sled splits above 16 entries and may absorb a neighbour of 3. It must stay inside the log.
const LEAF_ENTRIES_MAX: usize = 16 + 3;
const ENTRY_OVERHEAD_BYTES: usize = 32;
const PAGE_BYTES_MAX: usize = 512 * 1024 / 4 - 64;
const _: () =
    assert!(LEAF_ENTRIES_MAX * (PIECE_BYTES_MAX + KEY_BYTES_MAX + ENTRY_OVERHEAD_BYTES) <= PAGE_BYTES_MAX);

const DATA: u8 = 1;
const PIECE: u8 = 2;
const COMMITS: u8 = 3;
const ENTRIES: u8 = 4;
const WHOLE: u8 = 0;
const CUT: u8 = 1;
const REMOVE: u8 = 0;
const PUT: u8 = 1;

/// The writes of a commit; `None` removes a key.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Why bytes could not be read, for an expert who examines a damaged store.
pub(super) type Malformed = &'static str;

/// The errors of reading and writing: sled's, the system's, or bytes that are not ours.
pub(super) enum Fault {
    Sled(sled::Error),
    Io(io::Error),
    Malformed(Malformed),
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Fault {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// The tree's key for a caller's key.
pub(super) fn data_key(key: &[u8]) -> Vec<u8> {
    [&[DATA], key].concat()
}

/// The first key of the tree that is not a caller's key.
pub(super) fn data_end() -> Vec<u8> {
    vec![DATA + 1]
}

/// The caller's key of a tree's key.
pub(super) fn caller_key(data_key: &[u8]) -> Vec<u8> {
    data_key.get(1..).unwrap_or_default().to_vec()
}

fn piece_key(key: &[u8], index: u32) -> Vec<u8> {
    // Keys are bounded by KEY_BYTES_MAX before.
    let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    [&[PIECE], &length.to_be_bytes()[..], key, &index.to_be_bytes()].concat()
}

/// The number of commits in the tree.
pub(super) fn folded_commits(tree: &sled::Tree) -> Result<u64, Fault> {
    let Some(bytes) = tree.get([COMMITS])? else { return Ok(0) };
    Ok(bytes
        .as_ref()
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| "a count of commits of the wrong length")?)
}

/// The number of callers' entries after the last fold; `None` during a fold, if they must be counted again, or if an
/// older release wrote the store.
pub(super) fn noted_entries(tree: &sled::Tree) -> Result<Option<u64>, Fault> {
    let Some(bytes) = tree.get([ENTRIES])? else { return Ok(None) };
    let Some((commits, entries)) = bytes.split_first_chunk() else { return Ok(None) };
    let Ok(entries) = entries.try_into().map(u64::from_be_bytes) else { return Ok(None) };
    // Every release that folds must count. A fold by an older release leaves an old note behind; half a fold would not,
    // and a counted store must not fall back to that.
    Ok((u64::from_be_bytes(*commits) == folded_commits(tree)?).then_some(entries))
}

/// Reads all keys, and counts those of callers.
pub(super) fn count_entries(tree: &sled::Tree) -> Result<u64, Fault> {
    let mut entries = 0;
    for key in tree.range(data_key(&[])..data_end()).keys() {
        key?;
        entries += 1;
    }
    Ok(entries)
}

/// Removes the count of entries, because they are about to change. That must be durable before they do.
pub(super) fn forget_entries(tree: &sled::Tree) -> Result<(), Fault> {
    tree.remove([ENTRIES])?;
    Ok(())
}

/// Notes the number of commits in the tree, and the number of entries if it is known.
pub(super) fn end_fold(tree: &sled::Tree, commits: u64, entries: Option<u64>) -> Result<(), Fault> {
    if let Some(entries) = entries {
        tree.insert([ENTRIES], [commits.to_be_bytes(), entries.to_be_bytes()].concat())?;
    }
    tree.insert([COMMITS], &commits.to_be_bytes())?;
    Ok(())
}

/// The value behind the tree's entry for a caller's key.
pub(super) fn read_value(
    tree: &sled::Tree,
    cover: &Cover,
    key: &[u8],
    stored: &[u8],
) -> Result<Vec<u8>, Fault> {
    let value = read_covered(tree, key, stored)?;
    Ok(cover
        .open(AssociatedData::Value(key), value)
        .ok_or("a value that this store's key did not seal for its place")?)
}

fn read_covered(tree: &sled::Tree, key: &[u8], stored: &[u8]) -> Result<Vec<u8>, Fault> {
    match stored.split_first() {
        Some((&WHOLE, value)) => Ok(value.to_vec()),
        Some((&CUT, _)) => {
            let mut value = Vec::new();
            for index in 0..piece_count(stored)? {
                let piece = tree.get(piece_key(key, index))?.ok_or("a piece of a value is missing")?;
                value.extend_from_slice(&piece);
            }
            Ok(value)
        }
        _ => Err(Fault::Malformed("a value of unknown form")),
    }
}

/// Applies one write, removes the pieces of the old value, and returns by how much the number of entries grows. If the
/// process ends half-way, the journal still has the write, hides this half and applies it again.
pub(super) fn fold_write(
    tree: &sled::Tree,
    cover: &Cover,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<i64, Fault> {
    let data_key = data_key(key);
    let mut pieces_new = 0;
    let before = match value.map(|value| whole(cover, key, value)).transpose()? {
        None => tree.remove(data_key)?,
        Some(whole) if whole.len() <= 1 + PIECE_BYTES_MAX => tree.insert(data_key, whole)?,
        Some(whole) => {
            for piece in whole[1..].chunks(PIECE_BYTES_MAX) {
                tree.insert(piece_key(key, pieces_new), piece)?;
                pieces_new += 1;
            }
            tree.insert(data_key, [&[CUT], &pieces_new.to_be_bytes()[..]].concat())?
        }
    };
    let more = i64::from(value.is_some()) - i64::from(before.is_some());
    let pieces_old = before.map_or(Ok(0), |stored| piece_count(&stored))?;
    for index in pieces_new..pieces_old {
        tree.remove(piece_key(key, index))?;
    }
    Ok(more)
}

/// A value as it is stored, before it is split.
fn whole(cover: &Cover, key: &[u8], value: &[u8]) -> io::Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(1 + value.len() + cover.extra_bytes());
    stored.push(WHOLE);
    stored.resize(1 + cover.front_bytes(), 0);
    stored.extend_from_slice(value);
    cover.seal(AssociatedData::Value(key), &mut stored, 1)?;
    Ok(stored)
}

fn piece_count(stored: &[u8]) -> Result<u32, Malformed> {
    match stored.split_first() {
        Some((&WHOLE, _)) => Ok(0),
        Some((&CUT, count)) => {
            count.try_into().map(u32::from_be_bytes).map_err(|_| "a count of pieces of the wrong length")
        }
        _ => Err("a value of unknown form"),
    }
}

/// Appends one commit to the bytes of a journal entry, and leaves room for `spare_bytes` behind it. Each write is `0`
/// or `1`, the key's length u32 BE, and the key; after `1` follow the value's length u32 BE and the value.
pub(super) fn encode_writes(writes: &Writes, bytes: &mut Vec<u8>, spare_bytes: usize) {
    bytes.reserve_exact(writes.iter().map(write_bytes).sum::<usize>() + spare_bytes);
    for (key, value) in writes {
        bytes.push(if value.is_some() { PUT } else { REMOVE });
        for part in [Some(key), value.as_ref()].into_iter().flatten() {
            // Keys and values are bounded far below 4 GiB before.
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
}

fn write_bytes((key, value): (&Vec<u8>, &Option<Vec<u8>>)) -> usize {
    1 + 4 + key.len() + value.as_ref().map_or(0, |value| 4 + value.len())
}

/// Decodes a commit that [`encode_writes`] wrote.
pub(super) fn decode_writes(mut bytes: &[u8]) -> Result<Writes, Malformed> {
    const SHORT: Malformed = "a journal entry ends too early";
    fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
        let (length, rest) = bytes.split_first_chunk().ok_or(SHORT)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SHORT)?;
        let (part, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
        *bytes = rest;
        Ok(part)
    }
    let mut writes = Writes::new();
    while let Some((&tag, rest)) = bytes.split_first() {
        bytes = rest;
        let key = take(&mut bytes)?.to_vec();
        let value = match tag {
            PUT => Some(take(&mut bytes)?.to_vec()),
            REMOVE => None,
            _ => return Err("a journal entry of unknown form"),
        };
        writes.insert(key, value);
    }
    Ok(writes)
}
