//! The end of fjall's journal, where a power cut may have torn the last batch.
//!
//! fjall cuts off an incomplete batch. A batch that is complete by its lengths but has wrong sectors makes it fail (as
//! of 3.1.13), and the store would not open. Both are the same case: the batch was never acknowledged, because then all
//! of it would have been synced. So the journal is cut before it, and the cut part is kept aside.
//!
//! Behind such a batch there may be device notes, which are not synced individually and are one item each, and one
//! further batch in progress. If more follows, the batch was synced and its damage has another cause: then nothing is
//! cut.
//!
//! A batch is a start (tag 1, items u32, number u64), its items (2: type u8, compression u8, table u64, length of the
//! key u16, length of the value u32, length as stored u32, key, value; 4: table u64), and an end (3: XXH3 of the items,
//! u64, and four bytes). All numbers are little-endian.

#![expect(clippy::little_endian_bytes, reason = "so fjall writes numbers")]

use crate::disk;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_64;

/// The file extension of a fjall journal.
const EXTENSION: &str = "jnl";

/// Cuts the newest journal of a store before its first invalid batch. Returns the file with the cut part and the offset
/// of the cut; `None` if every batch is valid, or the invalid one was synced.
pub(super) fn cut_torn_end(folder: &Path) -> io::Result<Option<(PathBuf, u64)>> {
    let Some(path) = newest_journal(folder)? else { return Ok(None) };
    let journal = fs::read(&path)?;
    let end = sound_end(&journal);
    let rest = &journal[end..];
    let torn = rest.iter().rposition(|byte| *byte != 0).map_or(&[][..], |last| &rest[..=last]);
    if torn.is_empty() || was_synced(rest) {
        return Ok(None);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let aside = folder.with_extension(format!("torn-{}", since.as_millis()));
    fs::write(&aside, torn)?;
    File::open(&aside)?.sync_all()?;
    folder.parent().map_or(Ok(()), disk::sync_folder)?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(end as u64)?;
    file.sync_all()?;
    Ok(Some((aside, end as u64)))
}

/// Whether an invalid batch was synced, judged by what follows it.
fn was_synced(bytes: &[u8]) -> bool {
    let mut rest = read_batch(bytes).map(|batch| batch.rest);
    let behind = std::iter::from_fn(|| {
        let batch = read_batch(rest?)?;
        rest = Some(batch.rest);
        Some(batch)
    });
    behind.filter(|batch| batch.is_sound && batch.items > 1).count() > 1
}

fn newest_journal(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let Some(number) = number.filter(|_| is_journal) else { continue };
        if newest.as_ref().is_none_or(|(greatest, _)| *greatest < number) {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// The offset of the first invalid batch.
fn sound_end(journal: &[u8]) -> usize {
    let mut rest = journal;
    while let Some(batch) = read_batch(rest).filter(|batch| batch.is_sound) {
        rest = batch.rest;
    }
    journal.len() - rest.len()
}

/// A batch that is complete by its lengths.
struct Read<'a> {
    items: u32,
    is_sound: bool,
    /// The bytes behind it.
    rest: &'a [u8],
}

fn read_batch(bytes: &[u8]) -> Option<Read<'_>> {
    let (start, behind) = bytes.split_at_checked(13)?;
    let (&1, count) = start.split_first()? else { return None };
    let (count, _) = count.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count);
    let mut rest = behind;
    for _ in 0..count {
        rest = after_item(rest)?;
    }
    let items = &behind[..behind.len() - rest.len()];
    let (end, rest) = rest.split_at_checked(1 + 8 + 4)?;
    let (&3, sum) = end.split_first()? else { return None };
    let (sum, _) = sum.split_first_chunk::<8>()?;
    Some(Read { items: count, is_sound: u64::from_le_bytes(*sum) == xxh3_64(items), rest })
}

fn after_item(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.first()? {
        2 => {
            let (head, rest) = bytes.split_at_checked(1 + 1 + 1 + 8 + 2 + 4 + 4)?;
            let (key, lengths) = head.get(11..)?.split_first_chunk::<2>()?;
            let stored = lengths.get(4..)?.first_chunk::<4>()?;
            let length = usize::from(u16::from_le_bytes(*key)) + u32::from_le_bytes(*stored) as usize;
            Some(rest.split_at_checked(length)?.1)
        }
        4 => Some(bytes.split_at_checked(1 + 8)?.1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, Engine, Table};
    use super::*;

    /// A row that does not compress.
    fn row(n: u8) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(n) * 700];
        blake3::Hasher::new().update(&[n]).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn commit(engine: &Engine, n: u8) {
        let mut batch = Batch::default();
        batch.insert(Table::Meta, [n], row(n));
        batch.insert(Table::Records, [n], [n]);
        batch.remove(Table::Feed, [n]);
        engine.commit(batch, false).expect("written");
    }

    fn rows(engine: &Engine) -> Vec<u8> {
        let at = engine.snapshot();
        let held =
            |n: &u8| at.get(Table::Meta, [*n]).expect("readable").is_some_and(|value| *value == row(*n));
        (0..20).filter(held).collect()
    }

    fn store() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("store");
        let engine = Engine::open(&store).expect("opens");
        (1..=9).for_each(|n| commit(&engine, n));
        drop(engine);
        let journal = newest_journal(&store).expect("readable").expect("a journal");
        let bytes = fs::read(&journal).expect("readable");
        (folder, journal, bytes)
    }

    #[test]
    fn a_last_batch_of_which_a_sector_is_missing_is_cut_off_and_laid_aside() {
        let (folder, journal, mut bytes) = store();
        let store = folder.path().join("store");
        let end = sound_end(&bytes);
        assert!(bytes[end..].iter().all(|byte| *byte == 0), "all of a sound journal is read");
        bytes[end - 2000..end - 1500].fill(0);
        fs::write(&journal, &bytes).expect("written");
        let engine = Engine::open(&store).expect("opens all the same");
        assert_eq!(rows(&engine), (1..=8).collect::<Vec<_>>());
        commit(&engine, 10);
        drop(engine);
        let names = fs::read_dir(folder.path()).expect("readable").map(|entry| entry.expect("an entry"));
        let aside: Vec<_> =
            names.filter(|entry| entry.file_name().to_string_lossy().starts_with("store.torn-")).collect();
        assert!(aside.len() == 1 && aside[0].metadata().expect("laid aside").len() > 6000);
        assert_eq!(rows(&Engine::open(&store).expect("opens")), [1, 2, 3, 4, 5, 6, 7, 8, 10]);
    }

    #[test]
    fn what_was_synced_is_never_cut_off() {
        let (folder, journal, bytes) = store();
        let store = folder.path().join("store");
        let mut decayed = bytes;
        let third = (0..3).fold(0, |at, _| {
            at + decayed[at..].len() - read_batch(&decayed[at..]).expect("a batch").rest.len()
        });
        decayed[third + 1500] ^= 1;
        fs::write(&journal, &decayed).expect("written");
        assert!(Engine::open(&store).is_err(), "two sound batches and more stand behind it");
        assert_eq!(fs::read(&journal).expect("readable"), decayed);
    }

    #[test]
    fn whatever_is_torn_of_the_last_batch_the_others_are_there() {
        let (folder, journal, bytes) = store();
        let store = folder.path().join("store");
        let end = sound_end(&bytes);
        let last = sound_end(&bytes[..end - 1]);
        assert!(end - last > 6300, "the last batch");
        for at in (last..end).step_by(797) {
            let mut torn = bytes.clone();
            torn[at] ^= 0x55;
            fs::write(&journal, &torn).expect("written");
            let engine = Engine::open(&store).unwrap_or_else(|error| panic!("byte {at} of {end}: {error}"));
            // A changed byte may have no meaning.
            let rows = rows(&engine);
            assert!(rows[..8] == [1, 2, 3, 4, 5, 6, 7, 8] && rows.len() <= 9, "byte {at} of {end}: {rows:?}");
            drop(engine);
        }
    }
}
