//! How the engine's keys and values lie in sled's one tree. Knows sled's tree and batch; knows no lock or folder.
//!
//! | key | value |
//! |---|---|
//! | `1`, key | `0`, the value; or `1`, count of pieces u32 BE |
//! | `2`, length of the key u16 BE, key, index u32 BE | a piece of a value that is too long for one entry |
//! | `3`, number u64 BE | the journal: a small commit that is not folded in yet, see [`encode_writes`] |
//! | `4` | how many commits there were when the journal was last folded in, u64 BE |
//!
//! Long values are cut in pieces because sled moves a page of more than 128 KiB, some sixteen entries, into a
//! file of its own under `blobs`, and never syncs that file on any platform.

use std::collections::BTreeMap;

/// The longest value that stays one entry, and the longest journal entry.
pub(super) const PIECE_BYTES_MAX: usize = 6 * 1024;
/// The longest key.
pub(super) const KEY_BYTES_MAX: usize = 256;
/// The longest value, cut in pieces.
pub(super) const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

// A leaf of sled splits above 16 entries and may take in a neighbour of 3; it must stay inside the log.
const LEAF_ENTRIES_MAX: usize = 16 + 3;
const ENTRY_OVERHEAD_BYTES: usize = 32;
const PAGE_BYTES_MAX: usize = 512 * 1024 / 4 - 64;
const _: () =
    assert!(LEAF_ENTRIES_MAX * (PIECE_BYTES_MAX + KEY_BYTES_MAX + ENTRY_OVERHEAD_BYTES) <= PAGE_BYTES_MAX);

const DATA: u8 = 1;
const PIECE: u8 = 2;
const JOURNAL: u8 = 3;
const COMMITS: u8 = 4;
const WHOLE: u8 = 0;
const CUT: u8 = 1;
const REMOVE: u8 = 0;
const PUT: u8 = 1;

/// What a commit changes: a value is put, nothing is removed.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Why bytes could not be read, in words for the person who looks at a damaged store.
pub(super) type Malformed = &'static str;

/// What reading can run into: sled's own errors, or bytes that we did not write.
pub(super) enum ReadError {
    Sled(sled::Error),
    Malformed(Malformed),
}

impl From<sled::Error> for ReadError {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<Malformed> for ReadError {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// The tree's key of a caller's key.
pub(super) fn data_key(key: &[u8]) -> Vec<u8> {
    [&[DATA], key].concat()
}

/// The first key of the tree that is no caller's key.
pub(super) fn data_end() -> Vec<u8> {
    vec![DATA + 1]
}

/// The caller's key of a tree's key.
pub(super) fn caller_key(data_key: &[u8]) -> Vec<u8> {
    data_key.get(1..).unwrap_or_default().to_vec()
}

fn piece_key(key: &[u8], index: u32) -> Vec<u8> {
    // Keys are bounded by KEY_BYTES_MAX before they come here.
    let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    [&[PIECE], &length.to_be_bytes()[..], key, &index.to_be_bytes()].concat()
}

/// The key of a journal entry.
pub(super) fn journal_key(number: u64) -> Vec<u8> {
    [&[JOURNAL], &number.to_be_bytes()[..]].concat()
}

/// What an opened tree says about the commits in it.
pub(super) struct Recovered {
    /// How many commits there were, ever.
    pub(super) commits: u64,
    /// The commits that are not folded in yet with their numbers, oldest first.
    pub(super) journal: Vec<(u64, Writes)>,
}

/// Reads the journal and counts the commits.
pub(super) fn recover(tree: &sled::Tree) -> Result<Recovered, ReadError> {
    let number =
        |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(|_| "a number of the wrong length");
    let folded = tree.get([COMMITS])?.map_or(Ok(0), |bytes| number(&bytes))?;
    let mut journal = Vec::new();
    for entry in tree.scan_prefix([JOURNAL]) {
        let (key, bytes) = entry?;
        journal.push((number(&key[1..])?, decode_writes(&bytes)?));
    }
    let commits = journal.last().map_or(folded, |(number, _)| number + 1);
    Ok(Recovered { commits, journal })
}

/// Adds the number of commits to sled's batch.
pub(super) fn add_commit_count(batch: &mut sled::Batch, commits: u64) {
    batch.insert(&[COMMITS], &commits.to_be_bytes());
}

/// The value behind what the tree holds for a caller's key.
pub(super) fn read_value(tree: &sled::Tree, key: &[u8], stored: &[u8]) -> Result<Vec<u8>, ReadError> {
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
        _ => Err(ReadError::Malformed("a value of unknown form")),
    }
}

/// Adds one write to sled's batch, and the removal of pieces that the old value leaves behind.
pub(super) fn add_write(
    tree: &sled::Tree,
    batch: &mut sled::Batch,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), ReadError> {
    let data_key = data_key(key);
    let pieces_old = tree.get(&data_key)?.map_or(Ok(0), |stored| piece_count(&stored))?;
    let mut pieces_new = 0;
    match value {
        None => batch.remove(data_key),
        Some(value) if value.len() <= PIECE_BYTES_MAX => batch.insert(data_key, [&[WHOLE], value].concat()),
        Some(value) => {
            for piece in value.chunks(PIECE_BYTES_MAX) {
                batch.insert(piece_key(key, pieces_new), piece);
                pieces_new += 1;
            }
            batch.insert(data_key, [&[CUT], &pieces_new.to_be_bytes()[..]].concat());
        }
    }
    for index in pieces_new..pieces_old {
        batch.remove(piece_key(key, index));
    }
    Ok(())
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

/// One commit as a journal entry, or nothing where it is too long for one entry.
/// Each write is `0` or `1`, the key's length u32 BE, the key; after a `1`, the value's length u32 BE, the value.
pub(super) fn encode_writes(writes: &Writes) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (key, value) in writes {
        bytes.push(if value.is_some() { PUT } else { REMOVE });
        for part in [Some(key), value.as_ref()].into_iter().flatten() {
            if bytes.len() + part.len() > PIECE_BYTES_MAX {
                return None;
            }
            bytes.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    (bytes.len() <= PIECE_BYTES_MAX).then_some(bytes)
}

fn decode_writes(mut bytes: &[u8]) -> Result<Writes, Malformed> {
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
