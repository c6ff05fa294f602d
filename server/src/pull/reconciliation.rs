//! Compares what a device reports to hold with what is stored for it.
//!
//! The report is as of the device's cursor. A home that changed since cannot be compared; the changes are pulled next,
//! and the home is compared at the next reconciliation.

use super::Puller;
use crate::server::Server;
use crate::store::{Reader, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::digest::Digest;
use xundian_protocol::ids::FeedSeq;
use xundian_protocol::limits::{CHANGES_PLAIN_BYTES_TARGET, CHANGES_RECORDS_MAX, bytes_in_frame};
use xundian_protocol::record::{Home, RecordKey};
use xundian_protocol::wire::v1::{CompareDigests, CompareRecords, DigestVerdict, Repair};

/// The number of records read together, plus or minus one home's: a megabyte and a half of keys.
const READ_TOGETHER: usize = 65_536;

impl Puller {
    /// Compares the whole scope, or home by home if the device reports homes.
    pub(crate) fn compare(
        &self,
        server: &Server,
        check: &CompareDigests,
    ) -> Result<DigestVerdict, StoreError> {
        let reader = server.store.reader();
        let scope = self.homes.iter().chain(&self.behind).copied();
        if check.homes.is_empty() {
            let mut all = Digest::default();
            each_digest(&reader, scope, |_, digest| all += digest)?;
            return Ok(if all == check.all { DigestVerdict::Agrees } else { DigestVerdict::Differs });
        }
        let told: BTreeMap<Home, Digest> = check.homes.iter().copied().collect();
        let mut others = Vec::new();
        each_digest(&reader, scope, |home, digest| {
            others.extend((told.get(&home) != Some(&digest)).then_some(home));
        })?;
        let mut differ = Vec::new();
        for home in others {
            if has_stood(&reader, home, check.at)? {
                differ.push(home);
            }
        }
        Ok(if differ.is_empty() { DigestVerdict::Agrees } else { DigestVerdict::DifferIn(differ) })
    }

    /// Compares a portion of a home's records one by one, as many as fit into one frame.
    pub(crate) fn compare_records(
        &self,
        server: &Server,
        check: CompareRecords,
    ) -> Result<Repair, StoreError> {
        let CompareRecords { at, home, after, through, records } = check;
        let reader = server.store.reader();
        let mut repair = Repair { home, after, through: None, records: Vec::new(), gone: Vec::new() };
        let is_in_scope = self.behind.contains(&home) || self.homes.contains(&home);
        if !is_in_scope || !has_stood(&reader, home, at)? {
            return Ok(repair);
        }
        let ours: BTreeSet<RecordKey> =
            reader.feed(home, FeedSeq(0))?.into_iter().map(|(key, _)| key).collect();
        let theirs: BTreeMap<RecordKey, _> = records.into_iter().collect();
        let keys: BTreeSet<RecordKey> = ours.iter().chain(theirs.keys()).copied().collect();
        let within = |key: &RecordKey| Some(*key) > after && through.is_none_or(|through| *key <= through);
        let mut bytes = 0;
        for key in keys.into_iter().filter(within) {
            if !ours.contains(&key) {
                repair.gone.push(key);
                continue;
            }
            let digest = reader.record_bytes(key)?.map(|stored| Digest::of_record(&stored));
            if digest.map(Digest::short).as_ref() == theirs.get(&key) {
                continue;
            }
            if let Some(stored) = reader.record(key)? {
                bytes += bytes_in_frame(stored.record.bytes_max(), stored.record.fields().len());
                repair.records.push(stored.record);
            }
            if repair.records.len() == CHANGES_RECORDS_MAX || bytes >= CHANGES_PLAIN_BYTES_TARGET {
                repair.through = Some(key);
                return Ok(repair);
            }
        }
        repair.through = through;
        Ok(repair)
    }
}

/// Whether nothing in a home has changed since a feed sequence.
fn has_stood(reader: &Reader<'_>, home: Home, at: FeedSeq) -> Result<bool, StoreError> {
    Ok(reader.feed(home, at)?.is_empty())
}

/// Computes the digest of each home, in any order. A home's records are scattered over the table, so those of many
/// homes are read together in key order; otherwise each block of the table would be read again and again.
fn each_digest(
    reader: &Reader<'_>,
    homes: impl Iterator<Item = Home>,
    mut tell: impl FnMut(Home, Digest),
) -> Result<(), StoreError> {
    let mut homes = homes.peekable();
    while homes.peek().is_some() {
        let mut some: Vec<(Home, Digest)> = Vec::new();
        let mut records: Vec<(RecordKey, usize)> = Vec::new();
        while let Some(home) = homes.next_if(|_| records.len() < READ_TOGETHER) {
            records.extend(reader.feed(home, FeedSeq(0))?.into_iter().map(|(key, _)| (key, some.len())));
            some.push((home, Digest::default()));
        }
        records.sort_unstable();
        for (key, at) in records {
            if let Some(stored) = reader.record_bytes(key)? {
                some[at].1 += Digest::of_record(&stored);
            }
        }
        some.into_iter().for_each(|(home, digest)| tell(home, digest));
    }
    Ok(())
}
