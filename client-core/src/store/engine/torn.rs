//! Reads a journal that may be damaged anywhere: what is intact after the damage as well as before it. Knows the format
//! of entries as [`super::journal`] writes them; knows no file.
//!
//! Each entry's CRC continues that of the entry before it. So an entry after a damaged one is proved by the damaged
//! one's CRC if that is intact. If only the head of the damaged one is damaged, the CRC of its content proves both.
//! Numbers tell where the next entry begins, and that it is not left over.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{HEADER_BYTES, crc_of};
use super::layout::{Writes, decode_writes};
use crate::sealing::{AssociatedData, Cover};

/// The most consecutive commits that damage may hide.
const GAP_COMMITS_MAX: u64 = 1 << 20;
/// No device commits this often, so greater numbers are damage.
const NUMBER_MAX: u64 = 1 << 40;

/// The content of a journal.
#[derive(Default)]
pub(super) struct Torn {
    /// The commits since the journal was last reset, by number.
    pub(super) commits: BTreeMap<u64, Writes>,
    /// Commits that were left over from before.
    pub(super) leftovers: BTreeMap<u64, Writes>,
    /// The numbers of damaged commits.
    pub(super) lost: Vec<u64>,
    /// The numbers of commits that can be read but cannot be proved to be what was written.
    pub(super) unproved: BTreeSet<u64>,
}

/// The offset of an entry, and what is known about it.
struct Spot {
    at: usize,
    /// Candidates for the CRC of the entry before it.
    chains: Vec<u32>,
    /// Its number, if the entry before it tells.
    number: Option<u64>,
}

/// An entry that is proved, or possible.
struct Found {
    number: u64,
    crc: u32,
    end: usize,
    writes: Option<Writes>,
    is_proved: bool,
    /// The CRC before it.
    chain: Option<u32>,
}

/// Reads everything that can be read.
pub(super) fn read(bytes: &[u8], cover: &Cover) -> Torn {
    let mut torn = Torn::default();
    let end = read_chain(bytes, cover, &mut torn);
    // After the last commit follow entries left over, with lower numbers.
    let first = torn.commits.keys().next().copied();
    let (mut at, mut chains) = (end, Vec::new());
    let heads_end = heads_end(bytes);
    while at < heads_end {
        let found = head(bytes, at)
            .filter(|head| first.is_some_and(|first| head.number < first))
            .and_then(|_| entry(bytes, cover, &Spot { at, chains: chains.clone(), number: None }));
        match found {
            Some(Found { number, writes: Some(writes), end, crc, is_proved, .. }) => {
                if !is_proved {
                    torn.unproved.insert(number);
                }
                torn.leftovers.insert(number, writes);
                (at, chains) = (end, vec![crc]);
            }
            _ => {
                at += 1;
                chains.clear();
            }
        }
    }
    torn
}

/// Follows the commits from the front. Returns the offset of their end.
fn read_chain(bytes: &[u8], cover: &Cover, torn: &mut Torn) -> usize {
    let mut spot = Spot { at: 0, chains: vec![0], number: None };
    loop {
        let whole = entry(bytes, cover, &spot)
            .filter(|found| found.is_proved && spot.number.is_none_or(|number| number == found.number));
        let found = match whole {
            Some(found) => found,
            None => match behind_damage(bytes, cover, &spot, torn) {
                Some(found) => found,
                None => return spot.at,
            },
        };
        spot = Spot { at: found.end, chains: vec![found.crc], number: Some(found.number + 1) };
        match found.writes {
            Some(writes) => {
                if !found.is_proved {
                    torn.unproved.insert(found.number);
                }
                torn.commits.insert(found.number, writes);
            }
            None => torn.lost.push(found.number),
        }
    }
}

/// The next entry after a damaged one; `None` if the commits end. The damaged one is used too, if only its head is
/// damaged.
fn behind_damage(bytes: &[u8], cover: &Cover, spot: &Spot, torn: &mut Torn) -> Option<Found> {
    let stored_crc = word(bytes, spot.at + 4)?;
    for at in spot.at + HEADER_BYTES..heads_end(bytes) {
        let Some(Head { number, .. }) = head(bytes, at) else { continue };
        let is_next = match spot.number {
            Some(expected) => expected < number && number - expected <= GAP_COMMITS_MAX,
            None => 0 < number && number < NUMBER_MAX,
        };
        if !is_next {
            continue;
        }
        // If it were intact, the damaged entry would be between them and have the number before.
        let content = &bytes[spot.at + HEADER_BYTES..at];
        let follows = spot.number.is_none_or(|expected| expected + 1 == number);
        let computed =
            spot.chains.first().filter(|_| follows).map(|chain| crc_of(*chain, number - 1, content));
        let chains: Vec<u32> = computed.into_iter().chain(follows.then_some(stored_crc)).collect();
        let found = entry(bytes, cover, &Spot { at, chains, number: Some(number) });
        // An expected number is not there by chance. Otherwise the following entry must prove this one.
        let is_sure = |found: &Found| found.is_proved || spot.number.is_some();
        let Some(found) = found.filter(is_sure).or_else(|| followed(bytes, cover, at)) else { continue };
        let is_content_whole = computed.is_some() && found.chain == computed;
        let opened = spot
            .chains
            .first()
            .filter(|_| is_content_whole)
            .and_then(|chain| open(cover, number - 1, *chain, content));
        match opened {
            Some(writes) => _ = torn.commits.insert(number - 1, writes),
            None => torn.lost.extend(spot.number.map_or(number - 1..number, |expected| expected..number)),
        }
        return Some(found);
    }
    // The last one may be damaged as well: nothing follows that could tell.
    None
}

/// An entry that cannot be proved itself, and whose successor continues from its CRC.
fn followed(bytes: &[u8], cover: &Cover, at: usize) -> Option<Found> {
    let Head { length, crc, number } = head(bytes, at)?;
    let end = at + HEADER_BYTES + length;
    let next = head(bytes, end).filter(|next| next.number == number + 1)?;
    let content = &bytes[end + HEADER_BYTES..end + HEADER_BYTES + next.length];
    let found = Found { number, crc, end, writes: None, is_proved: false, chain: None };
    (crc_of(crc, next.number, content) == next.crc).then(|| Found {
        writes: entry(bytes, cover, &Spot { at, chains: Vec::new(), number: Some(number) })
            .and_then(|found| found.writes),
        ..found
    })
}

/// Where no head can begin any more. The file is created full of zeros, and is still zero after the last content ever
/// written.
fn heads_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

struct Head {
    length: usize,
    crc: u32,
    number: u64,
}

/// A possible head: the length that it announces fits into the rest.
fn head(bytes: &[u8], at: usize) -> Option<Head> {
    let (length, crc) = (word(bytes, at)? as usize, word(bytes, at + 4)?);
    let number = u64::from_be_bytes(bytes.get(at + 8..at + HEADER_BYTES)?.try_into().ok()?);
    (length > 0 && length <= bytes.len() - at - HEADER_BYTES).then_some(Head { length, crc, number })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The entry at an offset: proved by a CRC before it, or at least readable.
fn entry(bytes: &[u8], cover: &Cover, spot: &Spot) -> Option<Found> {
    let Head { length, crc, number } = head(bytes, spot.at)?;
    let end = spot.at + HEADER_BYTES + length;
    let content = &bytes[spot.at + HEADER_BYTES..end];
    for chain in &spot.chains {
        if crc_of(*chain, number, content) == crc {
            let writes = open(cover, number, *chain, content);
            return Some(Found { number, crc, end, writes, is_proved: true, chain: Some(*chain) });
        }
    }
    // A seal proves more than a CRC does, and without the CRC before it no seal opens.
    let writes = match cover {
        Cover::Plain => decode_writes(content).ok().filter(|writes| !writes.is_empty()),
        Cover::Sealed(_) => None,
    };
    writes.map(|writes| Found { number, crc, end, writes: Some(writes), is_proved: false, chain: None })
}

fn open(cover: &Cover, number: u64, chain: u32, content: &[u8]) -> Option<Writes> {
    decode_writes(&cover.open(AssociatedData::Entry { number, chain }, content.to_vec())?).ok()
}
