//! Range scans: the tree, overlaid with the journal. Knows the order of keys; knows no lock, folder or commit.

use std::cmp::Ordering;
use std::iter::Peekable;

use super::layout::{Fault, Writes, caller_key, data_end, data_key, read_value};
use crate::sealing::Cover;

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// A half-open range of keys; without an end it reaches to the last key.
#[derive(Clone)]
pub(crate) struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
}

impl KeyRange {
    /// The keys that have a prefix.
    pub(crate) fn of_prefix(prefix: &[u8]) -> Self {
        // The end is the prefix up to its last byte that can be incremented, incremented.
        let grows = prefix.iter().rposition(|byte| *byte != u8::MAX);
        let to = grows.map(|last| {
            let mut to = prefix[..=last].to_vec();
            to[last] += 1;
            to
        });
        Self { from: prefix.to_vec(), to }
    }

    fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    fn contains(&self, key: &[u8]) -> bool {
        key >= self.from.as_slice() && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }
}

/// The first entries of a range: at most this many, or fewer if their values are long.
pub(super) fn first_entries(
    tree: &sled::Tree,
    cover: &Cover,
    pending: &Writes,
    range: &KeyRange,
    (entries_max, bytes_max): (usize, usize),
) -> Result<Vec<Entry>, Fault> {
    let mut page = Vec::new();
    let mut page_bytes = 0;
    if range.is_empty() {
        return Ok(page);
    }
    let mut stored = stored_range(tree, range).peekable();
    let mut overlay =
        pending.range(range.from.clone()..).take_while(|(key, _)| range.contains(key)).peekable();
    while page.len() < entries_max && page_bytes < bytes_max {
        let Some(entry) = next_merged(tree, cover, &mut stored, &mut overlay)? else { break };
        page_bytes += entry.0.len() + entry.1.len();
        page.push(entry);
    }
    Ok(page)
}

fn stored_range(tree: &sled::Tree, range: &KeyRange) -> sled::Iter {
    tree.range(data_key(&range.from)..range.to.as_deref().map_or_else(data_end, data_key))
}

/// The next entry of two ordered streams. The overlay wins, and its removals hide stored entries.
fn next_merged<'a>(
    tree: &sled::Tree,
    cover: &Cover,
    stored: &mut Peekable<impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>>,
    overlay: &mut Peekable<impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>>,
) -> Result<Option<Entry>, Fault> {
    loop {
        let turn = match (stored.peek(), overlay.peek()) {
            (None, None) => return Ok(None),
            (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(Ok((data_key, _))), Some((key, _))) => data_key[1..].cmp(key),
        };
        if turn != Ordering::Greater {
            let (data_key, value) = stored.next().transpose()?.unwrap_or_default();
            if turn == Ordering::Less {
                let key = caller_key(&data_key);
                let value = read_value(tree, cover, &key, &value)?;
                return Ok(Some((key, value)));
            }
        }
        if let Some((key, Some(value))) = overlay.next() {
            return Ok(Some((key.clone(), value.clone())));
        }
    }
}
